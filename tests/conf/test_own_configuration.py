"""Configuration files that people already have, on top of gunicorn_conf."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running

_FOREIGN = "raise RuntimeError('a foreign gunicorn_conf.py was imported')\n"


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            return bool(json.loads(response.read()))
    except OSError:
        return False


@pytest.mark.parametrize("module", ["gunicorn_conf", "no502.gunicorn"])
def test_own_file_keeps_its_hooks_and_gets_the_ladder(project: Path, environment: dict[str, str], module: str) -> None:
    """``from ... import *`` brings every setting and hook; what follows it wins; SIGHUP reads both again."""
    port = free_port()
    (project / "gunicorn.conf.py").write_text(
        f"from {module} import *\n\nproc_name = 'mine'\nmax_requests = 77\n\n\n"
        "def when_ready(server):\n    server.log.info('my own hook')\n"
    )
    variables = environment | {"GUNICORN_BIND": f"127.0.0.1:{port}"}
    with Running([sys.executable, "-m", "gunicorn", "service:app"], cwd=project, env=variables) as server:
        output = server.wait_for_output("is ready")
        assert "Using worker: gunicorn_handover.HandoverWorker" in output
        assert "my own hook" in output
        assert "deadline 100 < timeout 120 < proxy_read 180" in output
        assert "WARNING" not in output
        (project / ".env").write_text("PROXY_READ_TIMEOUT=60\n")
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("timeout 40 < proxy_read 60")
        server.wait_for_output("gone (reload)")
        wait_until(lambda: _answers(port), what="an answer")


def test_own_file_that_breaks_the_ladder_is_told_so(project: Path, environment: dict[str, str]) -> None:
    """A number of the file's own that does not fit is refused under the name that it has there."""
    (project / "gunicorn.conf.py").write_text("from gunicorn_conf import *\ntimeout = 300\n")
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "service:app"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert re.search(
        r"gunicorn_conf: timeout = 300 \(\./gunicorn\.conf\.py\): must be at most 179, "
        r"or raise PROXY_READ_TIMEOUT to 450, or drop timeout",
        done.stderr,
    )
    assert "Traceback" not in done.stderr


def test_own_hook_calls_ours(project: Path, environment: dict[str, str]) -> None:
    """A file that has an ``on_starting`` of its own calls the one that it replaces."""
    (project / "gunicorn.conf.py").write_text(
        "import gunicorn_conf\nfrom gunicorn_conf import *\n\n\n"
        "def on_starting(server):\n    gunicorn_conf.on_starting(server)\n    server.log.info('my own hook')\n"
    )
    variables = environment | {"GUNICORN_BIND": f"127.0.0.1:{free_port()}"}
    with Running([sys.executable, "-m", "gunicorn", "service:app"], cwd=project, env=variables) as server:
        output = server.wait_for_output("is ready")
    assert "my own hook" in output
    assert "arbiter's half is missing" not in output


def test_a_local_file_of_the_same_name_does_not_shadow(project: Path, environment: dict[str, str]) -> None:
    """``-c python:no502.gunicorn`` is this configuration even beside a foreign ``gunicorn_conf.py``."""
    (project / "gunicorn_conf.py").write_text(_FOREIGN)
    variables = environment | {"GUNICORN_BIND": f"127.0.0.1:{free_port()}"}
    command = [sys.executable, "-m", "gunicorn", "-c", "python:no502.gunicorn", "service:app"]
    with Running(command, cwd=project, env=variables) as server:
        server.wait_for_output("is ready")
        (project / ".env").write_text("PROXY_READ_TIMEOUT=60\n")
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("timeout 40 < proxy_read 60")
        server.wait_for_output("gone (reload)")


def test_a_local_file_of_the_same_name_shadows_the_short_name(project: Path, environment: dict[str, str]) -> None:
    """The twin: the short name finds the foreign file, which is why there is the long one."""
    (project / "gunicorn_conf.py").write_text(_FOREIGN)
    command = [sys.executable, "-m", "gunicorn", "-c", "python:gunicorn_conf", "service:app"]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    assert "a foreign gunicorn_conf.py was imported" in done.stderr


def test_statsd_of_an_own_file_gets_the_gauges(project: Path, environment: dict[str, str]) -> None:
    """``statsd_host`` and ``enable_backlog_metric`` beside the ladder: both gauges of gunicorn's arbiter are sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        address = f"127.0.0.1:{receiver.getsockname()[1]}"
        (project / "gunicorn.conf.py").write_text(
            f"from gunicorn_conf import *\n\nstatsd_host = '{address}'\nenable_backlog_metric = True\n"
        )
        variables = environment | {"GUNICORN_BIND": f"127.0.0.1:{free_port()}", "WEB_CONCURRENCY": "2"}
        missing = {b"gunicorn.workers:2|g", b"gunicorn.backlog:0|h"}
        with Running([sys.executable, "-m", "gunicorn", "service:app"], cwd=project, env=variables) as server:
            while missing:
                missing -= {receiver.recv(65536)}
    assert "Traceback" not in server.output()


def test_logconfig_of_an_own_file_is_used(project: Path, environment: dict[str, str]) -> None:
    """``logconfig_dict`` beside the ladder: gunicorn's and the handover's lines have its format."""
    logging = {
        "version": 1,
        "formatters": {"mine": {"format": "mine|%(levelname)s|%(message)s"}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "mine", "stream": "ext://sys.stdout"}},
        "root": {"handlers": ["out"], "level": "INFO"},
        "loggers": {"gunicorn.error": {"handlers": ["out"], "level": "INFO", "propagate": False}},
    }
    (project / "gunicorn.conf.py").write_text(f"from gunicorn_conf import *\n\nlogconfig_dict = {logging!r}\n")
    variables = environment | {"GUNICORN_BIND": f"127.0.0.1:{free_port()}"}
    with Running([sys.executable, "-m", "gunicorn", "service:app"], cwd=project, env=variables) as server:
        output = server.wait_for_output("is ready")
    assert "mine|INFO|Using worker: gunicorn_handover.HandoverWorker" in output


def test_preload_app_of_an_own_file_is_told_what_reload_does(project: Path, environment: dict[str, str]) -> None:
    """``preload_app`` beside the ladder serves, and the log says that SIGHUP will not load new code."""
    port = free_port()
    (project / "gunicorn.conf.py").write_text("from gunicorn_conf import *\n\npreload_app = True\n")
    variables = environment | {"GUNICORN_BIND": f"127.0.0.1:{port}"}
    with Running([sys.executable, "-m", "gunicorn", "service:app"], cwd=project, env=variables) as server:
        output = server.wait_for_output("is ready")
        wait_until(lambda: _answers(port), what="an answer")
    assert "preload_app" in output
