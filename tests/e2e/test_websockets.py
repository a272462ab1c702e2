"""WebSockets that do not behave: clients that do not read, handshakes in progress, protocols that raise."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidState
from wsproto.utilities import LocalProtocolError

from tests.support.polling import wait_until
from tests.support.server import UVICORN, Gunicorn
from tests.support.wire import Connection, request

_WAYS = ["reload", "stop", "max_requests"]
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_SERVICE_RESTART = b"\x03\xf4"  # 1012

each_protocol = pytest.mark.parametrize("protocol", ["Sansio", "Wsproto", "Legacy"])


def _class(protocol: str) -> str:
    return f"tests.e2e.apps.classes.{protocol}"


def _handshake(path: str) -> bytes:
    head = f"GET {path} HTTP/1.1\r\nHost: e2e\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    return f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n\r\n".encode()


@contextlib.contextmanager
def _stalled(server: Gunicorn) -> Iterator[Connection]:
    """Yield a WebSocket whose client reads nothing but the handshake while the application sends megabytes."""
    with server.connect() as connection:
        connection.send(_handshake("/?megabytes=32"))
        assert connection.head().status == 101
        yield connection


def _leave(server: Gunicorn, way: str) -> None:
    if way == "max_requests":
        server.ask()
    else:
        server.send_signal(signal.SIGHUP if way == "reload" else signal.SIGTERM)


@each_protocol
@pytest.mark.parametrize("way", _WAYS)
def test_stalled_client_does_not_disturb_the_drain(tmp_path: Path, way: str, protocol: str) -> None:
    """A WebSocket whose client does not read costs no request: all in flight get 200, the lifespan shutdown runs."""
    with Gunicorn(tmp_path, worker_class=_class(protocol), max_requests=1) as server, ExitStack() as stack:
        [old] = server.wait_for_workers(1)
        stalled = stack.enter_context(_stalled(server))
        busy = [stack.enter_context(server.connect()) for _ in range(5)]
        for connection in busy:
            connection.send(request("/sleep?file=go&seconds=2"))
        server.wait_for_lifespan("waits", count=5)
        _leave(server, way)
        server.wait_for_log(rf"worker {old} drains \({way}\)")
        (tmp_path / "go").touch()
        assert [connection.response().status for connection in busy] == [200] * 5
        stalled.close()
        server.wait_for_log(rf"worker {old} leaves \({way}\) .* 0 cancelled")
        assert old in server.lifespan("shutdown")
        assert not server.found("Exception in worker process|could not be closed")


def test_stalled_client_twin(tmp_path: Path) -> None:
    """uvicorn-worker waits for such a client until the arbiter kills it: its lifespan shutdown never runs."""
    with (
        Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, graceful_timeout=4) as server,
        _stalled(server),
        server.connect() as busy,
    ):
        [old] = server.worker_pids()
        busy.send(request("/sleep?file=go&seconds=1"))
        server.wait_for_lifespan("waits", count=1)
        server.terminate()
        (tmp_path / "go").touch()
        assert busy.response().status == 200
        assert server.wait(60) == 0
        assert old not in server.lifespan("shutdown")


@pytest.mark.parametrize("protocol", ["Sansio", "Wsproto", "Legacy", "Stubborn"])
def test_websocket_that_does_not_close_is_aborted(tmp_path: Path, protocol: str) -> None:
    """After 10 s a WebSocket that has not closed, or whose protocol raises, is aborted, and the worker leaves."""
    with Gunicorn(tmp_path, worker_class=_class(protocol)) as server, _stalled(server):
        [old] = server.wait_for_workers(1)
        server.send_signal(signal.SIGHUP)
        seconds = float(server.wait_for_log(rf"worker {old} leaves \(reload\) after ([\d.]+) s")[1])
        assert 10 <= seconds < 20
        assert old in server.lifespan("shutdown")


def test_protocol_that_raises_is_said_once(tmp_path: Path) -> None:
    """A WebSocket protocol that raises ends no request and is named in one line."""
    with (
        Gunicorn(tmp_path, worker_class=_class("Stubborn")) as server,
        _stalled(server) as stalled,
        server.connect() as busy,
    ):
        busy.send(request("/sleep?file=go&seconds=2"))
        server.wait_for_lifespan("waits", count=1)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("a connection could not be closed: _Stubborn: RuntimeError")
        (tmp_path / "go").touch()
        assert busy.response().status == 200
        stalled.close()
        server.wait_for_log(r"gone \(reload\)")
        assert len(server.found("could not be closed")) == 1


@each_protocol
@pytest.mark.parametrize("way", _WAYS)
def test_handshake_in_progress_completes(tmp_path: Path, way: str, protocol: str) -> None:
    """A handshake that the application has not accepted when its worker drains completes, then gets 1012."""
    with (
        Gunicorn(tmp_path, worker_class=_class(protocol), max_requests=1) as server,
        server.connect() as slow,
        server.connect() as clock,
    ):
        [old] = server.wait_for_workers(1)
        slow.send(_handshake("/?file=accept"))
        clock.send(request("/sleep?file=go&seconds=2"))
        server.wait_for_lifespan("waits", count=2)
        _leave(server, way)
        server.wait_for_log(rf"worker {old} drains \({way}\)")
        (tmp_path / "go").touch()
        assert clock.response().status == 200
        (tmp_path / "accept").touch()
        assert slow.head().status == 101
        assert _SERVICE_RESTART in _rest(slow)


def test_handshake_in_progress_twin(tmp_path: Path) -> None:
    """uvicorn-worker answers 500 to a handshake that the application has not accepted when SIGTERM comes."""
    with Gunicorn(tmp_path, worker_class=UVICORN, hooks=False) as server, server.connect() as slow:
        slow.send(_handshake("/?file=accept"))
        server.wait_for_lifespan("waits", count=1)
        server.terminate()
        assert slow.head().status == 500
        (tmp_path / "accept").touch()


@each_protocol
def test_handshake_that_is_never_accepted_is_refused(tmp_path: Path, protocol: str) -> None:
    """A handshake that is still not accepted at the drain timeout gets 503, not 500."""
    with (
        Gunicorn(tmp_path, worker_class=_class(protocol), graceful_timeout=6) as server,
        server.connect() as slow,
    ):
        slow.send(_handshake("/?file=accept"))
        server.wait_for_lifespan("waits", count=1)
        server.send_signal(signal.SIGHUP)
        assert slow.head().status == 503
        server.wait_for_log(r"gone \(reload\)")


def test_closes_are_spread(tmp_path: Path) -> None:
    """300 WebSockets are not closed in the same instant, and all within a few seconds."""
    with Gunicorn(tmp_path) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(300)]
        for client in clients:
            client.send(_handshake("/"))
            assert client.head().status == 101
        server.send_signal(signal.SIGHUP)
        drains = server.wait_for_log(r"drains \(reload\): (\d+) connections")
        assert int(drains[1]) == 300
        wait_until(lambda: any(client.readable() for client in clients), what="the first close")
        told = sum(client.readable() for client in clients)
        assert told < 300
        assert all(_SERVICE_RESTART in _rest(client) for client in clients)
        seconds = float(server.wait_for_log(r"leaves \(reload\) after ([\d.]+) s")[1])
        assert 1 < seconds < 10


def _rest(connection: Connection) -> bytes:
    """Read until the peer ends the connection."""
    wait_until(connection.has_ended, what="the end of the connection")
    return connection.received


async def _accepting(_scope: Any, receive: Any, send: Any) -> None:
    """Accept a WebSocket and wait for its end."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _shut_down_twice(protocol: str, error: type[Exception]) -> None:
    config = uvicorn.Config(_accepting, port=0, ws=protocol, lifespan="off", log_level="critical")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    [listener] = server.servers
    port = listener.sockets[0].getsockname()[1]
    async with listener, asyncio.timeout(30):
        async with connect(f"ws://127.0.0.1:{port}/", proxy=None):
            [connection] = server.server_state.connections
            connection.shutdown()
            with pytest.raises(error):
                connection.shutdown()
        listener.close()


@pytest.mark.parametrize(
    ("protocol", "error"),
    [("websockets-sansio", InvalidState), ("wsproto", LocalProtocolError)],
    ids=["sansio", "wsproto"],
)
def test_uvicorns_own_shutdown_raises_when_it_is_called_twice(protocol: str, error: type[Exception]) -> None:
    """Twin: a second ``shutdown()`` of a connection whose client has not answered the first raises (docs/upstream.md).

    If this fails, uvicorn has mended it: the handover's own count and the proposal can go.
    """
    asyncio.run(_shut_down_twice(protocol, error))
