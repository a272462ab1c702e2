"""``make lock``: the versions that it writes are those of the image and of ``make install``."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.template import bake, service_environment

_OLD = "0.38.0"
"""A version of uvicorn that is allowed and is not the newest."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """An environment with uv, and with a ``pip`` and a ``python`` of its own."""
    directory = tmp_path_factory.mktemp("uv")
    subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True)
    subprocess.run([directory / "venv/bin/pip", "install", "--quiet", "uv<1"], check=True)
    values = service_environment(directory / "tmp")
    return {**values, "PATH": os.pathsep.join([str(directory / "venv/bin"), values["PATH"]])}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]) -> Path:
    """A service with a lock that has an older uvicorn."""
    project = bake(tmp_path_factory.mktemp("locked"))
    command = ["make", "lock", f"ARGS=--upgrade-package uvicorn=={_OLD}"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return project


def _requirements(
    project: Path, directory: Path, environment: Mapping[str, str], extras: str = ""
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the builder's shell command outside Docker, up to the installation; return what would be installed."""
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    command = re.findall(r"^RUN (if .*?[^\\])\n", dockerfile, re.MULTILINE | re.DOTALL)[0]
    build = directory / "build"
    build.mkdir()
    for name in ("pyproject.toml", "uv.lock"):
        if (project / name).exists():
            shutil.copy(project / name, build)
    command = command.replace("/opt/venv/bin/pip install", "true")
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=build,
        env={**environment, "EXTRAS": extras},
        capture_output=True,
        text=True,
        check=False,
    )
    file = build / "requirements.txt"
    return done, file.read_text(encoding="utf-8") if file.exists() else ""


@pytest.mark.parametrize("extras", ["", "otel"])
def test_the_image_has_the_locked_versions(
    locked: Path, tmp_path: Path, environment: Mapping[str, str], extras: str
) -> None:
    """With a lock the image installs its versions with their hashes, the extras too, and nothing for development."""
    done, text = _requirements(locked, tmp_path, environment, extras)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^uvicorn(\[standard\])?=={_OLD} \\\n +--hash=sha256:", text, re.MULTILINE)
    assert ("\nopentelemetry-sdk==" in text) is (extras == "otel")
    assert "mypy" not in text


@pytest.mark.parametrize("extras", ["", "otel"])
def test_without_a_lock_the_image_has_what_is_allowed(
    tmp_path: Path, environment: Mapping[str, str], extras: str
) -> None:
    """Without a lock the image installs the requirements of pyproject.toml."""
    done, text = _requirements(bake(tmp_path / "bake"), tmp_path, environment, extras)
    assert done.returncode == 0, done.stderr
    assert "uvicorn[standard]>=0.36,<1" in text.splitlines()
    assert ("fastapi[opentelemetry]" in text.splitlines()) is (extras == "otel")


def test_an_outdated_lock_builds_no_image(locked: Path, tmp_path: Path, environment: Mapping[str, str]) -> None:
    """A dependency that the lock does not have is said at build time, not when the service imports it."""
    changed = tmp_path / "changed"
    shutil.copytree(locked, changed)
    file = changed / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("dependencies = [\n", 'dependencies = [\n    "typer",\n', 1), encoding="utf-8")
    done, _ = _requirements(changed, tmp_path, environment)
    assert done.returncode != 0
    assert "uv.lock" in done.stderr or "lockfile" in done.stderr


def test_make_install_takes_the_locked_versions(locked: Path, environment: Mapping[str, str]) -> None:
    """With uv and a lock ``make install`` installs its versions, and the development tools."""
    command = ["make", f"PYTHON={sys.executable}", "install"]
    done = subprocess.run(command, cwd=locked, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = "import importlib.metadata as m; print(m.version('uvicorn'), bool(m.version('mypy')))"
    command = [str(locked / ".venv/bin/python"), "-c", asked]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{_OLD} True\n"


def test_a_missing_uv_is_one_line(tmp_path: Path) -> None:
    """Without uv ``make lock`` says what to install and writes nothing."""
    project = bake(tmp_path)
    make = shutil.which("make")
    assert make
    done = subprocess.run(
        [make, "lock"], cwd=project, env={"PATH": str(tmp_path / "empty")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "make lock needs uv: pip install uv"
    assert not (project / "uv.lock").exists()


def test_docker_and_ci_see_the_lock(tmp_path: Path) -> None:
    """The lock is part of Docker's context and of git, and CI installs uv only where there is one."""
    project = bake(tmp_path)
    assert "!uv.lock" in (project / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "uv.lock" not in (project / ".gitignore").read_text(encoding="utf-8")
    workflow = (project / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert workflow.index("hashFiles('uv.lock')") < workflow.index("pip install 'uv<1'") < workflow.index("make check")
