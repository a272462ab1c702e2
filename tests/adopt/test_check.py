"""``no502 adopt --check``: the adopted samples serve behind a real nginx and lose nothing over reloads."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adopt.conftest import SAMPLES
from tests.adopt.support import write_files
from tests.support.commands import clean_environment, no502, processes_in

MORTAL = """
import os
import signal

count = 0


async def app(scope, receive, send):
    global count
    if scope["type"] != "http":
        return
    count += 1
    if count == 40:
        os.kill(os.getpid(), signal.SIGKILL)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
PROCFILE = {"Procfile": "web: uvicorn main:app\n", "requirements.txt": "uvicorn[standard]>=0.36\ngunicorn>=22\n"}


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_sample_loses_nothing(name: str, sample: Callable[[str], Path], tmp_path: Path) -> None:
    """Written and checked in one run: the application answers behind nginx, and two reloads lose no request."""
    project = sample(name)
    shutil.rmtree(project / ".venv", ignore_errors=True)
    environment = clean_environment(tmp_path / "home")
    done = no502("adopt", project, "--write", "--check", cwd=tmp_path, env=environment, seconds=180)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^lost: 0 of (\d+)$", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout
    assert int(found[1]) > 100
    assert processes_in(project) == {}
    assert list((tmp_path / "home" / "tmp").iterdir()) == []


def test_lost_request_is_seen(tmp_path: Path) -> None:
    """A worker that dies with requests in flight is counted, and the exit code is 1."""
    project = write_files(tmp_path / "mortal", {"main.py": MORTAL, **PROCFILE})
    environment = clean_environment(tmp_path / "home")
    done = no502("adopt", project, "--write", "--check", cwd=tmp_path, env=environment, seconds=180)
    assert done.returncode == 1
    assert re.search(r"lost: [1-9]\d* of \d+\n  \d+ x (?:POST|GET) got 50[24]", done.stderr), done.stderr


def test_application_that_does_not_start(tmp_path: Path) -> None:
    """What gunicorn says about it is shown, without a traceback of no502's own."""
    files = {"main.py": "import there_is_no_such_module\napp = None\n", **PROCFILE}
    project = write_files(tmp_path / "broken", files)
    done = no502("adopt", project, "--write", "--check", cwd=tmp_path, env=clean_environment(tmp_path / "home"))
    assert done.returncode == 1
    assert "there_is_no_such_module is not installed" in done.stderr
    assert processes_in(project) == {}


def test_check_needs_an_adopted_project(tmp_path: Path) -> None:
    """Without --write, a patch that is not applied is not served."""
    project = write_files(tmp_path / "plain", {"main.py": MORTAL, **PROCFILE})
    done = no502("adopt", project, "--check", cwd=tmp_path, env=clean_environment(tmp_path / "home"))
    assert done.returncode == 1
    assert "add --write" in done.stderr
    assert not (project / "gunicorn_conf.py").exists()
