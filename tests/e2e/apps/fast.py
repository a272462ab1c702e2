"""A FastAPI application that uses what the documentation promises: ``request.state.handover``."""

import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

__all__ = ["app"]

app = FastAPI()


@app.post("/")
def answer() -> dict[str, int]:
    """Say who answers, from a thread."""
    return {"pid": os.getpid()}


@app.get("/health/ready")
def ready(request: Request) -> Response:
    """Say 503 once the whole instance stops."""
    handover: Any = getattr(request.state, "handover", None)
    return Response(status_code=503 if handover is not None and handover.stopping else 200)


@app.get("/events")
def events(request: Request) -> StreamingResponse:
    """Stream until the worker drains, and say so."""

    async def stream() -> AsyncIterator[str]:
        yield "data: begins\n\n"
        await request.state.handover.wait()
        yield f"data: ends, {request.state.handover.reason}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")
