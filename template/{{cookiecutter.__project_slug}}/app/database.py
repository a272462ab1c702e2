"""The database: one pool of connections for each worker, and an end to every wait.

Nothing connects before it is needed. So the service starts while the database is away, says so in ``/health/ready`` and
recovers by itself; a start that failed instead would end in restarts, and no worker could be replaced during an outage.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from types import TracebackType
from typing import Annotated, Any, Self

from fastapi import Depends, FastAPI, Request
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from starlette.requests import HTTPConnection
from starlette.responses import Response

from app.asgi import problem
from app.settings import Settings
from gunicorn_conf import ServerSettings

__all__ = ["Database", "Session", "connect_arguments", "engine_url", "install", "pool_size"]

_logger = logging.getLogger("app.database")
_QUERY_CANCELED = "57014"  # https://www.postgresql.org/docs/current/errcodes-appendix.html
_LONGEST_WAIT = 5.0  # seconds for a connection, whatever the ladder would allow
_RETRY_AFTER = "1"  # seconds


def pool_size(connections: int, workers: int) -> int:
    """Return how many connections the requests of one worker may use.

    There are at most ``2 * workers + 1`` processes: during a reload both generations, and one more that already
    drains. Each has one further connection, for the readiness check.

    Args:
        connections: What all processes of this instance may open together.
        workers: Worker processes.
    """
    return connections // (2 * workers + 1) - 1


def engine_url(settings: Settings) -> URL:
    """Return the URL with the driver in it. Printed, it shows stars for the password."""
    return make_url(settings.database_url.get_secret_value()).set(drivername="postgresql+psycopg")


def connect_arguments(url: URL, ladder: ServerSettings) -> dict[str, Any]:
    """Return what every connection of a worker is opened with.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
    """
    options = [
        f"-c statement_timeout={ladder.statement_timeout * 1000}",
        # What is idle for that long inside a transaction has lost its request, and its locks block others.
        f"-c idle_in_transaction_session_timeout={ladder.request_deadline * 1000}",
    ]
    own = url.query.get("options", ())
    return {
        "application_name": "{{ cookiecutter.__project_slug }}",
        "options": " ".join([*((own,) if isinstance(own, str) else own), *options]),
        "connect_timeout": max(2, round(_wait(ladder))),  # 2 is the driver's least
        # A server that has vanished without a word (power, network) is given up after about 11 s of silence.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 11_000,  # milliseconds
        # Nothing prepared that a migration could invalidate below a running worker, or that a pooler would lose.
        "prepare_threshold": None,
    }


def _wait(ladder: ServerSettings) -> float:
    """Return the seconds to wait for a connection: half of what a statement leaves of the deadline."""
    return min(_LONGEST_WAIT, (ladder.request_deadline - ladder.statement_timeout) / 2)


class Database:
    """The connections of this process; open while its ``async with`` block runs.

    Args:
        settings: The URL and the number of connections.
        ladder: The time limits and the number of workers.
    """

    def __init__(self, settings: Settings, ladder: ServerSettings) -> None:
        self._url = engine_url(settings)
        self._arguments = connect_arguments(self._url, ladder)
        self._engine = self._create_engine(
            pool_size=pool_size(settings.database_connections, ladder.workers),
            pool_timeout=_wait(ladder),
            # One round trip for each request, so that none fails on a connection that a restarted database has left.
            pool_pre_ping=True,
        )
        # Its own connection: a pool that is used up is overload, and no reason to take the instance out of service.
        self._probe = self._create_engine(pool_size=1)
        self._pinging: asyncio.Task[None] | None = None
        self.sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        """For code outside of requests: ``async with database.sessions.begin() as session``."""

    def _create_engine(self, **pool: Any) -> AsyncEngine:  # noqa: ANN401  passed on
        # hide_parameters: values from requests do not get into the log.
        return create_async_engine(
            self._url, connect_args=self._arguments, max_overflow=0, hide_parameters=True, **pool
        )

    async def __aenter__(self) -> Self:
        """Do nothing yet: connections are opened when they are needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections. The server has waited for the requests before."""
        while self._pinging is not None and not self._pinging.done():
            self._pinging.cancel()  # the second time, the driver stops waiting for a server that hangs
            await asyncio.wait({self._pinging}, timeout=0.5)
        await self._engine.dispose()
        await self._probe.dispose()

    async def ping(self) -> None:
        """Return when the database answers; for a readiness check.

        May be cancelled at once: cancelling a query takes the driver up to ten seconds when the server hangs, so the
        query goes on and the next call waits for the same one.
        """
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self._select_one())
        await asyncio.shield(self._pinging)

    async def _select_one(self) -> None:
        async with self._probe.connect() as connection:
            await connection.execute(text("SELECT 1"))


async def _session(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    database: Database = connection.app.state.database
    async with database.sessions.begin() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session, scope="function")]
"""A session for a handler's argument: one transaction, committed when the handler returns, rolled back when it raises.

It ends before the response is sent. So the client hears of a commit that failed, and a slow client holds no connection;
a streaming response cannot use it.
"""


def install(app: FastAPI) -> None:
    """Answer for the database's failures: 504 for a statement that took too long, 503 when there is no database.

    Everything else that the database refuses is a fault in the code, and a 500.
    """
    app.add_exception_handler(OperationalError, _failed)
    app.add_exception_handler(InterfaceError, _failed)
    app.add_exception_handler(PoolTimeoutError, _exhausted)


async def _failed(request: Request, error: Exception) -> Response:
    if not isinstance(error, DBAPIError):  # the signature is Starlette's; it only sends what was registered
        raise error
    state = getattr(error.orig, "sqlstate", None)
    _logger.warning("database error", extra={"fields": {"sqlstate": state, "error": str(error.orig)}})
    if state == _QUERY_CANCELED:
        return problem(request.scope, HTTPStatus.GATEWAY_TIMEOUT, "The database took too long.")
    return _unavailable(request, "The database is not available.")


async def _exhausted(request: Request, _: Exception) -> Response:
    _logger.warning("no database connection became free in time")
    return _unavailable(request, "Too many requests need the database.")


def _unavailable(request: Request, detail: str) -> Response:
    headers = {"Retry-After": _RETRY_AFTER}
    return problem(request.scope, HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)
