"""Connections that never end by themselves: WebSockets and event streams."""

import os
import re
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect, unix_connect

from tests.support.polling import wait_until
from tests.support.server import ROOT, UVICORN, Gunicorn
from tests.support.wire import Connection, LostError, request

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


_STREAMING = "tests.e2e.apps.streaming:app"
_WAYS = ["reload", "stop", "max_requests"]


def _leave(server: Gunicorn, way: str) -> None:
    if way == "max_requests":
        server.ask()
    else:
        server.send_signal(signal.SIGHUP if way == "reload" else signal.SIGTERM)


def _get(connection: Connection, path: str, **headers: str) -> None:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    connection.send(f"GET {path} HTTP/1.1\r\nHost: e2e\r\n{lines}\r\n".encode())


def _body(connection: Connection) -> bytes:
    """Read a chunked body up to its last chunk."""
    body = b""
    while data := connection.chunk():
        body += data
    return body


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("path", ["/endless", "/silent", "/halves", "/sse-starlette", "/fastapi", "/fastapi-silent"])
def test_endless_stream_ends_with_its_worker(tmp_path: Path, path: str, way: str) -> None:
    """An event stream ends between two events, with a last chunk, within seconds of the drain; nothing is cancelled."""
    with Gunicorn(tmp_path, app=_STREAMING, max_requests=1) as server, server.connect() as stream:
        [old] = server.wait_for_workers(1)
        _get(stream, path)
        assert stream.head().status == 200
        first = stream.chunk()
        _leave(server, way)
        body = (first + _body(stream)).replace(b"\r\n", b"\n")
        assert body.endswith(b"\n\n")
        if path != "/sse-starlette":
            assert re.search(rb"\n\nretry: \d+\n\n$", body)
        stream.close()  # a proxy keeps it for its idle time, which is no concern here
        leaves = server.wait_for_log(rf"worker {old} leaves \({way}\) after ([\d.]+) s: .* 0 cancelled")
        assert float(leaves[1]) < 10
        assert not server.found("Traceback")


def test_endless_stream_twin(tmp_path: Path) -> None:
    """uvicorn-worker waits for an event stream when it retires, without a heartbeat, and is killed for that."""
    with (
        Gunicorn(tmp_path, app=_STREAMING, worker_class=UVICORN, hooks=False, max_requests=1, timeout=4) as server,
        server.connect() as stream,
    ):
        _get(stream, "/sse-starlette")
        assert stream.head().status == 200
        server.ask()
        server.wait_for_log("WORKER TIMEOUT")
        with pytest.raises(LostError):
            _body(stream)


@pytest.mark.parametrize("way", ["reload", "stop"])
@pytest.mark.parametrize("path", ["/endless", "/fastapi"])
def test_endless_stream_that_polls_nothing_twin(tmp_path: Path, path: str, way: str) -> None:
    """uvicorn-worker waits for such a stream until it is killed: its client gets no last chunk."""
    with (
        Gunicorn(tmp_path, app=_STREAMING, worker_class=UVICORN, hooks=False, timeout=4, graceful_timeout=4) as server,
        server.connect() as stream,
    ):
        _get(stream, path)
        assert stream.head().status == 200
        _leave(server, way)
        with pytest.raises(LostError):
            _body(stream)


def test_stream_is_closed_and_its_background_task_runs(tmp_path: Path) -> None:
    """The application's generator is closed when its stream was ended, and what follows the response is done."""
    with Gunicorn(tmp_path, app=_STREAMING) as server, server.connect() as stream:
        _get(stream, "/endless")
        stream.head()
        server.send_signal(signal.SIGHUP)
        _body(stream)
        server.wait_for_lifespan("closed", count=1)
        server.wait_for_lifespan("background", count=1)


def test_download_is_not_cut(tmp_path: Path) -> None:
    """A streamed response that is not endless by its media type is sent to its end."""
    with Gunicorn(tmp_path, app=_STREAMING) as server, server.connect() as download:
        _get(download, "/endless?kind=text/csv&until=3")
        download.head()
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(r"drains \(reload\)")
        assert _body(download).endswith(b"data: 29\n\n")


def test_every_event_arrives_once(tmp_path: Path) -> None:
    """Clients that reconnect with Last-Event-ID get each event exactly once over several handovers.

    40 clients and 5 reloads here; ``make long-life`` has 200 and 50.
    """
    clients, reloads = int(os.environ.get("EVENT_CLIENTS", "40")), int(os.environ.get("EVENT_RELOADS", "5"))
    with Gunicorn(tmp_path, app=_STREAMING, workers=2, unix=True) as server, ExitStack() as stack:
        readers = [stack.enter_context(_EventSource(server)) for _ in range(clients)]
        for _ in range(reloads):
            old = server.wait_for_workers(2)
            server.send_signal(signal.SIGHUP)
            server.wait_for_workers(2, without=old)
        last = max(reader.ids[-1] for reader in readers)
        wait_until(lambda: all(reader.ids[-1] >= last for reader in readers), what="the last event at every client")
        for reader in readers:
            reader.stop()
        for reader in readers:
            assert reader.ids == list(range(reader.ids[0], reader.ids[-1] + 1))
            assert reader.connections >= reloads
            assert reader.lost == 0


class _EventSource:
    """Reads events like a browser's EventSource: reconnects, with the id of the last event."""

    def __init__(self, server: Gunicorn) -> None:
        self.ids: list[int] = []
        self.connections = 0
        self.lost = 0
        self._server, self._done = server, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.ids, what="the first event")
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the thread after its next event."""
        self._done.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._done.is_set():
            with self._server.connect() as connection:
                self.connections += 1
                _get(connection, "/ticks", **({"Last_Event_ID": str(self.ids[-1])} if self.ids else {}))
                connection.head()
                try:
                    while not self._done.is_set() and (event := connection.chunk()):
                        self.ids += [int(number) for number in re.findall(rb"^id: (\d+)", event, re.MULTILINE)]
                except LostError:
                    self.lost += 1


@pytest.mark.parametrize("name", ["Http2", "Http2ByClass", "Http2ByName"])
def test_http2_is_refused(tmp_path: Path, name: str) -> None:
    """uvicorn's http2 stops gunicorn at the start with one line that says why, whichever way it was chosen."""
    with Gunicorn(tmp_path, worker_class=f"tests.e2e.apps.classes.{name}", boots=False) as server:
        assert server.wait() != 0
        assert "http2 (a GOAWAY of a draining worker is a 502 in nginx): remove it" in server.output()
        assert not server.found("Traceback")
