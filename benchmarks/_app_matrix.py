"""What the loss matrix asks for: a body sent back, events with numbers, a WebSocket that echoes; memory that leaks."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    _Receive = Callable[[], Awaitable[dict[str, Any]]]
    _Send = Callable[[dict[str, Any]], Awaitable[None]]

__all__ = ["app"]

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
        await _events(scope, send)
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


async def _events(scope: dict[str, Any], send: _Send) -> None:
    """Send numbered events until the worker drains, where the server says that it does; else for ever."""
    handover = scope.get("state", {}).get("handover")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    while handover is None or not handover.draining:
        number = int(time.time() * _EVENTS_PER_SECOND)
        await send({"type": "http.response.body", "body": b"id: %d\ndata: x\n\n" % number, "more_body": True})
        await asyncio.sleep(1 / _EVENTS_PER_SECOND)
    await send({"type": "http.response.body", "body": b"retry: 200\n\n", "more_body": False})


async def _echo(receive: _Receive, send: _Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})
