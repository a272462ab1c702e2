# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""Event streams that end when their worker drains, so that they do not hold it until ``drain_timeout``.

A stream ends between two events with a proper last chunk, which clients take for an ordinary end: an ``EventSource``
reconnects, to another worker, with its ``Last-Event-ID``. Needs ``gunicorn_handover.HandoverWorker``; under any other
server the middleware does nothing. Only the standard library is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, MutableMapping

    _Scope = MutableMapping[str, Any]
    _Message = MutableMapping[str, Any]
    _Receive = Callable[[], Awaitable[_Message]]
    _Send = Callable[[_Message], Awaitable[None]]
    _App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

__all__ = ["ENDLESS", "EndStreams"]

ENDLESS = (
    "text/event-stream",
    "application/jsonl",
    "application/x-ndjson",
    "application/json-seq",
    "multipart/x-mixed-replace",
)
"""Media types whose clients expect a stream to end at any record. A download is not among them: it would be cut."""

_EVENT_STREAM = "text/event-stream"
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_GRACE_SECONDS = 1.0
"""How long what an application sends after the end is dropped before ``send`` raises, as for a client that has gone."""


class EndStreams:
    """ASGI middleware that ends endless responses when the worker drains.

    Args:
        app: The application.
        media_types: Which responses are endless, by the first part of their Content-Type; one with a Content-Length
            never is. ``None``: every response without a Content-Length, downloads included, which are cut then.
        retry: The range, in seconds, from which the ``retry:`` line of a ``text/event-stream`` is drawn, so that its
            clients do not all reconnect in the same instant.
    """

    def __init__(
        self,
        app: _App,
        *,
        media_types: Collection[str] | None = ENDLESS,
        retry: tuple[float, float] = (0.5, 2.5),
    ) -> None:
        self._app, self._media_types, self._retry = app, media_types, retry

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Pass the request on, with a ``send`` and a ``receive`` that know the end."""
        handover = scope.get("state", {}).get("handover") if scope["type"] == "http" else None
        if handover is None:
            await self._app(scope, receive, send)
            return
        stream = _Stream(receive, send, handover, self._is_endless, self._retry)
        try:
            await self._app(scope, stream.receive, stream.send)
        except OSError:
            if not stream.ended.is_set():
                raise
        finally:
            await stream.close()

    def _is_endless(self, headers: dict[bytes, bytes]) -> bool:
        if b"content-length" in headers:
            return False
        return self._media_types is None or _media_type(headers) in self._media_types


def _media_type(headers: dict[bytes, bytes]) -> str:
    return headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


class _Stream:
    """One response: what was sent last, and whether it has been ended from here."""

    def __init__(
        self,
        receive: _Receive,
        send: _Send,
        handover: Any,
        is_endless: Callable[[dict[bytes, bytes]], bool],
        retry: tuple[float, float],
    ) -> None:
        self._receive, self._send, self._handover = receive, send, handover
        self._is_endless, self._retry = is_endless, retry
        self._watch: asyncio.Task[None] | None = None
        self._event_stream = False
        self._between_events = True
        self._body_complete = False
        self._complete = False
        self._deadline = 0.0
        self._lock = asyncio.Lock()
        self.ended = asyncio.Event()
        """Set when the response was ended from here."""

    async def send(self, message: _Message) -> None:
        """Pass a message on; after the end drop it.

        Raises:
            OSError: the application still sends a second after the end.
        """
        async with self._lock:
            if self.ended.is_set():
                await asyncio.sleep(0)
                if asyncio.get_running_loop().time() > self._deadline:
                    text = "the stream has ended: its worker drains"
                    raise OSError(text)
                return
            if message["type"] == "http.response.start":
                self._start({bytes(name).lower(): bytes(value) for name, value in message.get("headers", [])})
            elif message["type"] == "http.response.body" and self._watch is not None:
                self._note(message)
            await self._send(message)
            if self._watch is not None and self._handover.draining and self._between_events:
                await self._end()

    def _start(self, headers: dict[bytes, bytes]) -> None:
        if self._is_endless(headers):
            self._event_stream = _media_type(headers) == _EVENT_STREAM
            self._watch = asyncio.create_task(self._end_when_idle())

    def _note(self, message: _Message) -> None:
        body = bytes(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if body:
            self._between_events = not self._event_stream or body.endswith(_EVENT_ENDS)

    async def _end_when_idle(self) -> None:
        """End a stream in which nothing is being sent when the drain begins."""
        await self._handover.wait()
        async with self._lock:
            if self._between_events and not self.ended.is_set():
                await self._end()

    async def _end(self) -> None:
        if self._complete:
            return
        self.ended.set()
        self._deadline = asyncio.get_running_loop().time() + _GRACE_SECONDS
        retry = round(1000 * random.uniform(*self._retry))
        last = f"retry: {retry}\n\n".encode() if self._event_stream else b""
        await self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def receive(self) -> _Message:
        """Return the next message of the request, or ``http.disconnect`` once the stream was ended."""
        if self._body_complete:
            return await self._disconnect()
        message = await self._receive()
        self._body_complete = not message.get("more_body", False)
        return message

    async def _disconnect(self) -> _Message:
        message, end = asyncio.ensure_future(self._receive()), asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait({message, end}, return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if self.ended.is_set() else message.result()
        finally:
            end.cancel()
            if not message.done():
                message.cancel()

    async def close(self) -> None:
        """Stop waiting for the drain: the application has returned."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
