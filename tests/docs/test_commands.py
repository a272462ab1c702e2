"""The commands and configurations on the pages: run here, or marked with where they are run instead."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from no502.nginx.binary import check_configuration, find_nginx
from tests.support.commands import ROOT, clean_environment

_MARKER = "<!-- not run here: "
_PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if "reference" not in page.parts)


class _Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    marked: bool


def _blocks(page: Path) -> list[_Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    found, begin = [], None
    for number, line in enumerate(lines):
        if not line.strip().startswith("```"):
            continue
        if begin is None:
            begin = number
            continue
        indent = len(lines[begin]) - len(lines[begin].lstrip())
        text = "\n".join(one[indent:] for one in lines[begin + 1 : number])
        before = lines[begin - 1].strip() if begin else ""
        language = lines[begin].strip().removeprefix("```")
        found.append(_Block(str(page.relative_to(ROOT)), begin + 1, language, text, before.startswith(_MARKER)))
        begin = None
    return found


_ALL = [block for page in _PAGES for block in _blocks(page)]
_RUN = [block for block in _ALL if block.language == "console" and not block.marked]


def _name(block: _Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("block", _RUN, ids=_name)
def test_commands_work(block: _Block, tmp_path: Path) -> None:
    """A command on a page ends with 0 in an empty directory."""
    environment = clean_environment(tmp_path / "home")
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    work = tmp_path / "work"
    work.mkdir()
    commands = [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
    assert commands, "a console block without a command"
    for command in commands:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_some_commands_are_run() -> None:
    """The markers have not swallowed everything, and each of them gives a reason."""
    assert len(_RUN) >= 2
    for page in _PAGES:
        for reason in re.findall(re.escape(_MARKER) + "(.*?) -->", page.read_text(encoding="utf-8")):
            assert len(reason) > 10, page


def test_settings_in_code_can_be_read(tmp_path: Path) -> None:
    """The Python of the page about existing applications runs and prints two rungs."""
    blocks = [one for one in _ALL if one.page == "docs/how-to/existing-app.md" and one.language == "python"]
    [block] = [one for one in blocks if "print(" in one.text]
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=tmp_path,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["100", "90"]
    assert done.stderr == ""


def test_nginx_lines_load(tmp_path: Path) -> None:
    """nginx accepts the lines that the page about existing applications shows."""
    [block] = [one for one in _ALL if one.page == "docs/how-to/existing-app.md" and one.language == "nginx"]
    (tmp_path / "nginx.conf").write_text(f"events {{}}\nhttp {{\n{block.text}\n}}\n")
    check_configuration(find_nginx(None), ["-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"])


def test_stream_on_the_page_is_the_tested_file() -> None:
    """The event stream of the how-to page is docs/examples/stream.py, to the letter."""
    blocks = [one for one in _ALL if one.page.endswith("websockets-and-streams.md") and one.language == "python"]
    [block] = [one for one in blocks if one.text.startswith('"""')]  # the file's docstring
    assert f"{block.text}\n" == (ROOT / "docs" / "examples" / "stream.py").read_text(encoding="utf-8")
