"""Work beside the requests: a drain waits for what requests have started, never for what the lifespan runs."""

import signal
import time
from pathlib import Path

import pytest

from tests.e2e.apps.background import REQUESTS, SERVICES
from tests.support.server import HANDOVER, UVICORN, Gunicorn
from tests.support.wire import request

_APP = "tests.e2e.apps.background:app"
_WAYS = ["reload", "stop", "max_requests"]
_ASYNCIO = "tests.e2e.apps.classes.HttptoolsAsyncio"
"""uvloop passes arguments to a task factory that Python's own eager one does not take."""


def _leave(server: Gunicorn, way: str) -> None:
    if way == "max_requests":
        server.ask()
    else:
        server.send_signal(signal.SIGHUP if way == "reload" else signal.SIGTERM)


# -------------------------------------------------------------------------------------------------- of the lifespan
@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("service", SERVICES)
def test_service_of_the_lifespan_does_not_hold_the_worker(tmp_path: Path, service: str, way: str) -> None:
    """However a service runs its steps, the drain does not wait, and the lifespan shutdown ends it in peace."""
    worker_class = _ASYNCIO if service == "eager" else HANDOVER
    with Gunicorn(tmp_path, app=_APP, worker_class=worker_class, env={"SERVICE": service}, max_requests=1) as server:
        [old] = server.wait_for_workers(1)
        server.wait_for_lifespan("step", count=3)
        _leave(server, way)
        leaves = server.wait_for_log(rf"worker {old} leaves \({way}\) after ([\d.]+) s: .* 0 cancelled")
        assert float(leaves[1]) < 5
        assert old in server.lifespan("shutdown")
        assert not server.found("Traceback|shutdown failed")


@pytest.mark.parametrize("worker_class", ["HttptoolsAsyncio", "HttptoolsUvloop"])
def test_service_of_the_lifespan_with_each_event_loop(tmp_path: Path, worker_class: str) -> None:
    """uvloop's tasks show what they descend from like asyncio's."""
    name = f"tests.e2e.apps.classes.{worker_class}"
    with Gunicorn(tmp_path, app=_APP, worker_class=name, env={"SERVICE": "queue"}) as server:
        server.wait_for_lifespan("step", count=3)
        with server.connect() as client:
            client.send(request("/work/task"))
            assert client.response().status == 200
        server.terminate()
        leaves = server.wait_for_log(r"leaves \(stop\) after ([\d.]+) s: .* 0 cancelled")
        assert 1 < float(leaves[1]) < 10
        assert len(server.lifespan("works")) == 1


def test_service_of_the_lifespan_twin(tmp_path: Path) -> None:
    """uvicorn-worker does not wait for the lifespan's service either."""
    with Gunicorn(tmp_path, app=_APP, worker_class=UVICORN, hooks=False, env={"SERVICE": "wait_for"}) as server:
        server.wait_for_lifespan("step", count=3)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10
        assert len(server.lifespan("shutdown")) == 1


# ----------------------------------------------------------------------------------------------------- of a request
@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("path", ["/thread", "/work-for-thread", *(f"/work/{kind}" for kind in REQUESTS)])
def test_work_of_a_request_is_not_cut(tmp_path: Path, path: str, way: str) -> None:
    """What a request has started is finished before its worker leaves, also after the response."""
    with Gunicorn(tmp_path, app=_APP, max_requests=2) as server, server.connect() as client:
        [old] = server.wait_for_workers(1)
        client.send(request(path))
        server.wait_for_lifespan("begins", count=1)
        if path != "/thread":
            assert client.response().status == 200
            client.close()
        if way == "max_requests":
            server.ask()
        _leave(server, way)
        server.wait_for_log(rf"worker {old} leaves \({way}\) .* 0 cancelled")
        assert server.lifespan("works") == [old]


@pytest.mark.parametrize("service", ["factory", "eager"])
def test_work_of_a_request_with_a_task_factory(tmp_path: Path, service: str) -> None:
    """An application may create its tasks in its own way: what requests start is waited for."""
    environment = {"SERVICE": service}
    with (
        Gunicorn(tmp_path, app=_APP, worker_class=_ASYNCIO, env=environment) as server,
        server.connect() as client,
    ):
        server.wait_for_lifespan("step", count=1)
        client.send(request("/work/chain"))
        server.wait_for_lifespan("begins", count=1)
        assert client.response().status == 200
        client.close()
        server.terminate()
        server.wait_for_log(r"leaves \(stop\) .* 0 cancelled")
        assert len(server.lifespan("works")) == 1


def test_work_of_a_request_twin(tmp_path: Path) -> None:
    """uvicorn-worker cuts a task that has outlived its response."""
    with Gunicorn(tmp_path, app=_APP, worker_class=UVICORN, hooks=False) as server:
        with server.connect() as client:
            client.send(request("/work/task"))
            server.wait_for_lifespan("begins", count=1)
            assert client.response().status == 200
        assert server.stop() == 0
        assert server.lifespan("works") == []


_DRAIN_TIMEOUT = """
from gunicorn_handover import install
def on_starting(server):
    install(server, drain_timeout=1)
"""


def test_service_that_a_request_has_started(tmp_path: Path) -> None:
    """What runs on for longer than a drain may take after its request is a service: the drain does not wait for it."""
    gunicorn = Gunicorn(tmp_path, app=_APP)
    gunicorn.configure(_DRAIN_TIMEOUT)
    with gunicorn as server:
        with server.connect() as client:
            client.send(request("/work/task"))
            assert client.response().status == 200
        began = time.monotonic()
        while time.monotonic() < began + 1.5:
            server.ask()
        server.terminate()
        leaves = server.wait_for_log(r"leaves \(stop\) after ([\d.]+) s: .* 0 cancelled")
        assert float(leaves[1]) < 1
