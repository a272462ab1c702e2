"""A generated service's numbers for Prometheus, from real workers."""

import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.template import service_environment
from tests.template.conftest import Service

_ANSWERED = 'http_request_duration_seconds_count{method="POST",route="/api/greetings",status="201"}'
_RECYCLED = 'app_handovers_total{reason="max_requests"}'


def _numbers(base: str) -> dict[str, float]:
    """Scrape once."""
    text = httpx.get(f"{base}/metrics").text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def _workers(master: int) -> set[int]:
    text = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii")
    return {int(pid) for pid in text.split()}


def _pids(directory: Path) -> set[int]:
    """Return whose files there are."""
    return {int(file.stem.rsplit("_", 1)[1]) for file in directory.glob("*.db")}


@pytest.fixture(name="chosen")
def _chosen(tmp_path: Path) -> Path:
    """A directory for the numbers, with a file that a killed gunicorn has left."""
    chosen = tmp_path / "numbers"
    chosen.mkdir()
    (chosen / "counter_1.db").write_bytes(b"\0" * 64)
    return chosen


def _gunicorn(service: Service, port: int, *, conf: str = "app/server.py", **extra: str) -> Running:
    own = {"GUNICORN_BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2", "PYTHONUNBUFFERED": "1", "APP_METRICS": "true"}
    environment = service_environment(service.directory.parent / "tmp", **(own | extra))
    return Running(
        [service.python, "-m", "gunicorn", "-c", conf, "app.main:app"], env=environment, cwd=service.directory
    )


def test_counts_survive_workers(usual: Service, chosen: Path) -> None:
    """While workers are recycled, reloaded and killed no count goes back, none is lost, and dead workers' files go."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    limits = {"GUNICORN_MAX_REQUESTS": "60", "GUNICORN_MAX_REQUESTS_JITTER": "0"}
    sent, highest = 0, 0.0

    def count() -> dict[str, float]:
        nonlocal sent, highest
        for _ in range(10):
            assert httpx.post(f"{base}/api/greetings", json={"text": "you"}).status_code == 201
            sent += 1
        numbers = _numbers(base)
        assert highest <= numbers[_ANSWERED] == sent
        highest = numbers[_ANSWERED]
        return numbers

    with _gunicorn(usual, port, PROMETHEUS_MULTIPROC_DIR=str(chosen), **limits) as running:
        wait_until(lambda: _answers(base), what="readiness")
        wait_until(lambda: count().get(_RECYCLED, 0) >= 2, seconds=30, what="two recycled workers")
        before = _workers(running.pid)
        running.send_signal(signal.SIGHUP)

        def is_renewed() -> bool:
            count()
            return not before & _workers(running.pid)

        wait_until(is_renewed, seconds=30, what="a new generation")
        victim = min(_workers(running.pid))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in _workers(running.pid), what="the end of a worker")

        def is_calm() -> bool:
            numbers = _numbers(base)
            counted = [numbers["app_workers"], numbers["app_workers_draining"], numbers["http_requests_in_flight"]]
            return counted == [2, 0, 0] and _pids(chosen) == {0, *_workers(running.pid)}

        wait_until(is_calm, seconds=20, what="files of two workers and of the dead")
        assert _numbers(base)[_ANSWERED] == sent
        running.terminate()
        assert running.wait() == 0
        assert "are left as they are" not in running.output()
    assert chosen.exists()


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_nginx_does_not_pass_them_on(usual: Service, tmp_path: Path) -> None:
    """Through nginx /metrics is 404; gunicorn's own address answers; nothing is left afterwards."""
    port = free_port()
    ours = set(Path("/dev/shm").glob("metrics-*"))  # noqa: S108  where gunicorn_conf.py puts workers' files
    environment = service_environment(tmp_path / "tmp", WEB_CONCURRENCY="2", APP_METRICS="true")
    with Running(["make", "serve", f"PORT={port}"], env=environment, cwd=usual.directory) as running:
        running.wait_for_output("serve: ready at", seconds=30)
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 404
        (socket,) = (tmp_path / "tmp").glob("serve-*/gunicorn.sock")
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))) as inside:
            assert inside.get("http://any.name/metrics").status_code == 200
            two = re.compile(r"^app_workers 2\.0$", re.MULTILINE)
            wait_until(lambda: two.search(inside.get("http://any.name/metrics").text), what="two workers")
        running.terminate()
        running.wait(20)
    wait_until(lambda: set(Path("/dev/shm").glob("metrics-*")) <= ours, what="the directory's removal")  # noqa: S108


def test_the_copied_configuration_works_alone(usual: Service) -> None:
    """``-c gunicorn_conf.py`` serves, with metrics where they are asked for."""
    port = free_port()
    with _gunicorn(usual, port, conf="gunicorn_conf.py", APP_METRICS="false"):
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}"), what="readiness")
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 404
    port = free_port()
    with _gunicorn(usual, port, conf="gunicorn_conf.py"):
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}"), what="readiness")
        wait_until(lambda: _numbers(f"http://127.0.0.1:{port}")["app_workers"] == 2, what="both workers' numbers")


def test_a_reload_reads_the_settings_again(usual: Service) -> None:
    """After SIGHUP app/server.py has the numbers of the changed ``.env``, and metrics that were switched on there."""
    port, file = free_port(), usual.directory / ".env"
    base, before = f"http://127.0.0.1:{port}", file.read_text(encoding="utf-8")
    try:
        with _gunicorn(usual, port, APP_METRICS="") as running:
            wait_until(lambda: _answers(base), what="readiness")
            assert httpx.get(f"{base}/metrics").status_code == 404
            after = re.sub(r"PROXY_READ_TIMEOUT=\d+", "PROXY_READ_TIMEOUT=90\nAPP_METRICS=true", before)
            file.write_text(after, encoding="utf-8")
            running.send_signal(signal.SIGHUP)
            running.wait_for_output("deadline 50 < timeout 60 < proxy_read 90", seconds=20)
            wait_until(lambda: httpx.get(f"{base}/metrics").status_code == 200, seconds=20, what="metrics")
    finally:
        file.write_text(before, encoding="utf-8")
