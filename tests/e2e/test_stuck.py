"""Event loops that are blocked, and clocks that jump."""

import signal
from pathlib import Path

import pytest

from tests.support.server import UVICORN, Gunicorn
from tests.support.wire import LostError, request


def test_blocked_beyond_the_timeout(tmp_path: Path) -> None:
    """A worker whose loop is blocked for too long is killed, its stack names the culprit, and one worker follows it."""
    with Gunicorn(tmp_path, timeout=10) as server, server.connect() as victim:
        [old] = server.wait_for_workers(1)
        victim.send(request("/block?seconds=60"))
        server.wait_for_log(rf"WORKER TIMEOUT \(pid:{old}\)")
        assert victim.has_ended()
        server.wait_for_log("Fatal Python error: Aborted")
        server.wait_for_log(r'service\.py", line \d+ in blocks_the_loop')
        [new] = server.wait_for_workers(1, without=[old])
        assert server.ask() == new
        assert server.stop() == 0
        assert len(server.found("Booting worker")) == 2


def test_blocked_while_draining(tmp_path: Path) -> None:
    """A worker that blocks its loop while it drains is killed at ``timeout`` as well, its stack printed."""
    with Gunicorn(tmp_path, timeout=10) as server, server.connect() as victim:
        [old] = server.wait_for_workers(1)
        victim.send(request("/block?seconds=60&file=block"))
        server.wait_for_lifespan("waits", count=1)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(rf"worker {old} drains")
        (tmp_path / "block").touch()
        server.wait_for_log(r'service\.py", line \d+ in blocks_the_loop')
        assert victim.has_ended()
        server.wait_for_workers(1, without=[old])
        assert server.stop() == 0


def test_blocked_for_less_than_the_timeout(tmp_path: Path) -> None:
    """Blocking the loop for three quarters of ``timeout`` is survived, whenever it begins between two heartbeats."""
    with Gunicorn(tmp_path, workers=3, timeout=20) as server:
        workers = server.wait_for_workers(3)
        connections = [server.connect_to(pid) for pid in workers]
        for after, connection in zip((0, 4, 8), connections, strict=True):
            connection.send(request(f"/block?seconds=15&after={after}"))
        assert [connection.response().pid for connection in connections] == workers
        for connection in connections:
            connection.close()
        assert not server.found("WORKER TIMEOUT")
        assert server.worker_pids() == workers


def test_clock_jumps(tmp_path: Path) -> None:
    """Heartbeats go on when the wall clock jumps an hour forward or back: both workers answer after ``timeout``."""
    with Gunicorn(tmp_path, workers=2, timeout=10) as server:
        workers = server.wait_for_workers(2)
        connections = [server.connect_to(pid) for pid in workers]
        for jump, connection in zip((3600, -3600), connections, strict=True):
            connection.post(f"/clock?by={jump}")
            connection.send(request("/sleep?seconds=14"))
        assert [connection.response().pid for connection in connections] == workers
        for connection in connections:
            connection.close()
        assert server.worker_pids() == workers
        assert server.stop() == 0


def test_clock_jump_twin(tmp_path: Path) -> None:
    """uvicorn-worker stops its heartbeat when the wall clock jumps back, and is killed with what it was serving."""
    with Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, timeout=10) as server, server.connect() as victim:
        victim.post("/clock?by=-3600")
        victim.send(request("/sleep?seconds=50"))
        with pytest.raises(LostError):
            victim.response()
        server.wait_for_log("WORKER TIMEOUT")
