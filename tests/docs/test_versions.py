"""Versions that the words name, against those that the package supports."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

from tests.support.commands import ROOT

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _lowest(name: str) -> str:
    [found] = [
        match[1]
        for requirement in _PROJECT["dependencies"]
        if (match := re.match(rf"{name}(?:\[\w+\])?>=([\d.]+)", requirement))
    ]
    return found


def test_readme_names_the_supported_versions() -> None:
    """Python, gunicorn, uvicorn and nginx of the README's status line are those of pyproject.toml and the renderer."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"gunicorn {_lowest('gunicorn')} or later" in readme
    assert f"uvicorn {_lowest('uvicorn')} or later" in readme
    assert "nginx 1.22 or later" in readme
    pythons = [name.rsplit(" ", 1)[1] for name in _PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert f"Python {pythons[0]} to {pythons[-1]}" in readme
    assert _PROJECT["requires-python"] == f">={pythons[0]}"


def test_readme_has_the_figures_of_the_results() -> None:
    """The README's table is generated from the recorded results."""
    command = [sys.executable, str(ROOT / "scripts" / "readme_results.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pages_have_the_tables_of_the_results() -> None:
    """Tables and plots of the measurements on the pages are those of benchmarks/results."""
    command = [sys.executable, str(ROOT / "scripts" / "result_tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_actions_in_the_docs_are_those_of_the_own_workflows() -> None:
    """An action that the own workflows use has the same major version in what a reader copies."""
    own: dict[str, set[str]] = {}
    for file in [*(ROOT / ".github" / "workflows").glob("*.yml"), ROOT / "action.yml"]:
        for name, major in re.findall(r"uses: ([\w./-]+)@[0-9a-f]{40} # (v\d+)", file.read_text(encoding="utf-8")):
            own.setdefault(name, set()).add(major)
    copied = re.findall(r"uses: ([\w./-]+)@(v\d+)$", (ROOT / "docs/how-to/doctor.md").read_text("utf-8"), re.MULTILINE)
    assert {name for name, _ in copied} >= {"actions/checkout", "actions/setup-python"}
    assert [(name, major) for name, major in copied if {major} != own.get(name, {major})] == []
