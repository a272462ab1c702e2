"""A FastAPI application with traces, and with Sentry where a DSN is set, as the documentation says."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sentry_sdk
from fastapi import FastAPI
from opentelemetry import trace
from starlette.middleware import Middleware

from no502 import asgi

__all__ = ["app"]

sentry_sdk.init(dsn=os.environ.get("SENTRY_DSN"))
asgi.configure("info", "json")


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    await asyncio.to_thread(sentry_sdk.flush, 5)


app = FastAPI(
    lifespan=_lifespan,
    middleware=[
        Middleware(asgi.AccessLog),
        Middleware(asgi.ErrorBoundary),
        Middleware(asgi.DeadlineMiddleware, seconds=30),
    ],
)


@app.post("/")
async def answer() -> dict[str, str | int]:
    """Say which trace this is, and which worker."""
    return {"trace": f"{trace.get_current_span().get_span_context().trace_id:032x}", "pid": os.getpid()}


@app.get("/fails")
async def fails(after: float = 0.0) -> None:
    """Fail after some seconds."""
    await asyncio.sleep(after)
    msg = "the database is away"
    raise RuntimeError(msg)
