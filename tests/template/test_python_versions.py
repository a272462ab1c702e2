"""``make install`` of a service and of the repository: a wrong Python, and an environment whose Python has gone."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.template import bake, service_environment

_OLD = """#!/bin/sh
case "$1" in -V) echo "Python 3.10.12" ;; *) exit 1 ;; esac
"""
_OTHER = """#!/bin/sh
case "$2" in *print*) echo "(3, 99)" ;; esac
"""


@pytest.fixture(name="project", params=["service", "repository"])
def _project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A generated service, and what ``make install`` reads of the repository."""
    if request.param == "service":
        return bake(tmp_path)
    project = tmp_path / "repository"
    (project / "scripts").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements-dev.lock", "scripts/install.sh"):
        shutil.copy(ROOT / name, project / name)
    return project


def _program(tmp_path: Path, script: str) -> Path:
    program = tmp_path / "python"
    program.write_text(script, encoding="utf-8")
    program.chmod(0o755)
    return program


def _make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = service_environment(project.parent / "tmp")
    command = ["make", *arguments, "install"]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(name="installed")
def _installed(project: Path) -> Path:
    """The project with an environment that counts as installed; nothing is in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    (project / ".venv" / "installed").touch()
    return project


def test_a_wrong_python_is_one_line(project: Path, tmp_path: Path) -> None:
    """Python 3.10 is refused before anything is made; the line says what is needed and what to write."""
    program = _program(tmp_path, _OLD)
    done = _make(project, f"PYTHON={program}")
    assert done.returncode == 2
    line, end = done.stderr.splitlines()
    assert line.startswith(f"{program} is Python 3.10.12")
    assert "Python 3.11 or newer" in line
    assert "PYTHON=python3.13" in line
    assert re.match(r"make(\[\d+\])?: \*\*\* ", end)
    assert not (project / ".venv").exists()


def test_an_environment_that_works_is_kept(installed: Path) -> None:
    """Nothing is installed again, whether or not the interpreter is named."""
    for arguments in ([], [f"PYTHON={sys.executable}"]):
        done = _make(installed, "--dry-run", *arguments)
        assert "Nothing to be done" in done.stdout
    assert (installed / ".venv" / "installed").exists()


def test_an_environment_without_its_python_is_made_anew(installed: Path) -> None:
    """The interpreter has been removed from the machine: the next make installs."""
    for program in (installed / ".venv" / "bin").glob("python*"):
        program.unlink()
        program.symlink_to("/nowhere/python")
    assert "Nothing to be done" not in _make(installed, "--dry-run").stdout
    assert not (installed / ".venv" / "installed").exists()


def test_another_interpreter_is_taken(installed: Path, tmp_path: Path) -> None:
    """PYTHON= names another version than the environment has: it is made anew with that one."""
    done = _make(installed, "--dry-run", f"PYTHON={_program(tmp_path, _OTHER)}")
    assert "Nothing to be done" not in done.stdout
    assert not (installed / ".venv" / "installed").exists()
