"""What the loss matrix asks for: a body sent back, slow requests, events, a WebSocket that echoes; leaking memory."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from sse_starlette import EventSourceResponse

from no502.asgi.streams import EndStreams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    _Receive = Callable[[], Awaitable[dict[str, Any]]]
    _Send = Callable[[dict[str, Any]], Awaitable[None]]

__all__ = ["HOLD_SECONDS", "app"]

HOLD_SECONDS = 12.0
"""How long ``/hold`` takes."""

_LEAK = int(os.environ.get("BENCH_LEAK_BYTES", "0"))
_EVENTS_PER_SECOND = 20
_leaked: list[bytes] = []


async def app(scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
    """Serve one request, stream, WebSocket or lifespan."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
    elif scope["type"] == "websocket":
        await _echo(receive, send)
    elif scope["path"] == "/events":
        events: Any = EndStreams(EventSourceResponse(_numbers()))  # does nothing on the other servers
        await events(scope, receive, send)
    elif scope["path"] == "/hold":
        await asyncio.sleep(HOLD_SECONDS)
        await _answer(receive, send)
    else:
        await _answer(receive, send)


async def _answer(receive: _Receive, send: _Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if _LEAK:
        _leaked.append(b"x" * _LEAK)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def _numbers() -> AsyncIterator[dict[str, str]]:
    """Yield events for ever: sse-starlette ends the stream when the server is told to stop."""
    number = 0
    while True:
        yield {"id": str(number), "data": "x"}
        number += 1
        await asyncio.sleep(1 / _EVENTS_PER_SECOND)


async def _echo(receive: _Receive, send: _Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})
