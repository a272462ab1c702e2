"""A FastAPI application with streams that never end by themselves."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI, Request, sse
from fastapi.responses import StreamingResponse
from sse_starlette import EventSourceResponse
from starlette.background import BackgroundTask

from no502.asgi.streams import EndStreams

__all__ = ["app"]

app = FastAPI()
app.add_middleware(EndStreams)


@app.post("/")
def answer() -> dict[str, int]:
    """Say which process answers, from a thread."""
    return {"pid": os.getpid()}


def _note(event: str) -> None:
    with Path("lifespan.log").open("a", encoding="ascii") as notes:
        notes.write(f"{event} {os.getpid()}\n")


@app.get("/endless")
def endless(kind: str = "text/event-stream", until: float = 3600.0) -> StreamingResponse:
    """Send a record every tenth of a second; note when the generator is closed and when the background task runs."""

    async def stream() -> AsyncIterator[str]:
        try:
            for number in range(round(until * 10)):
                yield f"data: {number}\n\n"
                await asyncio.sleep(0.1)
        finally:
            _note("closed")

    return StreamingResponse(stream(), media_type=kind, background=BackgroundTask(_note, "background"))


@app.get("/silent")
def silent() -> StreamingResponse:
    """Send one event, then nothing."""

    async def stream() -> AsyncIterator[str]:
        yield "data: begins\n\n"
        await asyncio.sleep(3600)

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.get("/halves")
def halves() -> StreamingResponse:
    """Send events in two chunks each."""

    async def stream() -> AsyncIterator[str]:
        for number in range(36000):
            yield f"data: {number}"
            await asyncio.sleep(0.2)
            yield "\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.get("/sse-starlette")
def sse_starlette() -> EventSourceResponse:
    """Stream as most applications do; ``EndStreams`` leaves the end to the library."""

    async def stream() -> AsyncIterator[dict[str, str]]:
        for number in range(36000):
            yield {"data": str(number)}
            await asyncio.sleep(0.1)

    return EventSourceResponse(stream())


@app.get("/fastapi", response_class=sse.EventSourceResponse)
async def fastapi_sse() -> AsyncIterator[sse.ServerSentEvent]:
    """Stream as FastAPI does by itself."""
    for number in range(36000):
        yield sse.ServerSentEvent(data=number, id=str(number))
        await asyncio.sleep(0.1)


@app.get("/fastapi-silent", response_class=sse.EventSourceResponse)
async def fastapi_sse_silent() -> AsyncIterator[sse.ServerSentEvent]:
    """Send one event, then only FastAPI's own comments."""
    yield sse.ServerSentEvent(data="begins")
    await asyncio.sleep(3600)


@app.get("/ticks")
def ticks(request: Request) -> StreamingResponse:
    """Number the tenths of a second since a fixed moment; go on after ``Last-Event-ID``."""
    last = int(request.headers.get("last-event-id", _now() - 1))

    async def stream() -> AsyncIterator[str]:
        number = last + 1
        while True:
            while number <= _now():
                yield f"id: {number}\ndata: {os.getpid()}\n\n"
                number += 1
            await asyncio.sleep(0.05)

    return StreamingResponse(stream(), media_type="text/event-stream")


def _now() -> int:
    return int(time.time() * 10)
