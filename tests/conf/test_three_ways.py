"""gunicorn_conf as an installed module, as a copied file, and in code."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running

_DOTENV = "PROXY_READ_TIMEOUT=60\nPROXY_KEEPALIVE_TIMEOUT=5\n"
_AT_60_AND_5 = "statement 29 < deadline 33 < timeout 40 < proxy_read 60; idle: proxy 5 < worker 20"


def _get(port: int) -> dict[str, str]:
    def ask() -> bytes | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
                body: bytes = response.read()
                return body
        except OSError:
            return None

    answer: dict[str, str] = json.loads(wait_until(ask, what="an answer from gunicorn") or b"")
    return answer


def test_installed_module_from_any_directory(project: Path, gunicorn: list[str], environment: dict[str, str]) -> None:
    """`-c python:gunicorn_conf` computes from the .env of the working directory and hands over."""
    port = free_port()
    (project / ".env").write_text(_DOTENV)

    with Running(gunicorn, cwd=project, env=environment | {"GUNICORN_BIND": f"127.0.0.1:{port}"}) as server:
        assert _get(port) == {"client": "127.0.0.1", "scheme": "http"}
        output = server.wait_for_output("is ready")
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0

    assert _AT_60_AND_5 in output
    assert "Using worker: gunicorn_handover.HandoverWorker" in output


@pytest.mark.parametrize("missing", ["gunicorn_handover.py", "gunicorn_arbiter.py"])
def test_copied_file_without_the_others_says_what_is_missing(
    copied: Path, not_installed: dict[str, str], handover_files: list[Path], missing: str
) -> None:
    """Without the files of the handover gunicorn does not start: one line names the file, no traceback."""
    for file in handover_files:
        if file.name != missing:
            shutil.copy(file, copied)
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn_conf.py", "service:app"]

    done = subprocess.run(command, env=not_installed, cwd=copied, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith(f"gunicorn_conf: {missing} is missing: copy it beside gunicorn_conf.py")
    assert len(done.stderr.splitlines()) == 1


def test_another_worker_class_needs_no_handover(copied: Path, not_installed: dict[str, str]) -> None:
    """``GUNICORN_WORKER_CLASS`` takes any class, with that class's shorter deadline, and the log says what it costs."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn_conf.py", "service:app"]
    variables = {"GUNICORN_BIND": f"127.0.0.1:{port}", "GUNICORN_WORKER_CLASS": "uvicorn_worker.UvicornWorker"}

    with Running(command, cwd=copied, env=not_installed | variables) as server:
        _get(port)
        output = server.output()

    assert "Using worker: uvicorn_worker.UvicornWorker" in output
    assert "deadline 57 < timeout 120" in output
    assert "uvicorn_worker.UvicornWorker loses requests when a worker leaves" in output
    assert "the request deadline is shortened to 57 s" in output


@pytest.mark.parametrize("elsewhere", [False, True], ids=["beside-the-app", "in-another-directory"])
def test_copied_file_with_the_handover_beside_it_hands_over(
    copied: Path, not_installed: dict[str, str], handover_files: list[Path], elsewhere: bool
) -> None:
    """`-c deploy/gunicorn_conf.py` finds the gunicorn_handover.py next to it."""
    port = free_port()
    for file in handover_files:
        shutil.copy(file, copied)
    conf = Path("gunicorn_conf.py")
    if elsewhere:
        (copied / "deploy").mkdir()
        for name in ("gunicorn_conf.py", "gunicorn_handover.py", "gunicorn_arbiter.py"):
            (copied / name).rename(copied / "deploy" / name)
        conf = Path("deploy/gunicorn_conf.py")
    command = [sys.executable, "-m", "gunicorn", "-c", str(conf), "service:app"]

    with Running(command, cwd=copied, env=not_installed | {"GUNICORN_BIND": f"127.0.0.1:{port}"}) as server:
        _get(port)
        output = server.wait_for_output("is ready")

    assert "Using worker: gunicorn_handover.HandoverWorker" in output
    assert "deadline 100 < timeout 120" in output


def test_in_code_the_settings_come_from_the_environment(project: Path, environment: dict[str, str]) -> None:
    """An application imports ServerSettings for its deadline; nothing is printed."""
    code = (
        "from gunicorn_conf import ServerSettings; s = ServerSettings(); print(s.request_deadline, s.statement_timeout)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=environment | {"PROXY_READ_TIMEOUT": "60"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "33 29\n"
    assert done.stderr == ""


def test_a_reload_reads_the_copied_file_and_dotenv_again(
    copied: Path, not_installed: dict[str, str], handover_files: list[Path]
) -> None:
    """After SIGHUP the new generation runs with the number that .env has now."""
    port = free_port()
    for file in handover_files:
        shutil.copy(file, copied)
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn_conf.py", "service:app"]

    with Running(command, cwd=copied, env=not_installed | {"GUNICORN_BIND": f"127.0.0.1:{port}"}) as server:
        server.wait_for_output("is ready")
        (copied / ".env").write_text(_DOTENV)
        server.send_signal(signal.SIGHUP)
        server.wait_for_output(_AT_60_AND_5)
        server.wait_for_output("gone (reload)")
        _get(port)


def test_a_reload_reads_dotenv_again_for_the_installed_module_too(
    project: Path, gunicorn: list[str], environment: dict[str, str]
) -> None:
    """`-c python:gunicorn_conf`: SIGHUP puts in force what .env says now, and a broken .env changes nothing."""
    port = free_port()
    service = project / "service.py"
    service.write_text(f"import gunicorn_conf\n{service.read_text()}")
    with Running(gunicorn, cwd=project, env=environment | {"GUNICORN_BIND": f"127.0.0.1:{port}"}) as server:
        server.wait_for_output("is ready")
        (project / ".env").write_text(_DOTENV)
        server.send_signal(signal.SIGHUP)
        server.wait_for_output(_AT_60_AND_5)
        server.wait_for_output("gone (reload)")
        (project / ".env").write_text("PROXY_READ_TIMEOUT=never\n")
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("reload refused, the old configuration stays in force")
        ready = server.output().count("is ready")
        server.send_signal(signal.SIGTTIN)  # its application imports the settings
        wait_until(lambda: server.output().count("is ready") > ready, seconds=30, what="one more worker")
        (project / ".env").write_text("PROXY_READ_TIMEOUT=90\n")
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("timeout 60 < proxy_read 90")
        _get(port)
