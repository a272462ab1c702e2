"""The console script where the command's own requirements are not installed."""

import subprocess
import sys
from pathlib import Path

from tests.support.commands import clean_environment


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
