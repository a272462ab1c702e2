"""The application: everything is put together here, and nowhere else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
{%- if cookiecutter.database == 'postgresql' %}

from app import DESCRIPTION, TITLE, VERSION, database, example, health, items, log, problems
{%- else %}

from app import DESCRIPTION, TITLE, VERSION, example, health, log, problems
{%- endif %}
from app.access_log import AccessLog
from app.deadline import DeadlineMiddleware
from app.overload import OverloadMiddleware
from app.root_path import RootPath
from app.settings import Settings, load
from gunicorn_conf import settings as ladder

__all__ = ["app", "create_app"]

_LOCAL = ("localhost", "127.0.0.1")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what the service needs before the first request, close it after the last one."""
{%- if cookiecutter.database == 'postgresql' %}
    async with database.Database(app.state.settings, ladder) as opened:
        app.state.database = opened
        app.state.health = health.Health([health.Check(name="database", probe=opened.ping, timeout=1.0)])
        app.state.health.started = True
        yield
        app.state.health.started = False
{%- else %}
    app.state.health.started = True
    yield
    app.state.health.started = False
{%- endif %}


def create_app(settings: Settings | None = None, *, request_deadline: float = ladder.request_deadline) -> FastAPI:
    """Build the application.

    Args:
        settings: What to build it from; by default the environment and ``.env``.
        request_deadline: Seconds until a response must have started; by default the ladder's number.
    """
    settings = settings or load()
    log.configure(settings.log_level, settings.log_format)
    layers = [  # the first one is the outermost
        Middleware(AccessLog),
        Middleware(CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"]),
        Middleware(TrustedHostMiddleware, allowed_hosts=[*settings.allowed_hosts, *_LOCAL], www_redirect=False),
        Middleware(problems.ErrorBoundary),
        Middleware(DeadlineMiddleware, seconds=request_deadline),
    ]
    if settings.requests_in_flight:
        layers.insert(-2, Middleware(OverloadMiddleware, limit=settings.requests_in_flight))
    if settings.root_path:
        layers.append(Middleware(RootPath, prefix=settings.root_path))
    if settings.metrics:
        from app import metrics  # noqa: PLC0415  its library is loaded only where it is wanted

        layers.insert(0, metrics.layer())
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=VERSION,
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        lifespan=_lifespan,
        responses=problems.OPENAPI_RESPONSES,
        middleware=layers,
    )
    app.state.settings = settings
{%- if cookiecutter.database == 'postgresql' %}
    app.state.health = health.Health([])  # _lifespan puts the checks in
{%- else %}
    app.state.health = health.Health([])  # one health.Check for each thing without which no request can be served
{%- endif %}
    problems.install(app)
{%- if cookiecutter.database == 'postgresql' %}
    database.install(app)
{%- endif %}
    app.include_router(health.router)
    app.include_router(example.router)
{%- if cookiecutter.database == 'postgresql' %}
    app.include_router(items.router)
{%- endif %}
    return app


app = create_app()
