"""The numbers for Prometheus."""

import asyncio
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from no502.asgi import Check, Metrics
from tests.asgi.application import create_app
from tests.support.cgroup import cpu_cgroup
from tests.support.commands import ROOT


@pytest.fixture
def measured() -> Iterator[TestClient]:
    """Return a client of an application with metrics, in a single process."""
    with TestClient(create_app(metrics=True), base_url="http://localhost") as started:
        yield started


def _numbers(text: str) -> dict[str, float]:
    """Return every sample, without the histogram's buckets."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines if "_bucket{" not in name and "_created" not in name}


def test_there_are_none_unless_asked_for(client: TestClient) -> None:
    """Without the middleware the path does not exist."""
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
    application.state.health.add(Check(name="database", probe=bad))
    application.state.health.add(Check(name="mail", probe=good))
    application.state.health._flight = None  # ask again at once
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

    scope = {"type": "http", "path": "/metrics", "method": "GET", "headers": [], "state": state}
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
    reasons = ("max_requests", "reload")
    counts = {"failed_boots": 2, "killed": 1}
    handover = SimpleNamespace(wait=leaving.wait, reason="max_requests", reasons=reasons, stopping=True, **counts)

    async def inner(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await ended.wait()

    async def nothing(*_: Any) -> Any:
        """Neither receive nor send."""

    async def main() -> list[dict[str, float]]:
        metrics = Metrics(inner)
        life = asyncio.create_task(metrics({"type": "lifespan", "state": {"handover": handover}}, nothing, nothing))
        await asyncio.sleep(0)
        seen = [await _scrape(metrics)]
        leaving.set()
        for _ in range(3):
            await asyncio.sleep(0)
        seen.append(await _scrape(metrics, handover=handover))
        ended.set()
        await life
        return [*seen, await _scrape(metrics)]

    before, during, after = asyncio.run(main())
    keys = ("app_workers", "app_workers_draining", "app_ready", "app_stopping")
    assert [before[key] for key in keys] == [1, 0, 1, 0]
    assert [during[key] for key in keys] == [1, 1, 0, 1]
    assert during['app_handovers_total{reason="max_requests"}'] == 1
    assert during['app_handovers_total{reason="reload"}'] == 0
    assert during["app_failed_boots"] == 2
    assert during["app_workers_killed_total"] == 1
    assert [after[key] for key in keys[:2]] == [0, 0]


def test_missed_deadlines_are_counted() -> None:
    """A request that gets 504 for its deadline counts, one that answers in time does not."""
    application = create_app(seconds=0.05, metrics=True)

    @application.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(5)

    with TestClient(application, base_url="http://localhost") as client:
        client.post("/api/greetings", json={"text": "you"})
        before = _numbers(client.get("/metrics").text)["app_deadline_passed_total"]
        assert client.get("/slow").status_code == 504
        assert _numbers(client.get("/metrics").text)["app_deadline_passed_total"] - before == 1


def _compute(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


@pytest.mark.parametrize("block", [time.sleep, _compute], ids=["waits", "computes"])
def test_a_blocked_event_loop_is_busy(block: Callable[[float], None]) -> None:
    """What a handler keeps the event loop from doing anything else counts as busy; an idle loop is not."""
    application = create_app(metrics=True)

    @application.get("/block")
    async def blocking() -> None:
        block(0.6)

    @application.get("/wait")
    async def wait() -> None:
        await asyncio.sleep(0.6)

    with TestClient(application, base_url="http://localhost") as client:

        def busy_after(path: str) -> float:
            before = _numbers(client.get("/metrics").text)["app_event_loop_busy_seconds_total"]
            client.get(path)
            client.get("/wait")  # until the loop has looked at its clock again
            return _numbers(client.get("/metrics").text)["app_event_loop_busy_seconds_total"] - before

        assert busy_after("/wait") < 0.3
        assert 0.3 < busy_after("/block") < 1.2


@pytest.mark.parametrize("kind", ["tcp", "tcp6", "unix"])
def test_the_accept_queue_has_a_depth(measured: TestClient, tmp_path: Path, kind: str) -> None:
    """Connections that were not accepted yet are counted per address, and so is the room for them."""
    family = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6, "unix": socket.AF_UNIX}[kind]
    address: Any = {"tcp": ("127.0.0.1", 0), "tcp6": ("::1", 0), "unix": str(tmp_path / "app.sock")}[kind]
    listener = socket.socket(family)
    clients = [socket.socket(family) for _ in range(3)]
    try:
        listener.bind(address)
        listener.listen(7)
        name = listener.getsockname()
        bind = {"tcp": "127.0.0.1:{}", "tcp6": "[::1]:{}", "unix": f"unix:{name}"}[kind].format(name[1])
        for client in clients:
            client.connect(name)
        numbers = _numbers(measured.get("/metrics").text)
        assert numbers[f'app_accept_queue{{bind="{bind}"}}'] == 3
        assert numbers[f'app_accept_queue_limit{{bind="{bind}"}}'] == 7
    finally:
        for each in [listener, *clients]:
            each.close()
    assert f'app_accept_queue{{bind="{bind}"}}' not in _numbers(measured.get("/metrics").text)


def test_cpu_throttling_is_counted() -> None:
    """Under a CPU quota that is used up, the cgroup's throttled periods are numbers of this process."""
    code = (
        "import time; until = time.perf_counter() + 1\nwhile time.perf_counter() < until: pass\n"
        "from no502.asgi import metrics; print(*metrics._cpu_periods())"
    )
    with cpu_cgroup(0.2) as cgroup:
        command = [*cgroup.launcher, sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    periods, throttled = map(int, done.stdout.split())
    assert 5 <= throttled <= periods


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], str]:
    """Run Python code in a process of its own, with the shared directory, and return its output."""

    def run_one(code: str) -> str:
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_one


_COUNT = """
from prometheus_client import Counter, Gauge, Histogram
Counter("c", "c").inc(3)
Histogram("h", "h", buckets=[1, 2]).observe(1.5)
Gauge("g", "g", multiprocess_mode="livesum").set(1)
"""
_KEEP = """
from pathlib import Path
from no502.asgi import metrics
metrics._keep_counts(Path(metrics._SHARED))
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
    living = run(f"{_COUNT}{_KEEP}{_SHOW}")
    assert before == {"c_total": 9, "h_sum": 4.5, "h_count": 3, "g": 3}
    assert _numbers(living) == {"c_total": 12, "h_sum": 6, "h_count": 4, "g": 1}
    run(_KEEP)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["counter_0.db", "histogram_0.db"]
    assert _numbers(run(_SHOW)) == {"c_total": 12, "h_sum": 6, "h_count": 4}


def test_counts_are_not_moved_during_a_scrape(run: Callable[[str], str], tmp_path: Path) -> None:
    """While a scrape holds the directory nothing is merged; the next worker or scrape merges."""
    run(_COUNT)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        refused = (
            _KEEP.replace("metrics._keep", "try:\n    metrics._keep") + "except BlockingIOError:\n    print('busy')"
        )
        assert run(refused) == "busy\n"
        assert not (tmp_path / "counter_0.db").exists()
    finally:
        os.close(handle)
    assert run(_KEEP) == ""
    assert (tmp_path / "counter_0.db").exists()


_UNDER_GUNICORN = """
import os
os.environ["SERVER_SOFTWARE"] = "gunicorn/27.0.1"
os.environ.pop("PROMETHEUS_MULTIPROC_DIR")
"""


def test_workers_of_one_master_share_a_directory(run: Callable[[str], str]) -> None:
    """Two workers find the same directory by their parent process, and only this user may enter it."""
    code = f"""
import subprocess, sys
worker = {_UNDER_GUNICORN!r} + "from no502.asgi import metrics; print(metrics._SHARED)"
print(*{{subprocess.run([sys.executable, "-c", worker], capture_output=True, text=True).stdout for _ in range(2)}})
"""
    [directory] = run(code).split()
    assert Path(directory).name.startswith("metrics-")
    assert Path(directory).stat().st_mode & 0o777 == 0o700
    # The next start, with another parent, removes what a master that is gone has left.
    [other] = run(_UNDER_GUNICORN + "from no502.asgi import metrics; print(metrics._SHARED)").split()
    assert other != directory
    assert not Path(directory).exists()
    Path(other).rmdir()


def test_a_directory_of_another_user_is_refused(run: Callable[[str], str]) -> None:
    """What another user has put there is not used, and the message says what to do."""
    code = (
        _UNDER_GUNICORN
        + """
import pathlib
pathlib.Path.lstat = lambda self: os.stat_result([0o40700, 1, 1, 2, 4711, 4711, 0, 0, 0, 0])
try:
    from no502.asgi import metrics
except SystemExit as ended:
    print(ended.code)
"""
    )
    assert run(code) == "3\n"


def test_scrapes_merge_what_dead_workers_have_counted(run: Callable[[str], str], tmp_path: Path) -> None:
    """A scrape finds the counts of workers that were killed, and not their gauges."""
    run(_COUNT)
    scrape = """
from no502.asgi import Metrics
print(Metrics(None)._render("")[0].decode())
"""
    numbers = _numbers(run(scrape))
    assert numbers["c_total"] == 3
    assert "g" not in numbers
    assert not list(tmp_path.glob("gauge_livesum_[1-9]*.db")) or "http_requests_in_flight" in numbers
