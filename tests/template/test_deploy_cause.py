"""``ops/deploy`` finds why a version cannot serve in the logs of real servers, however long they are."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.server import ROOT, Gunicorn
from tests.support.template import PROJECT

_SCRIPT = (PROJECT / "ops" / "deploy").read_text(encoding="utf-8")
_NOISE = "print('\\n'.join(f'a line of the application, {number}' for number in range(1000)), flush=True)\n"
_AWAY = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("the database is away")
    yield
app = FastAPI(lifespan=lifespan)
"""


def _why(log: str) -> str:
    function = re.search(r"^why\(\) \{\n.*?^\}\n", _SCRIPT, re.MULTILINE | re.DOTALL)
    assert function is not None
    command = ["sh", "-c", f"{function[0]}why"]
    return subprocess.run(command, input=log, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def _log(directory: Path, source: str, environment: Mapping[str, str]) -> str:
    """Return what a version logs that cannot serve and is started again and again; the last start is under way."""
    (directory / "version.py").write_text(_NOISE + source, encoding="utf-8")
    conf, log = ROOT / "gunicorn_conf.py", ""
    for _ in range(2):
        with Gunicorn(directory, app="version:app", conf=conf, env=environment, boots=False) as server:
            assert server.wait() != 0
            log += server.output()
    return log + "\n".join(f"a line of the application, {number}" for number in range(1000))


@pytest.mark.parametrize(
    ("source", "environment", "cause"),
    [
        (_AWAY, {"WEB_CONCURRENCY": "2"}, "Reason: Worker failed to boot. RuntimeError: the database is away"),
        ("raise KeyError('DATABASE_URL')", {}, "KeyError: 'DATABASE_URL'"),
        ("", {"GUNICORN_TIMEOUT": "soon"}, "gunicorn_conf: GUNICORN_TIMEOUT=soon"),
    ],
    ids=["lifespan", "import", "setting"],
)
def test_the_cause_is_found(tmp_path: Path, source: str, environment: Mapping[str, str], cause: str) -> None:
    """Thousands of lines before and after it, and several starts, hide nothing."""
    log = _log(tmp_path, source, environment)
    assert len(log.splitlines()) > 900
    assert cause not in "\n".join(log.splitlines()[-20:])
    assert cause in _why(log)


def test_a_log_without_a_cause() -> None:
    """A version that only does not become healthy has no such line."""
    assert _why("[INFO] Application startup complete.\na line\n") == ""


@pytest.mark.parametrize("place", ["report $new", 'report "$id"'])
def test_the_cause_is_reported(place: str) -> None:
    """A deployment that is taken back reports it, and so does the first one."""
    assert place in _SCRIPT
