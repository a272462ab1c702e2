"""The application: everything is put together here, and nowhere else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from app import DESCRIPTION, TITLE, VERSION, example, health, log, problems
from app.access_log import AccessLog
from app.deadline import DeadlineMiddleware
from app.settings import Settings, load
from gunicorn_conf import settings as ladder

__all__ = ["app", "create_app"]

_LOCAL = ("localhost", "127.0.0.1")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what the service needs before the first request, close it after the last one."""
    app.state.health.started = True
    yield
    app.state.health.started = False


def create_app(settings: Settings | None = None, *, request_deadline: float = ladder.request_deadline) -> FastAPI:
    """Build the application.

    Args:
        settings: What to build it from; by default the environment and ``.env``.
        request_deadline: Seconds until a response must have started; by default the ladder's number.
    """
    settings = settings or load()
    log.configure(settings.log_level, settings.log_format)
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=VERSION,
        root_path=settings.root_path,
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        lifespan=_lifespan,
        responses=problems.OPENAPI_RESPONSES,
        middleware=[  # the first one is the outermost
            Middleware(AccessLog),
            Middleware(CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"]),
            Middleware(TrustedHostMiddleware, allowed_hosts=[*settings.allowed_hosts, *_LOCAL], www_redirect=False),
            Middleware(problems.ErrorBoundary),
            Middleware(DeadlineMiddleware, seconds=request_deadline),
        ],
    )
    app.state.settings = settings
    app.state.health = health.Health([])  # one health.Check for each thing without which no request can be served
    problems.install(app)
    app.include_router(health.router)
    app.include_router(example.router)
    return app


app = create_app()
