"""A client connection as a raw protocol: one POST at a time, one verdict on each."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Protocol, cast

__all__ = ["Connection", "Owner"]

_FIRST = 10**9  # numbers of ten digits: every request has the same length
_HEAD = b"POST / HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
_STATUS = re.compile(rb"http/1\.[01] ([0-9]{3}) ")
_LENGTH = re.compile(rb"\ncontent-length: *([0-9]+)")
_LONGEST_RESPONSE = 65536
_STATUS_OK = 200


class Owner(Protocol):
    """What a connection reports to."""

    def ended(self, connection: Connection, reason: str | None, *, reusable: bool) -> None:
        """Take note of a request's end: None if it was answered, else why it is lost."""

    def forget(self, connection: Connection) -> None:
        """Take note of the connection's end."""


class Connection(asyncio.Protocol):
    """A connection with at most one request on it.

    Args:
        owner: Is told what becomes of the request and of the connection.
    """

    def __init__(self, owner: Owner) -> None:
        self.busy = False
        self.due = 0.0
        self.sent_at = 0.0
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._body = b""
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    @property
    def usable(self) -> bool:
        """Whether a request can be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    def post(self, number: int, due: float) -> None:
        """Send a request."""
        assert self._transport is not None  # noqa: S101  for the type checker
        self.busy, self.due, self.sent_at = True, due, time.monotonic()
        self._body = b'{"n":%d}' % (_FIRST + number)
        self._transport.write(_HEAD + self._body)

    def give_up(self, reason: str) -> None:
        """Count the request as lost and drop the connection."""
        self._end(reason, reusable=False)

    def close(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self.busy:  # an answer to nothing: nginx's 408, or the tail of a response too long
            self.close()
            return
        received = self._received = self._received + data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            if len(received) > _LONGEST_RESPONSE:
                self._end("malformed response", reusable=False)
            return
        head = received[:head_end].lower()
        status_line, length = _STATUS.match(head), _LENGTH.search(head)
        if status_line is None or length is None:
            self._end("malformed response", reusable=False)
            return
        end = head_end + 4 + int(length[1])
        if len(received) < end:
            return
        status = int(status_line[1])
        reusable = len(received) == end and b"\nconnection: close" not in head
        if status != _STATUS_OK:
            self._end(f"status {status}", reusable=reusable)
        elif received[head_end + 4 :] != self._body:
            self._end("wrong body", reusable=reusable)
        else:
            self._end(None, reusable=reusable)

    def eof_received(self) -> None:
        if not self.busy:
            self._owner.forget(self)  # now, or a request could be put on it in this turn of the loop

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.forget(self)
        if self.busy:
            self._end("closed before the answer" if exc is None else f"reset: {type(exc).__name__}", reusable=False)

    def _end(self, reason: str | None, *, reusable: bool) -> None:
        self.busy, self._received = False, b""
        if not reusable:
            self.close()
        self._owner.ended(self, reason, reusable=reusable)
