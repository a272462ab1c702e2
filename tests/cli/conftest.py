"""A small application in a directory of its own, and an environment that belongs to the test."""

from pathlib import Path

import pytest

from tests.support.commands import clean_environment

APPLICATION = '''\
"""An application with a readiness endpoint."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.get("/")
async def root() -> dict[str, str]:
    return {"hello": "world"}
'''


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    """A home directory for one test."""
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture(name="environment")
def _environment(home: Path) -> dict[str, str]:
    """An environment without this machine's settings."""
    return clean_environment(home)


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    """A directory with ``app/main.py``."""
    project = tmp_path / "project"
    (project / "app").mkdir(parents=True)
    (project / "app" / "__init__.py").touch()
    (project / "app" / "main.py").write_text(APPLICATION, encoding="utf-8")
    return project
