"""The application: everything is put together here, and nowhere else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
{%- if cookiecutter.database == 'postgresql' %}

from app import DESCRIPTION, TITLE, VERSION, asgi, database, example, items
{%- else %}

from app import DESCRIPTION, TITLE, VERSION, asgi, example
{%- endif %}
from app.asgi.welcome import WelcomeMiddleware
from app.settings import Settings, load
from gunicorn_conf import settings as ladder

__all__ = ["app", "create_app"]

_LOCAL = ("localhost", "127.0.0.1")
_EXPOSED = ("X-Request-ID", "Retry-After")


@asynccontextmanager
{%- if cookiecutter.database == 'postgresql' %}
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what the service needs before the first request, close it after the last one."""
    async with database.Database(app.state.settings, ladder) as opened:
        app.state.database = opened
        app.state.health.add(asgi.Check(name="database", probe=opened.ping, timeout=1.0))
        yield
{%- else %}
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Open what the service needs before the first request, close it after the last one.

    Add ``_app.state.health.add(asgi.Check(...))`` for each thing without which no request can be served.
    """
    yield
{%- endif %}


def create_app(settings: Settings | None = None, *, request_deadline: float = ladder.request_deadline) -> FastAPI:
    """Build the application.

    Args:
        settings: What to build it from; by default the environment and ``.env``.
        request_deadline: Seconds until a response must have started; by default the ladder's number.
    """
    settings = settings or load()
    asgi.configure(settings.log_level, settings.log_format)
    health = asgi.Health()
    layers = [  # the first one is the outermost; None: not asked for
        Middleware(asgi.Metrics, health=health) if settings.metrics else None,
        Middleware(asgi.AccessLog),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_credentials=settings.cors_credentials,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        ),
        Middleware(TrustedHostMiddleware, allowed_hosts=[*settings.allowed_hosts, *_LOCAL], www_redirect=False),
        Middleware(asgi.HealthMiddleware, health=health),
        Middleware(asgi.OverloadMiddleware, limit=limit) if (limit := settings.requests_in_flight) else None,
        Middleware(asgi.ErrorBoundary),
        Middleware(asgi.DeadlineMiddleware, seconds=request_deadline),
        Middleware(asgi.EndStreams),
        Middleware(asgi.RootPath, prefix=settings.root_path) if settings.root_path else None,
        Middleware(WelcomeMiddleware, title=TITLE, settings=ladder, docs=settings.docs) if settings.welcome else None,
    ]
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=VERSION,
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        lifespan=_lifespan,
        responses=asgi.OPENAPI_RESPONSES,
        middleware=[layer for layer in layers if layer is not None],
        telemetry={"exclude": lambda scope: scope["path"].startswith("/health/")},  # nothing is sent unless asked for
    )
    app.state.settings = settings
    app.state.health = health
    asgi.install(app)
{%- if cookiecutter.database == 'postgresql' %}
    database.install(app)
{%- endif %}
    app.include_router(example.router)
{%- if cookiecutter.database == 'postgresql' %}
    app.include_router(items.router)
{%- endif %}
    return app


app = create_app()
