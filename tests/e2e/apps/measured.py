"""A FastAPI application with metrics; ``broken`` in the working directory makes its startup fail."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware import Middleware

from no502 import asgi

__all__ = ["app"]


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    if Path("broken").exists():  # noqa: ASYNC240  nothing else runs yet
        msg = "the database is away"
        raise RuntimeError(msg)
    yield


_health = asgi.Health()
app = FastAPI(
    lifespan=_lifespan,
    middleware=[
        Middleware(asgi.Metrics, health=_health),
        Middleware(asgi.HealthMiddleware, health=_health),
        Middleware(asgi.DeadlineMiddleware, seconds=30),
    ],
)


@app.get("/")
async def answer() -> dict[str, str]:
    """Answer."""
    return {"text": "hello"}


@app.get("/block")
async def block() -> None:
    """Block the event loop."""
    time.sleep(600)  # noqa: ASYNC251  that is the fault
