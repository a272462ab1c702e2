"""Connections that never end by themselves: WebSockets and event streams."""

import signal
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect, unix_connect

from tests.support.polling import wait_until
from tests.support.server import ROOT, Gunicorn
from tests.support.wire import Connection, request

_CLASSES = ["HttptoolsUvloop", "H11Asyncio"]


def _websocket(server: Gunicorn) -> ClientConnection:
    if isinstance(server.address, str):
        return unix_connect(server.address, "ws://e2e/")
    return connect(f"ws://{server.bind}/")


@pytest.mark.parametrize("worker_class", _CLASSES)
@pytest.mark.parametrize("way", ["reload", "max_requests", "stop"])
def test_websocket_is_told_to_reconnect(tmp_path: Path, way: str, worker_class: str) -> None:
    """A WebSocket gets close code 1012, and what it reconnects to after a recycle or reload is the replacement."""
    name = f"tests.e2e.apps.classes.{worker_class}"
    with Gunicorn(tmp_path, worker_class=name, max_requests=1) as server, _websocket(server) as client:
        [old] = server.wait_for_workers(1)
        (tmp_path / "hold").touch()
        if way == "max_requests":
            server.ask()
        else:
            server.send_signal(signal.SIGHUP if way == "reload" else signal.SIGTERM)
        if way != "stop":
            server.wait_for_lifespan("enters", count=2)
            client.send("while the replacement boots")
            assert client.recv(timeout=60) == f"{old} while the replacement boots"
            (tmp_path / "hold").unlink()
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        if way != "stop":
            with _websocket(server) as again:
                again.send("after")
                assert again.recv(timeout=60) != f"{old} after"
            server.wait_for_log(rf"worker {old} gone \({way}\)")
        assert server.stop() == 0


@pytest.mark.parametrize("worker_class", _CLASSES)
def test_event_stream_ends_politely(tmp_path: Path, worker_class: str) -> None:
    """A stream that awaits ``handover.wait()`` is complete at the client when its worker leaves."""
    name = f"tests.e2e.apps.classes.{worker_class}"
    with Gunicorn(tmp_path, worker_class=name) as server, server.connect() as stream:
        stream.send(request("/events", method="GET", body=b""))
        assert stream.head().status == 200
        assert stream.chunk() == b"data: begins\n\n"
        server.send_signal(signal.SIGHUP)
        assert stream.chunk() == b"data: ends\n\n"
        assert stream.chunk() == b""
        drains = server.wait_for_log(r"drains \(reload\)")
        assert server.wait_for_log("Application startup complete", count=2).start() < drains.start()


def test_fastapi_sees_its_worker_leave(tmp_path: Path) -> None:
    """``request.state.handover`` ends a FastAPI stream on a reload; readiness says 503 only when everything stops."""
    environment = {"GUNICORN_STOP_DELAY": "30", "WEB_CONCURRENCY": "1"}
    conf = ROOT / "gunicorn_conf.py"
    with Gunicorn(tmp_path, app="tests.e2e.apps.fast:app", conf=conf, env=environment) as server:
        with server.connect() as stream, server.connect() as idle:
            stream.send(request("/events", method="GET", body=b""))
            assert stream.head().status == 200
            assert stream.chunk() == b"data: begins\n\n"
            assert _ready(idle) == 200
            server.send_signal(signal.SIGHUP)
            assert stream.chunk() == b"data: ends, reload\n\n"
            assert stream.chunk() == b""
            assert _ready(idle) == 200
        server.terminate()

        def unready() -> bool:
            with server.connect() as fresh:
                return _ready(fresh) == 503

        wait_until(unready, what="readiness to say 503")
        assert server.stop(signal.SIGINT) == 0


def _ready(connection: Connection) -> int:
    connection.send(request("/health/ready", method="GET", body=b""))
    return connection.response().status
