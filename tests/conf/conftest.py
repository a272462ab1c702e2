"""An application, an environment without the machine's own settings, and gunicorn commands."""

import os
import shutil
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_APP = '''"""Tell what the request looks like from here."""
import json
from pathlib import Path


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/silent":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    client = scope["client"]
    body = json.dumps({"client": client and client[0], "scheme": scope["scheme"]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
'''


@pytest.fixture
def environment() -> dict[str, str]:
    """Return an environment with PATH, HOME and coverage's own variables only."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("COV")}
    return kept | {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a directory with an application in ``service.py`` and nothing else."""
    (tmp_path / "service.py").write_text(_APP)
    return tmp_path


@pytest.fixture
def gunicorn() -> list[str]:
    """Return the command that starts gunicorn with the settings module of this checkout, whatever the directory."""
    return [sys.executable, "-m", "gunicorn", "-c", "python:gunicorn_conf", "service:app"]


@pytest.fixture
def copied(project: Path) -> Path:
    """Return the project with ``gunicorn_conf.py`` copied beside the application."""
    shutil.copy(_ROOT / "gunicorn_conf.py", project)
    return project


@pytest.fixture
def not_installed(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which this checkout is not importable, as if the distribution were not installed."""
    path = tmp_path_factory.mktemp("site")
    forget = f"import sys\n\nsys.path[:] = [entry for entry in sys.path if entry != {str(_ROOT)!r}]\n"
    (path / "sitecustomize.py").write_text(forget)
    return environment | {"PYTHONPATH": str(path)}


@pytest.fixture
def handover_files() -> list[Path]:
    """Return the paths of both halves of the handover."""
    return [_ROOT / "gunicorn_handover.py", _ROOT / "gunicorn_arbiter.py"]
