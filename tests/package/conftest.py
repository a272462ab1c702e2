"""The wheel, built once, and virtual environments that have nothing but it and its dependencies."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.commands import ROOT

__all__ = ["Environment"]


class Environment:
    """A fresh virtual environment into which this wheel is installed."""

    def __init__(self, directory: Path) -> None:
        venv.create(directory, with_pip=True, symlinks=True)
        self.bin = directory / "bin"

    def run(self, *command: str | Path, cwd: Path, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs, away from the checkout, and demand success."""
        words = [str(self.bin / command[0]), *map(str, command[1:])]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            words,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{words} failed with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def install(self, requirement: str, cwd: Path) -> set[str]:
        """Install with pip and return the names of all distributions that are there now."""
        pip = ["python", "-m", "pip", "--disable-pip-version-check"]
        self.run(*pip, "install", "--quiet", requirement, cwd=cwd)
        listed = self.run(*pip, "list", "--format=freeze", cwd=cwd).stdout
        return {line.split("==")[0].lower().replace("_", "-") for line in listed.splitlines()}


@pytest.fixture(name="wheel", scope="session")
def _wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = directory.glob("*.whl")
    return wheel


@pytest.fixture(name="core", scope="session")
def _core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, set[str]]:
    """``pip install no502``: the environment and what it holds."""
    environment = Environment(tmp_path_factory.mktemp("core") / "venv")
    return environment, environment.install(str(wheel), wheel.parent)


@pytest.fixture(name="full", scope="session")
def _full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """``pip install 'no502[cli,nginx]'``."""
    environment = Environment(tmp_path_factory.mktemp("full") / "venv")
    environment.install(f"{wheel}[cli,nginx]", wheel.parent)
    return environment
