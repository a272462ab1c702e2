"""What the copy button takes from a block of commands."""

from __future__ import annotations

import subprocess
from html.parser import HTMLParser
from pathlib import Path

from tests.support.commands import ROOT

_HIDDEN = {"gp", "go"}  # prompt and output, hidden while copying by docs/stylesheets/console.css


class _Blocks(HTMLParser):
    """Collects the blocks of code of a page: all of their text, and what is copied of it."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[tuple[str, str]] = []
        self._highlighted = self._code = False
        self._hidden: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a block and a hidden part of it begin."""
        classes = set((dict(attrs).get("class") or "").split())
        if tag == "div" and "highlight" in classes:
            self._highlighted = True
        elif tag == "code" and self._highlighted:
            self._code = True
            self.blocks.append(("", ""))
        elif tag == "span" and self._code:
            self._hidden.append(bool(classes & _HIDDEN))

    def handle_endtag(self, tag: str) -> None:
        """Note where they end."""
        if tag == "code":
            self._code = self._highlighted = False
        elif tag == "span" and self._code and self._hidden:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        """Keep the text of a block."""
        if self._code:
            whole, copied = self.blocks[-1]
            self.blocks[-1] = (whole + data, copied if any(self._hidden) else copied + data)


def _console_blocks(site: Path) -> list[tuple[str, str, str]]:
    found = []
    for page in sorted(site.rglob("*.html")):
        parser = _Blocks()
        parser.feed(page.read_text(encoding="utf-8"))
        found += [(str(page.relative_to(site)), *block) for block in parser.blocks if block[0].startswith("$ ")]
    return found


def _commands(whole: str) -> list[str]:
    """The lines after a prompt, and those that continue them after a backslash."""
    commands: list[str] = []
    continued = False
    for line in whole.splitlines():
        if line.startswith("$ ") or continued:
            commands.append(line.removeprefix("$ ").strip())
            continued = line.endswith("\\")
    return commands


def test_a_block_copies_its_commands(site: Path) -> None:
    """What is copied of a console block are its commands: neither prompt nor output, and no line is missing."""
    blocks = _console_blocks(site)
    assert len(blocks) > 10
    wrong = [
        (page, copied)
        for page, whole, copied in blocks
        if [line.strip() for line in copied.splitlines() if line.strip()] != _commands(whole)
    ]
    assert wrong == []


def test_what_is_copied_is_a_whole_command(site: Path) -> None:
    """A shell can read what is copied to its end: no loop without its body, no open quote."""
    wrong = []
    for page, _, copied in _console_blocks(site):
        done = subprocess.run(["sh", "-n"], input=copied, capture_output=True, text=True, check=False)
        if done.returncode:
            wrong.append((page, copied, done.stderr))
    assert wrong == []


def test_prompt_and_output_are_hidden_while_copying() -> None:
    """The style sheet hides what the tests above leave out."""
    style = (ROOT / "docs" / "stylesheets" / "console.css").read_text(encoding="utf-8")
    assert [name for name in _HIDDEN if f"code[data-md-copying] .{name}" not in style] == []
