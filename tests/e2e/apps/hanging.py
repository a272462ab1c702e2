"""A FastAPI application whose sync handlers hang until a test creates a file, behind a ``BaseHTTPMiddleware``."""

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request, Response

from no502.asgi import DeadlineMiddleware

__all__ = ["app"]

app = FastAPI()


@app.middleware("http")
async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Serve the routes in a task of their own, as every such middleware does."""
    return await call_next(request)


app.add_middleware(DeadlineMiddleware, seconds=1, too_many_threads=3)


@app.post("/")
async def answer() -> dict[str, int]:
    """Say who answers."""
    return {"pid": os.getpid()}


@app.post("/hangs")
def hangs() -> None:
    """Wait for a file, as a dependency without a timeout does for its peer."""
    while not Path("release").exists():
        time.sleep(0.05)
