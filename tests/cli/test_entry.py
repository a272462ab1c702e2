"""The console script: its help, and what it says where its own requirements are not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import clean_environment, no502

_COMMANDS = [[], ["new"], ["run"], ["adopt"], ["explain"], ["lab"], ["nginx"], ["doctor"], ["doctor", "logs"]]


def test_missing_packages_are_named(tmp_path: Path) -> None:
    """One line says what to install, and there is no traceback."""
    code = "import sys; sys.modules['typer'] = None; from no502.entry import main; main()"
    command = [sys.executable, "-c", code]
    environment = clean_environment(tmp_path)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    told = "no502: the command needs the packages of the extra cli (typer is missing): "
    told += "pip install '.[cli,nginx]' in a checkout\n"
    assert done.returncode == 1
    assert done.stderr == told


@pytest.mark.parametrize("command", _COMMANDS, ids=" ".join)
def test_short_option_of_help(tmp_path: Path, environment: dict[str, str], command: list[str]) -> None:
    """-h is --help for the program and for each command."""
    short, long = (no502(*command, option, cwd=tmp_path, env=environment) for option in ("-h", "--help"))
    assert short.returncode == 0
    assert short.stdout == long.stdout


def test_no_text_of_the_list_of_commands_is_cut(tmp_path: Path, environment: dict[str, str]) -> None:
    """In 80 columns each command's text ends with a full stop."""
    done = no502("--help", cwd=tmp_path, env={**environment, "COLUMNS": "80"})
    lines = done.stdout.partition("Commands:\n")[2].splitlines()
    assert len(lines) == 7
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []
