"""The numbers of the handover in /metrics, from real workers, and the monitoring files that name them."""

import http.client
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.monitoring import metrics_named
from tests.support.polling import wait_until
from tests.support.server import Gunicorn

_APP = "tests.e2e.apps.measured:app"
_NOT_HERE = {"app_health_check", "app_cpu_periods_total", "app_cpu_throttled_periods_total"}
"""Without a health check and without a CPU quota there are none."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Gunicorn]:
    """Two workers; a blocked one is killed after two seconds."""
    with Gunicorn(tmp_path, app=_APP, workers=2, timeout=2, keepalive=1) as started:
        started.wait_for_workers(2)
        yield started


def _get(server: Gunicorn, path: str, *, seconds: float = 5) -> str:
    connection = http.client.HTTPConnection(server.bind, timeout=seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _number(server: Gunicorn, name: str) -> float:
    """Scrape until a worker answers: one that is blocked keeps the connections that it has accepted."""

    def scrape() -> list[str] | None:
        try:
            return re.findall(rf"^{re.escape(name)} (\S+)$", _get(server, "/metrics"), re.MULTILINE) or None
        except (OSError, http.client.HTTPException):
            return None

    return float((wait_until(scrape, what=name) or [])[0])


def test_every_metric_of_the_kit_is_exposed(server: Gunicorn) -> None:
    """What the alert rules and the dashboard ask for is in a scrape of real workers."""
    _get(server, "/")
    text = _get(server, "/metrics")
    samples = set(re.findall(r"^([a-z_]+)(?:\{| )", text, re.MULTILINE))
    wanted = {name for name in metrics_named() if not name.startswith("nginx_")}
    assert wanted - samples == _NOT_HERE & wanted
    assert f'app_accept_queue_limit{{bind="{server.bind}"}}' in text


def test_replacements_that_cannot_boot_are_a_number(server: Gunicorn) -> None:
    """A reload whose workers fail raises it while the old workers serve; the first worker that boots resets it."""
    old = server.worker_pids()
    assert _number(server, "app_failed_boots") == 0
    (server.directory / "broken").touch()
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: _number(server, "app_failed_boots") >= 2, what="two failed boots")
    assert set(old) <= set(server.worker_pids())
    (server.directory / "broken").unlink()
    server.wait_for_workers(2, without=old)
    wait_until(lambda: _number(server, "app_failed_boots") == 0, what="no failed boot any more")


def test_a_killed_worker_is_counted(server: Gunicorn) -> None:
    """A worker whose event loop is blocked is killed by the arbiter and counted once."""
    assert _number(server, "app_workers_killed_total") == 0
    with pytest.raises((OSError, http.client.HTTPException)):
        _get(server, "/block", seconds=30)
    wait_until(lambda: _number(server, "app_workers_killed_total") > 0, what="a killed worker")
    server.wait_for_workers(2)
    assert _number(server, "app_workers_killed_total") == 1
