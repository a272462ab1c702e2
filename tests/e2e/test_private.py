"""What the worker touches beyond documented interfaces exists in the installed gunicorn and uvicorn."""

import asyncio
import inspect
import re
import signal
import socket
from collections.abc import Callable
from typing import Any

import gunicorn.sock
import pytest
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config as GunicornConfig
from gunicorn.workers.base import Worker
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

import gunicorn_arbiter
import gunicorn_handover

_OVERRIDDEN = [
    *("manage_workers", "spawn_worker", "kill_worker", "reap_workers"),
    *("setup", "reload", "reexec", "stop", "halt"),
    *("handle_term", "handle_ttin", "handle_ttou", "handle_usr1"),
]
_READ = ["WORKERS", "LISTENERS", "num_workers", "worker_age", "pidfile", "app"]
_OWN = {"install", "Handover", "Arbiter", "Connection: close", "gunicorn_arbiter.py"}
_PROVED = {
    *("Worker.SIGNALS", ".wsgi", ".sock", "Server.server_state", ".servers", ".lifespan", "app", "pipeline"),
    *(
        "Server.should_exit",
        "Config.loaded_app",
        "Config.ws_protocol_class",
        "handshake_complete",
        "handshake_completed_event",
    ),
    *("connection.transport", ".writable", "cycle", "response_started", "default_headers", "conn.trailing_data"),
}


class _Nothing(BaseApplication):  # type: ignore[misc]  # published without types
    def init(self, parser: object, opts: object, args: object) -> None: ...

    def load_config(self) -> None: ...

    def load(self) -> None: ...


def test_list_is_complete() -> None:
    """The module's list of touched attributes has exactly the names that are proved below."""
    text = inspect.getdoc(gunicorn_handover) or ""
    section = text[text.index("* ``Arbiter``") :]
    assert set(re.findall(r"``([^`]+)``", section)) == _PROVED | _OWN
    text = inspect.getdoc(gunicorn_arbiter) or ""
    section = text[text.index("``gunicorn.arbiter.Arbiter``: ") :].removeprefix("``gunicorn.arbiter.Arbiter``: ")
    assert set(re.findall(r"``([^`]+)``", section)) == {*_OVERRIDDEN, *_READ, "cfg.config"}


@pytest.mark.parametrize("name", _OVERRIDDEN)
def test_overridden_method(name: str) -> None:
    """The arbiter has the method, with the same parameters as the one that replaces it."""
    ours = inspect.signature(getattr(gunicorn_arbiter.HandoverArbiter, name))
    theirs = inspect.signature(getattr(Arbiter, name))
    assert name in vars(Arbiter)
    assert [(p.name, p.default) for p in ours.parameters.values()] == [
        (p.name, p.default) for p in theirs.parameters.values()
    ]


def test_arbiter_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """An arbiter has the attributes that are read, and keeps its workers in a dictionary by pid."""
    monkeypatch.setenv("SERVER_SOFTWARE", "an arbiter sets it; this sets it back")
    arbiter = Arbiter(_Nothing())
    assert [name for name in _READ if not hasattr(arbiter, name)] == []
    assert isinstance(arbiter.WORKERS, dict)
    assert arbiter.worker_age == 0
    assert isinstance(arbiter.cfg.config, str)
    assert {Arbiter.WORKER_BOOT_ERROR, Arbiter.APP_LOAD_ERROR} == {3, 4}


def test_worker_has_the_signals_to_reset() -> None:
    """gunicorn's worker lists the signals that it handles and leaves serving to its subclasses."""
    assert {signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2, signal.SIGABRT} <= {*Worker.SIGNALS}
    assert "self.wsgi = " in inspect.getsource(Worker.load_wsgi)


@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize("name", ["websockets-sansio", "wsproto", "websockets"])
def test_websocket_protocol_shows_its_handshake(name: str) -> None:
    """Each WebSocket protocol says whether its handshake is complete, in one of the ways that are looked at."""
    asyncio.run(_inspect_websocket(name))


async def _inspect_websocket(name: str) -> None:
    config = Config(_holding(asyncio.Event()), ws=name, log_config=None)
    config.load()
    kind: Any = config.ws_protocol_class
    connection = kind(config, ServerState(), {}, _loop=asyncio.get_running_loop())
    shown = getattr(connection, "handshake_completed_event", None)
    complete = shown.is_set() if shown is not None else connection.handshake_complete
    assert complete is False
    assert connection.transport is None
    assert isinstance(getattr(connection, "writable", asyncio.Event()), asyncio.Event)


def test_listener_has_a_socket() -> None:
    """gunicorn's listener wraps a socket under the name that is used."""
    listener = gunicorn.sock.TCPSocket(("127.0.0.1", 0), GunicornConfig(), None)
    try:
        assert isinstance(listener.sock, socket.socket)
    finally:
        listener.close()


@pytest.mark.parametrize("protocol", [HttpToolsProtocol, H11Protocol])
def test_server_and_protocols(protocol: type[Any]) -> None:
    """A running server shows its listeners, lifespan and connections, and a connection the response in the making."""
    asyncio.run(_inspect(protocol))


async def _inspect(protocol: type[Any]) -> None:
    release = asyncio.Event()
    config = Config(_holding(release), http=protocol, log_config=None, lifespan="off", ws="none")
    server = Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await _until(lambda: server.started)
    assert config.http_protocol_class is protocol
    assert isinstance(server.lifespan.state, dict)
    assert config.loaded_app is not None
    assert len(server.servers) == 1
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _until(lambda: server.server_state.connections)
    connection: Any = next(iter(server.server_state.connections))
    assert getattr(connection, "cycle", "missing") is None
    writer.write(b"GET / HTTP/1.1\r\nHost: e2e\r\n\r\n" * 2)
    await _until(lambda: connection.cycle)
    assert connection.cycle.response_started is False
    assert callable(connection.app)
    if protocol is H11Protocol:
        assert connection.conn.trailing_data[0].startswith(b"GET")
    else:
        assert len(connection.pipeline) == 1
    connection.cycle.default_headers = [*connection.cycle.default_headers, (b"x-added", b"1")]
    release.set()
    assert b"x-added: 1" in await reader.readuntil(b"x-added: 1")
    writer.close()
    await writer.wait_closed()
    server.should_exit = True
    await task


def _holding(release: asyncio.Event) -> Callable[..., Any]:
    async def app(scope: object, receive: object, send: Callable[[dict[str, object]], Any]) -> None:  # noqa: ARG001
        await release.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  uvicorn offers no event
            await asyncio.sleep(0.01)
