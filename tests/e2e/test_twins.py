"""What a client loses when a worker retires: nothing with HandoverWorker, and exactly that with uvicorn-worker.

Each test has a twin that runs the same bytes against uvicorn-worker and must lose the request: a test whose twin
succeeds would prove nothing.
"""

from pathlib import Path

import pytest

from tests.support.server import UVICORN, Gunicorn
from tests.support.wire import LostError, request

_H11_UVICORN = "uvicorn_worker.UvicornH11Worker"
_CLASSES = [
    f"tests.e2e.apps.classes.{name}" for name in ("HttptoolsUvloop", "HttptoolsAsyncio", "H11Uvloop", "H11Asyncio")
]
_DRAINS = r"drains \(max_requests\)|Shutting down"

each_variant = pytest.mark.parametrize("worker_class", _CLASSES, ids=lambda name: name.rpartition(".")[2])
each_parser = pytest.mark.parametrize("worker_class", [_CLASSES[0], _CLASSES[3]], ids=["httptools", "h11"])
each_twin = pytest.mark.parametrize("worker_class", [UVICORN, _H11_UVICORN], ids=["httptools", "h11"])


def _retire(server: Gunicorn) -> None:
    """Serve the request that is one too many, on a connection of its own."""
    server.ask()
    server.wait_for_log(_DRAINS)


@each_variant
def test_idle_connection_is_served(tmp_path: Path, worker_class: str) -> None:
    """A POST on a connection that was idle when its worker retired gets 200 and Connection: close."""
    with Gunicorn(tmp_path, worker_class=worker_class, max_requests=2) as server, server.connect() as idle:
        first = idle.post()
        _retire(server)
        second = idle.post()
        assert first.status == 200
        assert first.closes is False
        assert second.status == 200
        assert second.closes is True
        assert second.pid == first.pid
        assert idle.has_ended()


@each_twin
def test_idle_connection_twin(tmp_path: Path, worker_class: str) -> None:
    """uvicorn-worker closes a connection that is idle when it retires, so the POST on it is lost."""
    with Gunicorn(tmp_path, worker_class=worker_class, hooks=False, max_requests=2) as server, server.connect() as idle:
        assert idle.post().status == 200
        _retire(server)
        with pytest.raises(LostError):
            idle.post()


@each_variant
def test_unread_connection_is_served(tmp_path: Path, worker_class: str) -> None:
    """A connection that was accepted, but had not yet sent a byte, when its worker retired gets its POST answered."""
    with Gunicorn(tmp_path, worker_class=worker_class, max_requests=1) as server, server.connect() as silent:
        [old] = server.worker_pids()
        _retire(server)  # its connection stood behind the silent one in the queue, so that one was accepted
        answer = silent.post()
        assert answer.status == 200
        assert answer.closes is True
        assert answer.pid == old


@each_twin
def test_unread_connection_twin(tmp_path: Path, worker_class: str) -> None:
    """uvicorn-worker closes a connection that has not yet sent a byte when it retires."""
    with (
        Gunicorn(tmp_path, worker_class=worker_class, hooks=False, max_requests=1) as server,
        server.connect() as silent,
    ):
        _retire(server)
        with pytest.raises(LostError):
            silent.post()


@each_variant
def test_half_sent_head_is_served(tmp_path: Path, worker_class: str) -> None:
    """A request of which half the head had arrived when its worker retired is answered."""
    with Gunicorn(tmp_path, worker_class=worker_class, max_requests=2) as server, server.connect() as slow:
        old = slow.post().pid
        bytes_ = request("/", body=b"0123456789")
        slow.send(bytes_[:20])
        _retire(server)
        slow.send(bytes_[20:])
        answer = slow.response()
        assert answer.status == 200
        assert answer.closes is True
        assert answer.pid == old
        assert answer.data["body"] == "0123456789"


@each_twin
def test_half_sent_head_twin(tmp_path: Path, worker_class: str) -> None:
    """uvicorn-worker closes a connection in the middle of a request's head when it retires."""
    with Gunicorn(tmp_path, worker_class=worker_class, hooks=False, max_requests=2) as server, server.connect() as slow:
        assert slow.post().status == 200
        slow.send(request()[:20])
        _retire(server)
        assert slow.has_ended()


@each_parser
def test_half_sent_body_is_served_beyond_timeout(tmp_path: Path, worker_class: str) -> None:
    """A request of which half the body had arrived when its worker retired is answered, even after ``timeout``."""
    with (
        Gunicorn(tmp_path, worker_class=worker_class, max_requests=1, timeout=8) as server,
        server.connect() as slow,
        server.connect() as clock,
    ):
        bytes_ = request("/", body=b"0123456789")
        slow.send(bytes_[:-5])
        clock.send(request("/sleep?seconds=12"))  # answered by the same worker: it lived beyond its timeout
        _retire(server)
        assert clock.response().status == 200
        slow.send(bytes_[-5:])
        answer = slow.response()
        assert answer.status == 200
        assert answer.closes is True
        assert answer.data["body"] == "0123456789"


@each_twin
def test_half_sent_body_twin(tmp_path: Path, worker_class: str) -> None:
    """uvicorn-worker is killed ``timeout`` seconds after it retired, and with it a request whose body is on its way."""
    with (
        Gunicorn(tmp_path, worker_class=worker_class, hooks=False, max_requests=1, timeout=8) as server,
        server.connect() as slow,
    ):
        slow.send(request("/", body=b"0123456789")[:-5])
        _retire(server)
        assert slow.has_ended()
        server.wait_for_log("WORKER TIMEOUT")


@each_variant
def test_pipelined_request_is_served(tmp_path: Path, worker_class: str) -> None:
    """A request that waits behind another one on the same connection is answered; only the last answer says close."""
    with Gunicorn(tmp_path, worker_class=worker_class, max_requests=1) as server, server.connect() as pipe:
        pipe.send(request("/gate?file=open") + request("/", body=b"second"))
        server.wait_for_lifespan("waits", count=1)
        _retire(server)
        (tmp_path / "open").touch()
        first, second = pipe.response(), pipe.response()
        assert first.status == 200
        assert first.closes is False
        assert second.status == 200
        assert second.closes is True
        assert second.data["body"] == "second"


@each_variant
def test_requests_that_are_sent_together_during_a_drain_are_served(tmp_path: Path, worker_class: str) -> None:
    """Three requests in one segment, on a connection that was idle when the drain began: the last answer says close."""
    with Gunicorn(tmp_path, worker_class=worker_class, max_requests=2) as server, server.connect() as pipe:
        pipe.send(request("/"))
        assert pipe.response().closes is False
        _retire(server)
        pipe.send(request("/", body=b"first") + request("/", body=b"second") + request("/", body=b"third"))
        answers = [pipe.response() for _ in range(3)]
    assert [answer.data["body"] for answer in answers] == ["first", "second", "third"]
    assert [answer.closes for answer in answers] == [False, False, True]


def test_pipelined_request_twin(tmp_path: Path) -> None:
    """uvicorn-worker with h11 drops a request that waits behind another one when it retires."""
    with (
        Gunicorn(tmp_path, worker_class=_H11_UVICORN, hooks=False, max_requests=1) as server,
        server.connect() as pipe,
    ):
        pipe.send(request("/gate?file=open") + request("/", body=b"second"))
        server.wait_for_lifespan("waits", count=1)
        _retire(server)
        (tmp_path / "open").touch()
        assert pipe.response().status == 200
        with pytest.raises(LostError):
            pipe.response()


@each_parser
def test_long_request_survives(tmp_path: Path, worker_class: str) -> None:
    """A request that runs on for longer than ``timeout`` after its worker retired gets its 200."""
    with Gunicorn(tmp_path, worker_class=worker_class, max_requests=1, timeout=8) as server, server.connect() as long:
        [old] = server.worker_pids()
        long.send(request("/sleep?seconds=14"))
        _retire(server)
        answer = long.response()
        assert answer.status == 200
        assert answer.closes is True
        assert answer.pid == old
        assert not server.found("WORKER TIMEOUT")


@each_twin
def test_long_request_twin(tmp_path: Path, worker_class: str) -> None:
    """uvicorn-worker sends no heartbeat once it has retired, so a longer request dies with it at ``timeout``."""
    with (
        Gunicorn(tmp_path, worker_class=worker_class, hooks=False, max_requests=1, timeout=8) as server,
        server.connect() as long,
    ):
        long.send(request("/sleep?seconds=40"))
        _retire(server)
        with pytest.raises(LostError):
            long.response()
        server.wait_for_log("WORKER TIMEOUT")
