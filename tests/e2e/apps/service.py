"""A plain ASGI application whose every step a test can hold, watch or break with files in the working directory.

``hold`` keeps lifespan startup waiting while it exists, ``linger`` lifespan shutdown; ``broken`` makes startup fail.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

__all__ = ["app"]

_PAUSE_SECONDS = 0.02

_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


async def app(scope: _Scope, receive: _Receive, send: _Send) -> None:
    """Serve lifespan, HTTP and WebSocket."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _websocket(scope, receive, send)
    elif scope["path"] == "/events":
        await _events(scope, send)
    else:
        await _http(scope, receive, send)


async def _lifespan(receive: _Receive, send: _Send) -> None:
    await receive()
    _note("enters")
    await _wait_until(lambda: not _exists("hold"))
    if _exists("broken"):
        await send({"type": "lifespan.startup.failed", "message": "the database is away"})
        return
    _note("startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _wait_until(lambda: not _exists("linger"))
    _note("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


def _exists(name: str) -> bool:
    return Path(name).exists()


async def _wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  a file has no event
        await asyncio.sleep(_PAUSE_SECONDS)


def _note(event: str) -> None:
    with Path("lifespan.log").open("a", encoding="ascii") as notes:
        notes.write(f"{event} {os.getpid()}\n")


async def _http(scope: _Scope, receive: _Receive, send: _Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    arguments = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    handover = scope["state"].get("handover")
    await _act(scope["path"], arguments)
    answer: dict[str, object] = {"pid": os.getpid(), "body": body.decode()}
    if handover is not None:
        answer |= {"draining": handover.draining, "stopping": handover.stopping, "reason": handover.reason}
    content = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _act(path: str, arguments: dict[str, str]) -> None:
    seconds = float(arguments.get("seconds", "0"))
    await asyncio.sleep(float(arguments.get("after", "0")))
    if "file" in arguments:  # until the test creates it
        _note("waits")
        await _wait_until(lambda: _exists(arguments["file"]))
    if path == "/sleep":
        await asyncio.sleep(seconds)
    elif path == "/block":
        blocks_the_loop(seconds)
    elif path == "/leak":
        _LEAKED.append(b"x" * int(arguments["bytes"]))
    elif path == "/model" and not _LEAKED:  # what an application loads at its first request
        for _ in range(int(arguments["megabytes"])):
            _LEAKED.append(b"x" * 2**20)
            await asyncio.sleep(seconds / int(arguments["megabytes"]))
    elif path == "/later":  # work that outlives its response
        _LATER.add(asyncio.create_task(_later(arguments["until"])))
    elif path == "/clock":
        _move_clock(float(arguments["by"]))


_LATER: set[asyncio.Task[None]] = set()
_LEAKED: list[bytes] = []


async def _later(name: str) -> None:
    await _wait_until(lambda: _exists(name))
    _note("later")


def blocks_the_loop(seconds: float) -> None:
    """Do what an application must not do; its name has to be in the stack that is printed."""
    time.sleep(seconds)


def _move_clock(by: float) -> None:
    real = time.time
    time.time = lambda: real() + by


async def _events(scope: _Scope, send: _Send) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data: begins\n\n", "more_body": True})
    await scope["state"]["handover"].wait()
    await send({"type": "http.response.body", "body": b"data: ends\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _websocket(scope: _Scope, receive: _Receive, send: _Send) -> None:
    arguments = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    await receive()
    if "file" in arguments:  # as long as an authentication takes
        _note("waits")
        await _wait_until(lambda: _exists(arguments["file"]))
    await send({"type": "websocket.accept"})
    for _ in range(int(arguments.get("megabytes", "0"))):
        await send({"type": "websocket.send", "bytes": bytes(2**20)})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"{os.getpid()} {message.get('text', '')}"})
