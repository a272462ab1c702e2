"""Server-sent events that end when their worker drains."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from gunicorn_handover import Handover

app = FastAPI()


async def ticks(handover: Handover | None) -> AsyncIterator[str]:
    """Yield an event a second until the worker drains; the client's EventSource then reconnects to another worker."""
    draining = asyncio.ensure_future(handover.wait()) if handover else asyncio.get_running_loop().create_future()
    try:
        while not draining.done():
            yield "data: tick\n\n"
            await asyncio.wait([draining], timeout=1)
        yield "retry: 500\n\n"
    finally:
        draining.cancel()


@app.get("/ticks")
async def stream(request: Request) -> StreamingResponse:
    """Stream events. Under a server that does not hand over, `request.state.handover` is not there."""
    handover: Handover | None = getattr(request.state, "handover", None)
    return StreamingResponse(ticks(handover), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
