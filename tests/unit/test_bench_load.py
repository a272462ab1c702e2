"""The benchmarks' load generator counts every request that was not answered, once, and repeats none."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from _load import Load, Plan, run
from _outcome import Outcome

from tests.support.polling import wait_until
from tests.support.ports import free_port

_LINGER_ZERO = struct.pack("ii", 1, 0)  # close() sends a reset

Answer = Callable[["Server", int, bytes, asyncio.StreamWriter], None]


class Server:
    """A server on a thread of its own; ``answer`` decides what becomes of each request, counted from 1."""

    def __init__(self, answer: Answer) -> None:
        self.seen = 0
        self.bodies: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._answer = answer
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._ready.wait(10.0)

    def stop(self) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10.0)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._done = asyncio.Event()
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._done.wait()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.seen += 1
                self.bodies.append(body)
                self._answer(self, self.seen, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def _respond(
    writer: asyncio.StreamWriter, body: bytes, *, status: int = 200, head: bytes = b"", length: int | None = None
) -> None:
    length = len(body) if length is None else length
    writer.write(b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s" % (status, head, length, body))


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()


@contextmanager
def _serving(answer: Answer) -> Iterator[Server]:
    server = Server(answer)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _echo(_server: Server, _number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    _respond(writer, body)


def _assert_each_sent_once(server: Server, outcome: Outcome) -> None:
    assert server.seen == outcome.requests
    assert outcome.answered + outcome.lost == outcome.requests


@pytest.mark.parametrize("rate", [None, 400.0], ids=["full speed", "fixed rate"])
@pytest.mark.parametrize("processes", [1, 2])
def test_every_tenth_reset_is_counted_once(rate: float | None, processes: int) -> None:
    """A server that resets every tenth request costs exactly every tenth one, and sees none a second time."""

    def answer(_server: Server, number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if number % 10 == 0:
            _reset(writer)
        else:
            _respond(writer, body)

    with _serving(answer) as server:
        outcome = run(Plan(server.port, seconds=20.0, rate=rate, requests=200, connections=4, processes=processes))
    assert outcome.lost_by_reason == {"reset: ConnectionResetError": 20}
    assert outcome.answered == 180
    _assert_each_sent_once(server, outcome)
    if processes == 1:
        assert len(set(server.bodies)) == 200
    assert [reason for _, reason in outcome.failures] == ["reset: ConnectionResetError"] * 20


def _status_502(_server: Server, _number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    _respond(writer, body, status=502)


def _other_body(_server: Server, _number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    _respond(writer, body[::-1])


def _extra_bytes(_server: Server, _number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    _respond(writer, body + b"x", length=len(body))


def _closed(_server: Server, _number: int, _body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


def _half(_server: Server, _number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    _respond(writer, body, length=len(body) + 1)
    writer.close()


def _nonsense(_server: Server, _number: int, _body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-x\r\n\r\n")


def _no_length(_server: Server, _number: int, _body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")


def _silence(_server: Server, _number: int, _body: bytes, _writer: asyncio.StreamWriter) -> None:
    pass


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (_status_502, "status 502"),
        (_other_body, "wrong body"),
        (_extra_bytes, "wrong body"),
        (_closed, "closed before the answer"),
        (_half, "closed before the answer"),
        (_nonsense, "malformed response"),
        (_no_length, "malformed response"),
        (_silence, "no answer in 0.5 s"),
    ],
)
def test_a_request_without_the_right_answer_is_lost(bad: Answer, reason: str) -> None:
    """An answer that is not a complete 200 with the request's own number is lost, once, and the others are answered."""

    def answer(server: Server, number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        (bad if number in (5, 17) else _echo)(server, number, body, writer)

    with _serving(answer) as server:
        outcome = run(Plan(server.port, seconds=20.0, requests=40, connections=3, answer_seconds=0.5))
    assert outcome.lost_by_reason == {reason: 2}
    _assert_each_sent_once(server, outcome)


def test_a_connection_closed_between_requests_loses_nothing() -> None:
    """A server that closes after every answer, saying so or not, costs connections and no request."""

    def answer(_server: Server, number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        _respond(writer, body, head=b"Connection: close\r\n" if number % 2 else b"")
        writer.close()

    with _serving(answer) as server:
        # Slow enough for the other thread to have closed before the next request.
        outcome = run(Plan(server.port, seconds=20.0, rate=10.0, requests=30))
    assert outcome.lost_by_reason == {}
    assert outcome.answered == server.connections == 30
    assert outcome.reconnects == 15
    _assert_each_sent_once(server, outcome)


def test_a_port_without_a_listener_is_a_loss_for_every_request() -> None:
    """A refused connection loses the request that wanted it."""
    outcome = run(Plan(free_port(), seconds=20.0, requests=7, connections=2))
    assert outcome.lost_by_reason == {"connect: ConnectionRefusedError": 7}
    assert outcome.rate == 0.0


def test_latency_counts_from_the_scheduled_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a fixed rate a stall is paid for by every request that fell due meanwhile, even by those not yet sent."""
    monkeypatch.setattr("_load._MOST_OPEN", 1)  # the others wait for the one connection

    def answer(_server: Server, number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if number == 10:  # 60 requests fall due until it is answered
            asyncio.get_running_loop().call_later(0.6, _respond, writer, body)
        else:
            _respond(writer, body)

    with _serving(answer) as server:
        outcome = run(Plan(server.port, seconds=20.0, rate=100.0, requests=80))
    assert outcome.lost == 0
    assert server.connections == 1
    assert outcome.slowest_ms > 590
    assert outcome.p50_ms > 100  # 20 of the 80 came due before or after the stall
    assert outcome.p99_ms <= outcome.slowest_ms
    _assert_each_sent_once(server, outcome)


def test_an_answered_load_has_no_losses_and_keeps_its_rate() -> None:
    """The twin of all cases above: a server that answers loses nothing, at about the rate that was offered."""
    with _serving(_echo) as server:
        outcome = run(Plan(server.port, seconds=1.0, rate=200.0, processes=2))
    assert outcome.lost_by_reason == {}
    assert 195 <= outcome.requests <= 205
    assert 60 < outcome.rate < 250
    assert outcome.reconnects == 0
    _assert_each_sent_once(server, outcome)


def test_a_load_can_be_watched_and_stopped() -> None:
    """A load in the background reports its counts and ends when it is told to."""
    with _serving(_echo) as server, Load(Plan(server.port, seconds=60.0, rate=100.0)) as load:
        wait_until(lambda: load.answered > 0, what="the first report")
        assert load.running
        load.stop()
        outcome = load.wait()
        wait_until(lambda: not load.running, what="the load's end")
    assert 0 < outcome.requests < 3000
    assert outcome.lost == 0
    _assert_each_sent_once(server, outcome)


def test_a_long_load_reports_everything() -> None:
    """The result of a load arrives whole, even one that is larger than the buffer between two processes."""
    with _serving(_echo) as server:
        outcome = run(Plan(server.port, seconds=60.0, requests=30_000))
    assert outcome.answered == 30_000
    _assert_each_sent_once(server, outcome)
