"""Clients of the loss matrix: one class for each kind of request, each unit counted exactly once and never repeated."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

__all__ = ["KINDS", "Tally", "held", "run_clients"]

_BODY = b"0123456789abcdef" * 64
_PAUSE_SECONDS = 0.01
_ANSWER_SECONDS = 30.0
_PIPELINED = 3


@dataclass
class Tally:
    """What became of the units: requests, messages or streams."""

    total: int = 0
    lost: int = 0
    slowest: float = 0.0
    """Seconds of the slowest unit that was not lost; 0 where units are streams."""

    def count(self, began: float, *, lost: bool) -> None:
        """Count one unit."""
        self.total += 1
        if lost:
            self.lost += 1
        else:
            self.slowest = max(self.slowest, time.monotonic() - began)


@dataclass
class _Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in fields}

    async def response(self) -> tuple[bool, bool]:
        """Read one response; return whether it is the right one, and whether it says that it is the last."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readuntil(b"\r\n")
        else:
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return status == 200 and body == _BODY, headers.get("connection", "").lower() == "close"


async def _requests(
    port: int,
    tally: Tally,
    done: asyncio.Event,
    ask: Callable[[_Stream], Awaitable[tuple[list[bool], bool]]],
) -> None:
    """Keep a connection until a response says close, or it ends between two requests; ask again and again."""
    stream: _Stream | None = None
    while not done.is_set():
        began, asked = time.monotonic(), False
        try:
            if stream is None or stream.reader.at_eof():
                stream = _Stream(*await asyncio.open_connection("127.0.0.1", port))
            asked = True
            async with asyncio.timeout(_ANSWER_SECONDS):
                answered, last = await ask(stream)
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError):
            tally.count(began, lost=True)
            stream, last, answered = None, False, []
        for good in answered:
            tally.count(began, lost=not good)
        if last and stream is not None:
            stream.writer.close()
            stream = None
        await asyncio.sleep(_PAUSE_SECONDS if asked else 10 * _PAUSE_SECONDS)
    if stream is not None:
        stream.writer.close()


def _post(extra: str = "") -> bytes:
    return f"POST / HTTP/1.1\r\nHost: bench\r\n{extra}\r\n".encode()


async def _ask_post(stream: _Stream) -> tuple[list[bool], bool]:
    stream.writer.write(_post(f"Content-Length: {len(_BODY)}\r\n") + _BODY)
    good, last = await stream.response()
    return [good], last


async def _ask_chunked(stream: _Stream) -> tuple[list[bool], bool]:
    """Upload in eight chunks over half a second."""
    stream.writer.write(_post("Transfer-Encoding: chunked\r\n"))
    for start in range(0, len(_BODY), 128):
        part = _BODY[start : start + 128]
        stream.writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await asyncio.sleep(0.0625)
    stream.writer.write(b"0\r\n\r\n")
    good, last = await stream.response()
    return [good], last


async def _ask_expect(stream: _Stream) -> tuple[list[bool], bool]:
    stream.writer.write(_post(f"Content-Length: {len(_BODY)}\r\nExpect: 100-continue\r\n"))
    status, _ = await stream.head()
    if status != 100:
        return [False], True
    stream.writer.write(_BODY)
    good, last = await stream.response()
    return [good], last


async def _ask_pipelined(stream: _Stream) -> tuple[list[bool], bool]:
    """Send three at once; those behind a ``Connection: close`` are lost, as no client repeats them."""
    stream.writer.write((_post(f"Content-Length: {len(_BODY)}\r\n") + _BODY) * _PIPELINED)
    answers: list[bool] = []
    last = False
    while len(answers) < _PIPELINED and not last:
        try:
            good, last = await stream.response()
        except (OSError, EOFError):
            break
        answers.append(good)
    return answers + [False] * (_PIPELINED - len(answers)), last or len(answers) < _PIPELINED


async def _events(port: int, tally: Tally, done: asyncio.Event) -> None:
    """Read event streams; a unit is a stream, lost if it ends without its last chunk; how long it took is no delay."""
    while not done.is_set():
        began = time.monotonic()
        try:
            stream = _Stream(*await asyncio.open_connection("127.0.0.1", port))
            stream.writer.write(b"GET /events HTTP/1.1\r\nHost: bench\r\n\r\n")
            await stream.head()
            while not done.is_set():
                async with asyncio.timeout(_ANSWER_SECONDS):
                    size = int(await stream.reader.readuntil(b"\r\n"), 16)
                    await stream.reader.readexactly(size + 2)
                if not size:
                    tally.count(time.monotonic(), lost=False)
                    break
            stream.writer.close()
        except (OSError, EOFError, ValueError):
            if not done.is_set():
                tally.count(began, lost=True)
            await asyncio.sleep(10 * _PAUSE_SECONDS)


async def _messages(port: int, tally: Tally, done: asyncio.Event) -> None:
    """Send messages and wait for their echo; one that was sent and has no echo is lost, whatever code the close has."""
    number = 0
    while not done.is_set():
        with contextlib.suppress(OSError, EOFError, WebSocketException):
            async with connect(f"ws://127.0.0.1:{port}/", open_timeout=10, close_timeout=1) as client:
                while not done.is_set():
                    began, number = time.monotonic(), number + 1
                    await client.send(str(number))  # fails without a loss: a closed connection takes nothing
                    try:
                        async with asyncio.timeout(_ANSWER_SECONDS):
                            good = await client.recv() == str(number)
                    except (OSError, EOFError, WebSocketException):
                        tally.count(began, lost=True)
                        break
                    tally.count(began, lost=not good)
                    await asyncio.sleep(_PAUSE_SECONDS)
        await asyncio.sleep(_PAUSE_SECONDS)


def _asking(ask: Callable[[_Stream], Awaitable[tuple[list[bool], bool]]]) -> Callable[..., Awaitable[None]]:
    async def client(port: int, tally: Tally, done: asyncio.Event) -> None:
        await _requests(port, tally, done, ask)

    return client


KINDS: dict[str, tuple[Callable[..., Awaitable[None]], bool]] = {
    "post": (_asking(_ask_post), True),
    "chunked": (_asking(_ask_chunked), True),
    "expect": (_asking(_ask_expect), False),
    "pipelined": (_asking(_ask_pipelined), False),
    "sse": (_events, False),
    "websocket": (_messages, False),
}
"""Each kind's client, and whether nginx is in between (the others would measure nginx's own answers)."""


@contextlib.asynccontextmanager
async def held(port: int, count: int) -> AsyncIterator[None]:
    """Keep so many slow requests in flight, for workers that have something to drain; they are not counted."""
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        for _, writer in streams:
            writer.write(b"GET /hold HTTP/1.1\r\nHost: bench\r\n\r\n")
            await writer.drain()
        yield
    finally:
        for _, writer in streams:
            writer.close()


async def run_clients(
    kind: str, ports: list[int], count: int, meanwhile: Awaitable[None], *, posts: Sequence[int] = ()
) -> Tally:
    """Run so many clients until ``meanwhile`` is over, and return what became of their requests.

    Args:
        kind: One of ``KINDS``.
        ports: Where the clients connect to, in turn.
        count: How many clients.
        meanwhile: What happens to the servers.
        posts: Ports that get POSTs as well, which are not counted: they bring workers to their limits.
    """
    client, _ = KINDS[kind]
    tally, done = Tally(), asyncio.Event()
    tasks = [asyncio.ensure_future(client(ports[number % len(ports)], tally, done)) for number in range(count)]
    tasks += [asyncio.ensure_future(_requests(port, Tally(), done, _ask_post)) for port in posts]
    try:
        await meanwhile
    finally:
        done.set()
        await asyncio.wait(tasks, timeout=_ANSWER_SECONDS + 5)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error
        task.cancel()
    return tally
