"""The skill file: what it tells an assistant to run, to set and to look for exists."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gunicorn_conf import SETTINGS
from tests.support.commands import ROOT

_FILE = "no502/.agents/skills/no502/SKILL.md"
_TEXT = (ROOT / _FILE).read_text(encoding="utf-8")


def test_the_front_matter_says_when_to_use_it() -> None:
    """It has the two keys that assistants read, in the first lines, each on one line."""
    head = _TEXT.split("---\n")[1]
    assert re.findall(r"^(\w+): .+$", head, re.MULTILINE) == ["name", "description"]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`no502 (doctor logs|\w+)", _TEXT))))
def test_its_commands_exist(command: str) -> None:
    """Each command shows its help, with the options that the skill gives it."""
    done = subprocess.run(
        [sys.executable, "-m", "no502", *command.split(), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    options = re.findall(rf"`no502 {command} (--[a-z-]+)", _TEXT)
    assert [option for option in options if option not in done.stdout] == []


def test_its_variables_exist() -> None:
    """Each variable in capitals is one that gunicorn_conf reads."""
    named = set(re.findall(r"`((?:PROXY|FRONT|GUNICORN)_[A-Z_]+)`", _TEXT))
    assert len(named) == 3
    assert named <= {setting.variable for setting in SETTINGS}


def test_its_log_lines_exist() -> None:
    """The lines that it says to look for are those of the arbiter."""
    arbiter = (ROOT / "gunicorn_arbiter.py").read_text(encoding="utf-8")
    assert "handover: worker %d is ready" in arbiter
    assert "could not boot" in arbiter


def test_it_is_in_the_wheel(wheel: Path) -> None:
    """An installed package has it."""
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(_FILE).decode() == _TEXT
