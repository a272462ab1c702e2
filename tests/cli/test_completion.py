"""Completion in the shell: commands, options and values."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NO502 = Path(sys.executable).with_name("no502")


def complete(line: str) -> list[str]:
    """Return what bash would offer for the last word of a line."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_NO502_COMPLETE": "complete_bash",
    }
    done = subprocess.run([NO502], env=environment, capture_output=True, text=True, check=False)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("no502 do", ["doctor"]),
        ("no502 doctor exp", ["explain"]),
        ("no502 doctor --fo", ["--format"]),
        ("no502 doctor --format gi", ["github"]),
        ("no502 doctor . --sel", ["--select"]),
        ("no502 doctor logs --fol", ["--follow"]),
    ],
)
def test_what_is_offered(line: str, offered: list[str]) -> None:
    """``no502 doctor`` takes commands and the options of its check."""
    assert complete(line) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell: str, tmp_path: Path) -> None:
    """It is printed, and installed below the home directory."""
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option in ("--show-completion", "--install-completion"):
        done = subprocess.run([NO502, option, shell], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert shell in done.stdout or "_NO502_COMPLETE" in done.stdout
    assert any("_NO502_COMPLETE" in path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file())
