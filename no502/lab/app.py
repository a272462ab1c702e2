"""The application that the lab serves: small, and able to misbehave when it is asked to.

ASGI without a framework, so that what the lab shows is due to the servers. ``LAB_WORKERS`` names a file to which every
worker appends when it begins and ends to serve.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["app"]

_COOKIE_BYTES = 1000
_PIECE = b"x" * 1000
_TIMEOUT = b'{"type":"about:blank","title":"Gateway Timeout","status":504}'


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve one connection, or the lifespan."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _echo(receive, send)
    else:
        while (await receive()).get("more_body"):
            pass
        await _answer(scope, send)


def _deadline() -> float | None:
    """Return the request deadline in seconds that the environment asks for; the ladder's with no502."""
    value = os.environ.get("LAB_DEADLINE")
    return float(value) if value else None


async def _answer(scope: dict[str, Any], send: Any) -> None:
    query = {key: float(value) for key, value in parse_qsl(scope["query_string"].decode())}
    seconds = query.get("seconds", 0.0)
    match scope["path"]:
        case "/sleep":
            try:
                async with asyncio.timeout(_deadline()):
                    await asyncio.sleep(seconds)
            except TimeoutError:
                await _send(send, 504, _TIMEOUT, [(b"content-type", b"application/problem+json")])
                return
        case "/block":
            time.sleep(seconds)  # noqa: ASYNC251  the mistake on display
        case "/stream":
            await _stream(send, int(query["pieces"]), query["pause"])
            return
        case "/cookies":
            cookies = [
                (b"set-cookie", b"c%d=" % number + b"v" * _COOKIE_BYTES) for number in range(int(query["count"]))
            ]
            await _send(send, 200, b"{}", cookies)
            return
        case "/" | "/health/ready":
            pass
        case _:
            await _send(send, 404, b"{}")
            return
    client = scope["client"][0] if scope["client"] else ""
    body = {"pid": os.getpid(), "client": client, "scheme": scope["scheme"]}
    await _send(send, 200, json.dumps(body).encode())


async def _send(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    head = [(b"content-length", b"%d" % len(body)), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Any, pieces: int, pause: float) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(pieces):
        await send({"type": "http.response.body", "body": _PIECE, "more_body": True})
        await asyncio.sleep(pause)
    await send({"type": "http.response.body", "body": b""})


async def _echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})


async def _lifespan(receive: Any, send: Any) -> None:
    await receive()
    _note("arrives")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    _note("leaves")
    await send({"type": "lifespan.shutdown.complete"})


def _note(what: str) -> None:
    path = os.environ.get("LAB_WORKERS")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{time.time()} {os.getpid()} {what}\n")
