"""The messages of a real gunicorn, and the forms in which logs of applications arrive."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from no502.doctor.logs.findings import Findings, classify
from no502.doctor.logs.parse import parse
from tests.support.ports import free_port
from tests.support.server import UVICORN, Gunicorn


def ids(text: str) -> set[str]:
    """Return the ids of the messages in a text."""
    findings = Findings()
    findings.read([line.encode() for line in text.splitlines()])
    return set(findings.seen)


def test_recycled_and_signalled(tmp_path: Path) -> None:
    """A recycle is L956, a signal L961."""
    with Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, max_requests=2) as server:
        server.ask()
        server.ask()
        server.wait_for_log("Maximum request limit", seconds=60)
        server.wait_for_log("Application startup complete", count=2, seconds=60)
        server.stop(signal.SIGTERM, seconds=60)
        assert {"L956", "L961"} <= ids(server.output())


def test_killed(tmp_path: Path) -> None:
    """SIGKILL of a worker is L952."""
    with Gunicorn(tmp_path, worker_class=UVICORN, hooks=False) as server:
        os.kill(server.worker_pids()[0], signal.SIGKILL)
        server.wait_for_log("Perhaps out of memory", seconds=60)
        server.wait_for_log("Application startup complete", count=2, seconds=60)
        assert "L952" in ids(server.output())


def test_does_not_boot(tmp_path: Path) -> None:
    """A lifespan startup that fails is L955."""
    (tmp_path / "broken").touch()
    with Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, boots=False) as server:
        server.wait(60)
        assert "L955" in ids(server.output())


_GUNICORN = ("gunicorn", "-b", "127.0.0.1:{port}")
_REFUSED = {
    "no attribute": ((*_GUNICORN, "main:app"), "L962"),
    "no module": ((*_GUNICORN, "nowhere:app"), "L962"),
    "no worker class": ((*_GUNICORN, "-k", "nowhere.Worker", "main:x"), "L964"),
    "no port": (("gunicorn", "-b", "127.0.0.1:$PORT", "main:x"), "L966"),
    "no configuration": ((*_GUNICORN, "-c", "nowhere.py", "main:x"), "L968"),
    "no directory": ((*_GUNICORN, "--chdir", "/nowhere", "main:x"), "L968"),
    "no application": (_GUNICORN, "L968"),
    "no log directory": ((*_GUNICORN, "--error-logfile", "/nowhere/log", "main:x"), "L968"),
    "no option": ((*_GUNICORN, "--keepalive", "5", "main:x"), "L959"),
    "no value": ((*_GUNICORN, "-w", "many", "main:x"), "L959"),
    "uvicorn: no attribute": (("uvicorn", "--port", "{port}", "main:app"), "L962"),
    "uvicorn: no module": (("uvicorn", "--port", "{port}", "nowhere:app"), "L962"),
    "uvicorn: no port": (("uvicorn", "--port", "$PORT", "main:x"), "L966"),
    "uvicorn: no option": (("uvicorn", "--keep-alive", "5", "main:x"), "L959"),
    "uvicorn: taken port": (("uvicorn", "--port", "{taken}", "main:startup"), "L958"),
}
"""What a real server refuses -> its message."""


@pytest.mark.parametrize(("command", "expected"), _REFUSED.values(), ids=list(_REFUSED))
def test_refused_start(tmp_path: Path, command: tuple[str, ...], expected: str) -> None:
    """Each way not to start is recognised, and no line at level ERROR is left unexplained."""
    application = "x = 1\nasync def startup(scope, receive, send):\n    raise RuntimeError(scope['type'])\n"
    (tmp_path / "main.py").write_text(application, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken, port = listener.getsockname()[1], free_port()
        words = [word.format(port=port, taken=taken) for word in command]
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
    findings = Findings()
    findings.read([line.encode() for line in (done.stdout + done.stderr).splitlines()])
    assert done.returncode != 0
    assert expected in findings.seen, done.stderr
    assert findings.unknown.top(5) == []


LINES = {
    "WORKER TIMEOUT (pid:7)": "L951",
    "Worker (pid:7) was sent SIGKILL! Perhaps out of memory?": "L952",
    "Worker with pid 7 was terminated due to signal 9": "L952",
    "Worker (pid:7) was sent SIGSEGV!": "L953",
    "Worker (pid:7) was sent code 139!": "L953",
    "Worker (pid:7) was sent SIGTERM!": "L957",
    "Error handling request /slow": "L984",
    "Unhandled exception in main loop": "L986",
    "Child process [7] died": "L991",
    "Worker failed to boot.": "L955",
    "Autorestarting worker after current request.": "L956",
    "Connection in use: ('127.0.0.1', 8000)": "L958",
    "Cancel 2 running task(s), timeout graceful shutdown exceeded": "L960",
    "Handling signal: hup": "L961",
    "Exception in ASGI application": "L963",
    "Invalid HTTP request received.": "L965",
    "Exceeded concurrency limit.": "L967",
}


@pytest.mark.parametrize(
    "form",
    [
        "{text}",
        "[2026-11-26 12:00:01 +0000] [1] [ERROR] {text}",
        "ERROR:    {text}",
        "app-1  | ERROR:    {text}",
        "\x1b[31mERROR\x1b[0m:    {text}",
        "2026-11-26 12:00:01,123 - uvicorn.error - ERROR - {text}",
        "[pod/app-7d9f-abcde/app] ERROR:    {text}",
        "ERROR:gunicorn.error:{text}",
        "2026-11-26 12:00:01,123 ERROR gunicorn.error {text}",
        "2026-11-26 12:00:01.123 | ERROR    | gunicorn.glogging:error:251 - {text}",
        "2026-11-26 12:00:01 [error    ] {text}",
        "2026-11-26T12:00:01.123456+00:00 app[web.1]: [2026-11-26 12:00:01 +0000] [1] [ERROR] {text}",
        "2026-11-26T12:00:01.123456789Z stderr F [2026-11-26 12:00:01 +0000] [1] [ERROR] {text}",
        "Nov 26 12:00:01 host gunicorn[99]: [2026-11-26 12:00:01 +0000] [1] [ERROR] {text}",
    ],
)
@pytest.mark.parametrize(("text", "expected"), LINES.items())
def test_each_message_in_each_form(form: str, text: str, expected: str) -> None:
    """Plain, Docker's, Kubernetes' and journald's prefixes make no difference."""
    line = parse(form.format(text=text).encode())
    assert line is not None
    message = classify(line)
    assert message is not None
    assert message.id == expected


@pytest.mark.parametrize("key", ["message", "msg", "event", "log", "MESSAGE", "textPayload"])
@pytest.mark.parametrize(("text", "expected"), LINES.items())
def test_each_message_in_json(key: str, text: str, expected: str) -> None:
    """A JSON formatter hides nothing."""
    line = parse(json.dumps({"time": "2026-11-26T12:00:01Z", "level": "error", key: f"{text}\n"}).encode())
    assert line is not None
    assert line.time == "2026-11-26 12:00:01"
    message = classify(line)
    assert message is not None
    assert message.id == expected


def test_unknown_option() -> None:
    """argparse's line about an option is L959."""
    assert ids("gunicorn: error: unrecognized arguments: --keepalive 5") == {"L959"}


@pytest.mark.parametrize(
    "line",
    [
        '127.0.0.1:5 - "GET /worker HTTP/1.1" 200',
        'INFO:     127.0.0.1:5 - "GET /?q=Worker (pid:7) was sent SIGKILL HTTP/1.1" 200 OK',
        "a worker of the application did something",
        "Worker exiting (pid: 7)",
        "[2026-11-26 12:00:01 +0000] [7] [INFO] Worker exiting (pid: 7)",
        "INFO:     Waiting for child process [18]",
        "INFO:     Application startup complete.",
        "Nov 26 12:00:01 web1 systemd[1]: Started app.service - The application.",
        "Nov 26 12:00:01 web1 systemd[1]: app.service: Main process exited, code=exited, status=0/SUCCESS",
        "app-1 exited with code 0",
        "the job exited with code 137000 rows",
        '{"level": "error", "message": "the order 502 was not found", "status": 404}',
        "order 137 was killed by its owner",
        "[2026-11-26 12:00:01 +0000] [1] [INFO] Booting worker with pid: 8",
        "",
    ],
)
def test_other_lines_are_not_messages(line: str) -> None:
    """Access lines and the application's own words are left alone."""
    assert ids(line) == set()
