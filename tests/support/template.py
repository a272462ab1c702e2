"""Services generated from the checkout's template, as a user generates them."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from no502.ladder.settings import is_ours
from tests.support.commands import ROOT, clean_environment

__all__ = ["PROJECT", "TEMPLATE", "bake", "cookiecutter", "files_in", "service_environment"]

TEMPLATE = ROOT / "template"
PROJECT = TEMPLATE / "{{cookiecutter.__project_slug}}"

_FOREIGN = ("APP_", "COVERAGE_", "NGINX_")
_FOREIGN_NAMES = {"MAKEFLAGS", "PYTHONPATH"}
_FOREIGN_NAMES |= {"DATABASE_URL", "PROMETHEUS_MULTIPROC_DIR", "SERVER_SOFTWARE"}


def cookiecutter(
    home: Path, *arguments: str | Path, template: Sequence[str | Path] = (ROOT, "--directory", "template")
) -> subprocess.CompletedProcess[str]:
    """Run ``cookiecutter --no-input`` to its end, with an empty home directory."""
    command = [sys.executable, "-m", "cookiecutter", "--no-input", *template, *arguments]
    return subprocess.run(
        list(map(str, command)),
        env=clean_environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def bake(directory: Path, **answers: str) -> Path:
    """Generate a service below ``directory`` and return its directory."""
    out = directory / "out"
    out.mkdir(parents=True)
    done = cookiecutter(directory / "home", "--output-dir", out, *(f"{key}={value}" for key, value in answers.items()))
    assert done.returncode == 0, done.stderr
    (project,) = out.iterdir()
    return project


def files_in(directory: Path) -> dict[str, bytes]:
    """Return every file below a directory: relative name and content."""
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


def service_environment(temporary: Path, **extra: str) -> Mapping[str, str]:
    """Return an environment with nothing that would reach into the service, and with its own temporary directory.

    Unlike ``clean_environment`` it keeps what package installers need. The ``no502`` and uv beside this interpreter
    come first: one that is installed elsewhere on the machine is not the one under test.
    """
    temporary.mkdir(parents=True, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and not is_ours(name) and name not in {*_FOREIGN_NAMES, "VIRTUAL_ENV"}
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**kept, "PATH": path, "TMPDIR": str(temporary), **extra}
