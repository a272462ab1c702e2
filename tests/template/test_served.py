"""A generated service behind the real servers."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.commands import ROOT, processes_in
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.template import service_environment
from tests.support.terminal import Terminal
from tests.template.conftest import Service

SLOW = '''\
"""The service, with handlers that are too slow."""

import asyncio
import time

from app.main import create_app

app = create_app()


@app.get("/slow")
async def slow() -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("slow: cancelled", flush=True)
        raise


@app.get("/sync")
def sync() -> None:
    time.sleep(4)
    print("sync: ended", flush=True)
'''


@pytest.fixture(name="slow")
def _slow(unusual: Service) -> Iterator[str]:
    """Add slow handlers to the service; return what gunicorn is told to serve."""
    module = unusual.directory / "slow_app.py"
    module.write_text(SLOW, encoding="utf-8")
    yield "slow_app:app"
    module.unlink()


def _status(url: str) -> int:
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return 0


def _gunicorn(
    unusual: Service, application: str, port: int, *, conf: str = "gunicorn_conf.py", **extra: str
) -> Running:
    own = {"GUNICORN_BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1", "PYTHONUNBUFFERED": "1"}
    environment = service_environment(unusual.directory.parent / "tmp", **own, **extra)
    command = [unusual.python, "-m", "gunicorn", "-c", conf, application]
    return Running(command, env=environment, cwd=unusual.directory)


def test_a_late_handler_gives_504_and_is_cancelled(unusual: Service, slow: str) -> None:
    """The 504 comes from the application, as problem+json; an async handler is cancelled, a sync one runs on."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    numbers = {"GUNICORN_REQUEST_DEADLINE": "2", "GUNICORN_STATEMENT_TIMEOUT": "1"}
    with _gunicorn(unusual, slow, port, **numbers) as running:
        wait_until(lambda: _status(f"{base}/health/ready") == 200, what="readiness")
        for path in ("/slow", "/sync"):
            began = time.monotonic()
            response = httpx.get(base + path, headers={"X-Request-ID": "template-1"}, timeout=30)
            assert response.status_code == 504
            assert 1.9 < time.monotonic() - began < 15
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json() == {
                "type": "about:blank",
                "title": "Gateway Timeout",
                "status": 504,
                "detail": "No response within 2 s.",
                "request_id": "template-1",
            }
        assert "slow: cancelled" in running.output()
        running.wait_for_output("sync: ended")
        assert running.output().count("request deadline passed") == 2
        running.terminate()
        assert running.wait() == 0


def test_the_deadline_is_the_ladders(unusual: Service, slow: str) -> None:
    """``PROXY_READ_TIMEOUT=10`` in ``.env`` gives a deadline of 5 s, half of what nginx waits."""
    port = free_port()
    with _gunicorn(unusual, slow, port):
        wait_until(lambda: _status(f"http://127.0.0.1:{port}/health/ready") == 200, what="readiness")
        assert httpx.get(f"http://127.0.0.1:{port}/slow", timeout=9).json()["detail"] == "No response within 5 s."


def test_a_stopping_instance_is_not_ready_but_serves(unusual: Service) -> None:
    """Between SIGTERM and the end of the stop delay readiness says 503, liveness 200; then gunicorn leaves with 0."""
    port = free_port()
    base = f"http://127.0.0.1:{port}/health"
    with _gunicorn(unusual, "app.main:app", port, GUNICORN_STOP_DELAY="2") as running:
        wait_until(lambda: _status(f"{base}/ready") == 200, what="readiness")
        running.terminate()
        wait_until(lambda: _status(f"{base}/ready") == 503, what="503 while stopping")
        assert _status(f"{base}/live") == 200
        assert running.wait() == 0


def test_bad_settings_stop_gunicorn_without_a_traceback(unusual: Service) -> None:
    """Every variable that does not fit is named, gunicorn does not try again, and no secret is shown."""
    with _gunicorn(unusual, "app.main:app", free_port(), APP_DOK="1", APP_LOG_FORMAT="hunter2") as running:
        assert running.wait() == 3
        output = running.output()
    assert "settings: APP_DOK: unknown variable; did you mean APP_DOCS?" in output
    assert "settings: APP_LOG_FORMAT: Input should be 'auto', 'json' or 'console'" in output
    assert "Traceback" not in output
    assert "hunter2" not in output


def _serve(unusual: Service, temporary: Path, port: int, **extra: str) -> Running:
    environment = service_environment(temporary, WEB_CONCURRENCY="1", **extra)
    return Running(["make", "serve", f"PORT={port}"], env=environment, cwd=unusual.directory)


def _left(unusual: Service, temporary: Path) -> list[object]:
    """Return what a stopped service has left: processes, and files in its temporary directory."""
    return [*processes_in(unusual.directory).values(), *temporary.iterdir()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_make_serve_answers_through_nginx_and_leaves_nothing(unusual: Service, tmp_path: Path, number: int) -> None:
    """nginx and gunicorn run with the same request id, and a signal to make stops both."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with _serve(unusual, tmp_path / "tmp", port) as running:
        running.wait_for_output(f"serve: ready at {base}", seconds=30)
        response = httpx.post(f"{base}/api/greetings", json={"text": "you"}, headers={"X-Request-ID": "template-2"})
        assert response.status_code == 201
        assert response.json() == {"text": "Hello, you"}
        assert response.headers["server"] == "nginx"
        assert response.headers.get_list("x-request-id") == ["template-2"]
        assert httpx.get(f"{base}/health/checks").status_code == 404
        lines = wait_until(lambda: _json_lines(running, "template-2", 2), what="nginx's line and the application's")
        assert {line.get("logger", "nginx") for line in lines} == {"app.access", "nginx"}
        # As a terminal does with Ctrl-C: the program gets it as well as make.
        (program,) = [pid for pid, command in processes_in(unusual.directory).items() if "ops.serve" in command]
        os.kill(program, number)
        wait_until(lambda: running.returncode is not None, what="the end of make", seconds=20)
        assert "Traceback" not in running.output()
    wait_until(lambda: _left(unusual, tmp_path / "tmp") == [], what="nothing left")


@pytest.mark.parametrize("asked", ["auto", "json"])
def test_make_serve_writes_for_people_on_a_terminal(unusual: Service, tmp_path: Path, asked: str) -> None:
    """On a terminal nginx's line of a request is short, and the application's is text; JSON where it is asked for."""
    environment = service_environment(tmp_path / "tmp", WEB_CONCURRENCY="1", APP_LOG_FORMAT=asked)
    port = free_port()
    with Terminal(["make", "serve", f"PORT={port}"], cwd=unusual.directory, env=environment) as terminal:
        terminal.wait_for_output("serve: ready at")
        assert httpx.get(f"http://127.0.0.1:{port}/nowhere").status_code == 404
        lines = wait_until(
            lambda: found if len(found := [x for x in terminal.output().splitlines() if "/nowhere" in x]) > 1 else None,
            what="nginx's line and the application's",
        )
        assert {line.startswith("{") for line in lines or []} == {asked == "json"}
    wait_until(lambda: _left(unusual, tmp_path / "tmp") == [], what="nothing left")


def test_make_serve_takes_its_port_from_the_file_of_compose(unusual: Service, tmp_path: Path) -> None:
    """HTTP_PORT in .env is the port where PORT= does not name another one, written as Compose takes it."""
    port = free_port()
    file = unusual.directory / ".env"
    before = file.read_text(encoding="utf-8")
    environment = service_environment(tmp_path / "tmp", WEB_CONCURRENCY="1")
    try:
        file.write_text(f"{before}\nHTTP_PORT=127.0.0.1:{port}\n", encoding="utf-8")
        with Running(["make", "serve"], env=environment, cwd=unusual.directory) as running:
            running.wait_for_output(f"serve: ready at http://127.0.0.1:{port}/health/ready", seconds=30)
        file.write_text(f"{before}\nHTTP_PORT=many\n", encoding="utf-8")
        with Running(["make", "serve"], env=environment, cwd=unusual.directory) as running:
            assert running.wait(30) == 2
            running.wait_for_output("serve: HTTP_PORT=many: must be a port from 1 to 65535")
    finally:
        file.write_text(before, encoding="utf-8")


def test_the_tutorial_s_reload_loses_nothing(unusual: Service, tmp_path: Path) -> None:
    """The requests of docs/tutorial.md, sent while gunicorn gets its SIGHUP, are all answered 201."""
    port = free_port()
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    found = re.search(r"(for i in \$\(seq 300\); do\n.*?uniq -c) &", page, re.DOTALL)
    assert found
    with _serve(unusual, tmp_path / "tmp", port) as running:
        running.wait_for_output("serve: ready at", seconds=30)
        loop = subprocess.Popen(["sh", "-c", found[1].replace("8080", str(port))], stdout=subprocess.PIPE, text=True)
        master = min(pid for pid, command in processes_in(unusual.directory).items() if "gunicorn" in command)
        os.kill(master, signal.SIGHUP)
        running.wait_for_output("gone (reload)", seconds=30)
        assert loop.communicate(timeout=60)[0].split() == ["300", "201"]


def test_terminating_make_stops_everything(unusual: Service, tmp_path: Path) -> None:
    """make passes SIGTERM on, and nothing is left."""
    port = free_port()
    with _serve(unusual, tmp_path / "tmp", port) as running:
        running.wait_for_output("serve: ready at", seconds=30)
        assert processes_in(unusual.directory) != {}
        running.terminate()
        running.wait(20)
    wait_until(lambda: _left(unusual, tmp_path / "tmp") == [], what="nothing left")


def _json_lines(running: Running, request_id: str, count: int) -> list[dict[str, object]]:
    """Return the JSON log lines of one request once there are enough of them."""
    lines = [json.loads(line) for line in running.output().splitlines() if line.startswith("{")]
    found = [line for line in lines if line.get("request_id") == request_id]
    return found if len(found) >= count else []


def test_serve_says_that_its_port_is_taken(unusual: Service, tmp_path: Path) -> None:
    """A taken port is one line and exit code 1."""
    with _gunicorn(unusual, "app.main:app", port := free_port()) as other:
        other.wait_for_output("Listening at")
        with _serve(unusual, tmp_path / "tmp", port) as running:
            assert running.wait() != 0
            assert f"serve: port {port}: Address already in use; choose another one" in running.output()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"APP_DOK": "1"}, "serve: gunicorn ended with exit code 3, see above"),
        ({"NGINX_CLIENT_MAX_BODY_SIZE": "huge"}, "serve: nginx rejects its configuration, see above"),
    ],
)
def test_serve_says_which_side_does_not_start(
    unusual: Service, tmp_path: Path, extra: dict[str, str], message: str
) -> None:
    """When one of the two does not start, its own message and one line are shown, and the other is stopped."""
    with _serve(unusual, tmp_path / "tmp", free_port(), **extra) as running:
        assert running.wait(30) != 0
        assert message in running.output()
        assert "Traceback" not in running.output()
    wait_until(lambda: _left(unusual, tmp_path / "tmp") == [], what="nothing left")


@pytest.mark.parametrize("style", ["json", "console"])
def test_every_line_of_the_log_has_one_form(unusual: Service, style: str) -> None:
    """From the first line to the last: gunicorn's master and workers, uvicorn, the application, a reload too."""
    port = free_port()
    extra = {"APP_LOG_FORMAT": style, "GUNICORN_STOP_DELAY": "0"}
    with _gunicorn(unusual, "app.main:app", port, conf="app/server.py", **extra) as running:
        wait_until(lambda: _status(f"http://127.0.0.1:{port}/health/ready") == 200, seconds=30, what="readiness")
        httpx.get(f"http://127.0.0.1:{port}/", timeout=30)
        running.wait_for_output("app.access", seconds=30)
        running.send_signal(signal.SIGHUP)
        running.wait_for_output("(reload)", seconds=30)
        wait_until(lambda: running.output().count("is ready") >= 2, seconds=30, what="a new worker")
        running.terminate()
        assert running.wait(60) == 0
        lines = running.output().splitlines()
    form = r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING) +([a-z.]+): .+" if style == "console" else r'\{"time": "[^"]+", .+\}'
    assert [line for line in lines if not re.fullmatch(form, line)] == []
    if style == "json":
        parsed = [json.loads(line) for line in lines]
        assert {"gunicorn.error", "uvicorn.error", "app.access"} <= {line["logger"] for line in parsed}
        assert parsed[0]["message"].startswith("Starting gunicorn")
        assert parsed[-1]["message"] == "Shutting down: Master"
