"""The numbers for Prometheus."""

import asyncio
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.health import Check, Health
from app.main import create_app
from app.metrics import Metrics, layer
from app.settings import Settings

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[TestClient]:
    """Return a client of an application with metrics, in a single process."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.delenv("SERVER_SOFTWARE", raising=False)
    chosen = settings.model_copy(update={"metrics": True})
    with TestClient(create_app(chosen, request_deadline=5), base_url="http://localhost") as started:
        yield started


def _numbers(text: str) -> dict[str, float]:
    """Return every sample, without the histogram's buckets."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines if "_bucket{" not in name and "_created" not in name}


def test_there_are_none_unless_asked_for(client: TestClient) -> None:
    """Without APP_METRICS the path does not exist."""
    assert client.get("/metrics").status_code == 404


def test_requests_are_counted_by_the_template_of_their_route(measured: TestClient) -> None:
    """Labels are bounded: no paths, no invented methods."""
    measured.post("/api/greetings", json={"text": "you"})
    measured.post("/api/greetings", json={})
    for number in range(3):
        measured.get(f"/no/such/{number}")
    measured.request("BREW", "/coffee")
    response = measured.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    count = "http_request_duration_seconds_count{"
    numbers = _numbers(response.text)
    assert {name.removeprefix(count): value for name, value in numbers.items() if name.startswith(count)} == {
        'method="POST",route="/api/greetings",status="201"}': 1,
        'method="POST",route="/api/greetings",status="422"}': 1,
        'method="GET",route="none",status="404"}': 3,
        'method="other",route="none",status="404"}': 1,
    }


def test_only_callers_inside_get_them(measured: TestClient) -> None:
    """Whatever came through a proxy gets 404; a scraper may call the service by any name."""
    assert measured.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404
    assert measured.get("/metrics", headers={"Host": "backend:8000"}).status_code == 200
    assert measured.post("/metrics").status_code == 405


def test_readiness_and_checks_are_numbers(measured: TestClient) -> None:
    """A failed critical check makes ready 0; each check has its own number."""

    async def good() -> None:
        """Find nothing wrong."""

    async def bad() -> None:
        raise OSError

    application: Any = measured.app
    assert _numbers(measured.get("/metrics").text)["app_ready"] == 1
    application.state.health = Health([Check(name="database", probe=bad), Check(name="mail", probe=good)])
    numbers = _numbers(measured.get("/metrics").text)
    assert numbers["app_ready"] == 0
    assert numbers['app_health_check{check="database"}'] == 0
    assert numbers['app_health_check{check="mail"}'] == 1


async def _scrape(metrics: Metrics, **state: object) -> dict[str, float]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    app = SimpleNamespace(state=SimpleNamespace(health=Health([])))
    scope = {"type": "http", "path": "/metrics", "method": "GET", "headers": [], "state": state, "app": app}
    await metrics(scope, receive, send)
    return _numbers(sent[1]["body"].decode())


def test_a_request_is_in_flight_until_its_end() -> None:
    """The gauge is 1 while a handler runs, and 0 again after one that fails."""
    during: list[float] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        during.append((await _scrape(metrics))["http_requests_in_flight"])
        await Response("ok")(scope, receive, send)
        raise OSError

    metrics = Metrics(inner)

    async def main() -> dict[str, float]:
        async def send(_message: Message) -> None:
            """Swallow it."""

        request = Request({"type": "http", "path": "/", "method": "GET", "headers": []})
        with pytest.raises(OSError, match=r"^$"):
            await metrics(request.scope, request.receive, send)
        return await _scrape(metrics)

    after = asyncio.run(main())
    assert during == [1]
    assert after["http_requests_in_flight"] == 0
    assert after['http_request_duration_seconds_count{method="GET",route="none",status="200"}'] == 1


def test_a_worker_is_seen_leaving() -> None:
    """From the handover on it counts as draining, once, with the reason; a stopping instance is not ready."""
    leaving, ended = asyncio.Event(), asyncio.Event()
    handover = SimpleNamespace(wait=leaving.wait, reason="max_requests", stopping=True)

    async def inner(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await ended.wait()

    async def nothing(*_: Any) -> Any:  # noqa: ANN401
        """Neither receive nor send."""

    async def main() -> list[dict[str, float]]:
        metrics = Metrics(inner)
        life = asyncio.create_task(metrics({"type": "lifespan", "state": {"handover": handover}}, nothing, nothing))
        await asyncio.sleep(0)
        seen = [await _scrape(metrics)]
        leaving.set()
        seen.append(await _scrape(metrics, handover=handover))
        ended.set()
        await life
        return [*seen, await _scrape(metrics)]

    before, during, after = asyncio.run(main())
    keys = ("app_workers", "app_workers_draining", "app_ready", "app_stopping")
    assert [before[key] for key in keys] == [1, 0, 1, 0]
    assert [during[key] for key in keys] == [1, 1, 0, 1]
    assert during['app_handovers_total{reason="max_requests"}'] == 1
    assert [after[key] for key in keys[:2]] == [0, 0]


def test_another_gunicorn_configuration_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Under gunicorn there must be a shared directory; any other server may be a single process."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.setenv("SERVER_SOFTWARE", "gunicorn/27.0.1")
    with pytest.raises(SystemExit) as caught:
        layer()
    assert caught.value.code == 3
    assert capsys.readouterr().err.startswith("settings: APP_METRICS: needs gunicorn -c app/server.py")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert layer().kwargs == {"directory": str(tmp_path)}
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    monkeypatch.setenv("SERVER_SOFTWARE", "uvicorn")
    assert layer().kwargs == {"directory": None}


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], str]:
    """Run Python code in a process of its own, with the shared directory, and return its output."""

    def run_one(code: str) -> str:
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "APP_METRICS": "true"}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_one


_COUNT = """
from prometheus_client import Counter, Gauge, Histogram
Counter("c", "c").inc(3)
Histogram("h", "h", buckets=[1, 2]).observe(1.5)
Gauge("g", "g", multiprocess_mode="livesum").set(1)
"""
_BURY = """
from types import SimpleNamespace
from app import server
server.child_exit(SimpleNamespace(log=None), SimpleNamespace(pid=1))
"""
_SHOW = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_the_counts_of_dead_workers_stay_and_their_files_go(run: Callable[[str], str], tmp_path: Path) -> None:
    """Three workers that ended are one file for each kind; their gauges are gone; a living one is left alone."""
    for _ in range(3):
        run(_COUNT)
    before = _numbers(run(_SHOW))
    (tmp_path / "counter_999999999.db").touch()  # killed while it created it
    living = run(f"{_COUNT}{_BURY}{_SHOW}")
    assert before == {"c_total": 9, "h_sum": 4.5, "h_count": 3, "g": 3}
    assert _numbers(living) == {"c_total": 12, "h_sum": 6, "h_count": 4, "g": 1}
    run(_BURY)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["counter_0.db", "histogram_0.db"]
    assert _numbers(run(_SHOW)) == {"c_total": 12, "h_sum": 6, "h_count": 4}


def test_counts_are_not_moved_during_a_scrape(run: Callable[[str], str], tmp_path: Path) -> None:
    """While a scrape holds the directory nothing is merged; the master says so and goes on; the next exit merges."""
    run(_COUNT)
    bury = _BURY.replace("log=None", "log=SimpleNamespace(exception=print)")
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        assert "are left as they are" in run(bury)
        assert not (tmp_path / "counter_0.db").exists()
    finally:
        os.close(handle)
    assert run(bury) == ""
    assert (tmp_path / "counter_0.db").exists()


def test_a_chosen_directory_is_emptied_at_the_start_only(run: Callable[[str], str], tmp_path: Path) -> None:
    """A start empties it; a reload, or a master that takes over from another one, does not."""
    hook = """
from types import SimpleNamespace
from app import server
server.gunicorn_conf.on_starting = server.gunicorn_conf.on_reload = lambda _server: None
"""
    upgrade = "import os; os.environ['GUNICORN_PID'] = '1'"
    file = tmp_path / "counter_0.db"
    run(_COUNT + _BURY)
    run(_BURY)
    run(f"{hook}\nserver.on_reload(SimpleNamespace())")
    run(f"{upgrade}\n{hook}\nserver.on_starting(SimpleNamespace())\nserver.on_exit(SimpleNamespace())")
    assert file.exists()
    run(f"{hook}\nserver.on_starting(SimpleNamespace())")
    assert not file.exists()


def test_no_hook_of_the_copied_configuration_is_lost(run: Callable[[str], str]) -> None:
    """app/server.py has every name that gunicorn_conf.py has, and replaces only the two hooks that it calls."""
    shown = run(
        "import gunicorn_conf\nfrom app import server\nprint(*[n for n in vars(gunicorn_conf) if n[0] != '_' "
        "and getattr(server, n) is not getattr(gunicorn_conf, n)])"
    )
    assert set(shown.split()) <= {"on_starting", "on_reload"}
    assert not re.search(r"^def (child_exit|on_exit)\b", (_ROOT / "gunicorn_conf.py").read_text("utf-8"), re.MULTILINE)
