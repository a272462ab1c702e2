"""Generated services: one with the default answers, one with unusual ones, each installed once."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.template import bake, service_environment

UNUSUAL = {
    "project_name": "Zürich's Überprüfung & the long-winded Billing of Сервис 24",
    "description": "Bills, reminders & 'offers' for " + "ü" * 68,
    "author": "Zoë O'Neill, Bücher & Söhne",
    "python_version": "3.11",
    "domain": "a-very-long-name-of-a-host.eu-central-1.internal.example.com",
    "proxy_read_timeout": "10",
}


@dataclass(frozen=True)
class Service:
    """A generated and installed service."""

    directory: Path

    @property
    def python(self) -> str:
        """The interpreter of the service's own virtual environment."""
        return str(self.directory / ".venv" / "bin" / "python")

    def make(self, target: str, *, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run ``make`` to its end."""
        command = ["make", f"PYTHON={sys.executable}", target]
        return subprocess.run(
            command,
            cwd=self.directory,
            env=service_environment(self.directory.parent / "tmp"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )


def _installed(directory: Path, answers: dict[str, str]) -> Service:
    service = Service(bake(directory, **answers))
    done = service.make("install")
    assert done.returncode == 0, done.stdout
    return service


@pytest.fixture(name="usual", scope="session")
def _usual(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service from the default answers, installed by its own Makefile."""
    return _installed(tmp_path_factory.mktemp("usual"), {})


@pytest.fixture(name="unusual", scope="session")
def _unusual(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service from unusual answers, installed by its own Makefile."""
    return _installed(tmp_path_factory.mktemp("unusual"), UNUSUAL)


@pytest.fixture(name="service", params=["usual", "unusual"])
def _service(request: pytest.FixtureRequest) -> Service:
    """Each of the two."""
    service: Service = request.getfixturevalue(request.param)
    return service
