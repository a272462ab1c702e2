"""A FastAPI application with every part of no502.asgi around it, put together as a generated service does it."""

from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.middleware import Middleware

from no502 import asgi

__all__ = ["create_app"]


class _Greeting(BaseModel):
    text: str


def create_app(
    *,
    seconds: float = 5,
    limit: int = 100,
    prefix: str = "",
    metrics: bool = False,
    style: Literal["json", "console"] = "json",
) -> FastAPI:
    """Build it; ``app.state.health`` has its health checks."""
    asgi.configure("info", style)
    health = asgi.Health()
    layers = [
        Middleware(asgi.AccessLog),
        Middleware(asgi.HealthMiddleware, health=health),
        Middleware(asgi.OverloadMiddleware, limit=limit),
        Middleware(asgi.ErrorBoundary),
        Middleware(asgi.DeadlineMiddleware, seconds=seconds),
    ]
    if prefix:
        layers.append(Middleware(asgi.RootPath, prefix=prefix))
    if metrics:
        layers.insert(0, Middleware(asgi.Metrics, health=health))
    app = FastAPI(middleware=layers, responses=asgi.OPENAPI_RESPONSES)
    app.state.health = health
    asgi.install(app)

    @app.post("/api/greetings", status_code=201)
    async def greet(name: _Greeting) -> _Greeting:
        return _Greeting(text=f"Hello, {name.text}")

    return app
