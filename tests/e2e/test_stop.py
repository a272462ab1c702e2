"""Scale and stop: SIGTTIN, SIGTTOU, SIGTERM, SIGINT, SIGQUIT, the stop delay and the drain timeout."""

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.server import ROOT, Gunicorn
from tests.support.wire import LostError, request


def test_scale(tmp_path: Path) -> None:
    """SIGTTIN adds a worker; SIGTTOU drains the oldest, serving what it has; the last worker stays."""
    with Gunicorn(tmp_path) as server:
        [first] = server.wait_for_workers(1)
        server.send_signal(signal.SIGTTIN)
        [second] = sorted(set(server.wait_for_workers(2)) - {first})
        with server.connect_to(first) as busy:
            busy.send(request("/gate?file=open"))
            server.wait_for_lifespan("waits", count=1)
            server.send_signal(signal.SIGTTOU)
            server.wait_for_log(rf"worker {first} drains \(scale\)")
            assert {server.ask() for _ in range(5)} == {second}
            (tmp_path / "open").touch()
            answer = busy.response()
            assert answer.status == 200
            assert answer.closes is True
            assert answer.data["stopping"] is False
        server.wait_for_workers(1, without=[first])
        server.wait_for_log(rf"worker {first} gone \(scale\)")
        server.send_signal(signal.SIGTTOU)
        server.wait_for_log("Handling signal: ttou", count=2)
        assert server.ask() == second
        assert server.stop() == 0
        assert server.lifespan("shutdown") == [first, second]


def test_stop_finishes_what_runs(tmp_path: Path) -> None:
    """SIGTERM lets requests in flight finish, runs every lifespan shutdown and exits with 0."""
    with Gunicorn(tmp_path, workers=2) as server:
        workers = server.wait_for_workers(2)
        connections = [server.connect_to(pid) for pid in workers]
        for busy in connections:
            busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=2)
        server.terminate()
        server.wait_for_log(r"drains \(stop\)", count=2)
        (tmp_path / "open").touch()
        for busy in connections:
            answer = busy.response()
            assert answer.status == 200
            assert answer.closes is True
            assert answer.data["draining"] is True
            assert answer.data["stopping"] is True
            assert answer.data["reason"] == "stop"
            busy.close()
        assert server.wait() == 0
        assert sorted(server.lifespan("shutdown")) == workers
        assert not re.search(r"exited with code|was sent SIG", server.output())


def test_stop_answers_an_idle_connection(tmp_path: Path) -> None:
    """A POST on a connection that was idle at SIGTERM gets 200 and Connection: close."""
    with Gunicorn(tmp_path) as server, server.connect() as idle:
        idle.post()
        server.terminate()
        server.wait_for_log(r"drains \(stop\)")
        answer = idle.post()
        assert answer.status == 200
        assert answer.closes is True
        assert server.wait() == 0


def test_stop_does_not_wait_for_an_idle_connection_forever(tmp_path: Path) -> None:
    """An unused connection delays a stop by ``keepalive`` at most, whether or not it ever sent a request."""
    with (
        Gunicorn(tmp_path, keepalive=1, graceful_timeout=120) as server,
        server.connect() as used,
        server.connect() as unused,
    ):
        used.post()
        server.terminate()
        assert server.wait(40) == 0
        assert used.has_ended()
        assert unused.has_ended()
        assert server.lifespan("shutdown")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_quick_stop(tmp_path: Path, number: int) -> None:
    """SIGINT and SIGQUIT end the server long before ``graceful_timeout``, whatever still runs; its client is told."""
    with Gunicorn(tmp_path, graceful_timeout=120) as server, server.connect() as busy:
        busy.send(request("/gate?file=never"))
        server.wait_for_lifespan("waits", count=1)
        assert server.stop(number, seconds=40) == 0
        with suppress(LostError):
            assert busy.response().status >= 500
        assert server.lifespan("shutdown") == server.lifespan("startup")


def test_quick_stop_while_a_worker_boots(tmp_path: Path) -> None:
    """SIGINT does not wait for a worker whose startup hangs."""
    with Gunicorn(tmp_path, timeout=120, graceful_timeout=120) as server:
        (tmp_path / "hold").touch()
        server.send_signal(signal.SIGTTIN)
        server.wait_for_lifespan("enters", count=2)
        assert server.stop(signal.SIGINT, seconds=40) == 0


def test_terminated_twice(tmp_path: Path) -> None:
    """A second SIGTERM neither hurries nor prolongs a stop: the request in flight is answered."""
    with Gunicorn(tmp_path) as server, server.connect() as busy:
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        server.terminate()
        server.wait_for_log(r"drains \(stop\)")
        server.terminate()
        [worker] = server.worker_pids()
        os.kill(worker, signal.SIGTERM)
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        assert server.wait() == 0
        assert len(server.found(r"drains \(")) == 1


# ---------------------------------------------------------------------------------------------------------- stop delay
def _with_delay(directory: Path, seconds: int, workers: int = 1) -> Gunicorn:
    environment = {"GUNICORN_STOP_DELAY": str(seconds), "WEB_CONCURRENCY": str(workers)}
    return Gunicorn(directory, conf=ROOT / "gunicorn_conf.py", env=environment, workers=workers)


def test_stop_delay(tmp_path: Path) -> None:
    """For GUNICORN_STOP_DELAY seconds after SIGTERM workers accept while ``stopping`` is true; then they drain."""
    with _with_delay(tmp_path, 15) as server:
        assert _post(server)["stopping"] is False
        began = time.monotonic()
        server.terminate()
        wait_until(lambda: _post(server)["stopping"], what="stopping to become true")
        state = _post(server)
        assert state["draining"] is False
        assert state["reason"] is None
        assert not server.found(r"drains \(")
        server.wait_for_log(r"drains \(stop\)")
        assert time.monotonic() - began >= 15
        assert server.wait() == 0


def _post(server: Gunicorn) -> dict[str, object]:
    with server.connect() as connection:
        data: dict[str, object] = connection.post().data
        return data


def test_worker_that_dies_during_the_stop_delay(tmp_path: Path) -> None:
    """A worker that is killed during the stop delay is replaced, and the replacement knows that the instance stops."""
    with _with_delay(tmp_path, 25) as server:
        [first] = server.wait_for_workers(1)
        server.terminate()
        server.wait_for_log("readiness says 503 from now on")
        os.kill(first, signal.SIGKILL)
        [second] = server.wait_for_workers(1, without=[first])
        wait_until(lambda: _post(server)["stopping"], what="stopping to become true")
        server.wait_for_log(rf"worker {second} drains \(stop\)")
        assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_quick_stop_during_the_stop_delay(tmp_path: Path, number: int) -> None:
    """SIGINT and SIGQUIT end the stop delay at once."""
    with _with_delay(tmp_path, 120) as server:
        server.terminate()
        server.wait_for_log("readiness says 503 from now on")
        assert server.stop(number, seconds=40) == 0


def test_terminated_twice_during_the_stop_delay(tmp_path: Path) -> None:
    """A second SIGTERM does not begin the stop delay again."""
    with _with_delay(tmp_path, 2) as server:
        server.terminate()
        server.wait_for_log("readiness says 503 from now on")
        server.terminate()
        assert server.wait(60) == 0
        assert len(server.found("readiness says 503 from now on")) == 1


def test_draining_worker_learns_of_a_stop(tmp_path: Path) -> None:
    """A worker that drains after a reload says ``stopping`` from SIGTERM on, like every other worker."""
    with Gunicorn(tmp_path) as server, server.connect() as idle, server.connect() as other, server.connect() as busy:
        for connection in (idle, other):
            connection.post()
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(r"drains \(reload\)")
        assert idle.post().data["stopping"] is False
        server.terminate()
        server.wait_for_log(r"drains \(stop\)")
        assert other.post().data["stopping"] is True
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        assert server.wait() == 0


# ------------------------------------------------------------------------------------------------------- drain timeout
_DRAIN_TIMEOUT = """
from gunicorn_handover import install
def on_starting(server):
    install(server, drain_timeout=3)
"""


@pytest.mark.parametrize("way", ["stop", "reload", "max_requests"])
def test_over_the_drain_timeout(tmp_path: Path, way: str) -> None:
    """A request that outlasts the drain timeout is cancelled: its client gets 500, and the lifespan shutdown runs."""
    gunicorn = Gunicorn(tmp_path, max_requests=1)
    gunicorn.configure(_DRAIN_TIMEOUT)
    with gunicorn as server, server.connect() as endless:
        [old] = server.wait_for_workers(1)
        endless.send(request("/gate?file=never"))
        server.wait_for_lifespan("waits", count=1)
        if way == "max_requests":
            server.ask()
        else:
            server.send_signal(signal.SIGTERM if way == "stop" else signal.SIGHUP)
        server.wait_for_log(rf"worker {old} drains \({way}\)")
        answer = endless.response()
        assert answer.status == 500
        assert answer.closes is True
        server.wait_for_log(rf"worker {old} leaves \({way}\) after \d+\.\d s: .* 1 cancelled")
        wait_until(lambda: old in server.lifespan("shutdown"), what="the lifespan shutdown")
        assert not server.found("was sent SIGKILL")


def test_lifespan_shutdown_that_hangs(tmp_path: Path) -> None:
    """A lifespan shutdown that never returns is given up before the arbiter kills the worker; the exit status is 0."""
    with Gunicorn(tmp_path, graceful_timeout=20) as server:
        (tmp_path / "linger").touch()
        server.terminate()
        assert server.wait(60) == 0
        assert server.found(r"leaves \(stop\)")
        assert not server.found("was sent SIGKILL")
