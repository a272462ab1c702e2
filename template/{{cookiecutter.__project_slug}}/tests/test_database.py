"""The connections: how many, how long anything waits, and what clients see when the database fails."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import make_url, text

from app import database
from app.database import Database, Session
from app.main import create_app
from app.settings import Settings
from gunicorn_conf import ServerSettings

_PROBLEM = "application/problem+json"


@pytest.fixture
def ladder() -> ServerSettings:
    """Return a ladder with short times: statements get 1 s, requests 3 s, waiting for a connection 1 s."""
    return ServerSettings(
        _env_file=None,
        proxy_read_timeout=10,
        statement_timeout_override=1,
        request_deadline_override=3,
        web_concurrency=1,
    )


def _sleepy(app: FastAPI) -> None:
    """Add a route whose statement takes as long as it is told."""

    @app.get("/sleep/{seconds}")
    async def sleep(seconds: float, session: Session) -> None:
        await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, settings: Settings, ladder: ServerSettings) -> FastAPI:
    """Return an application with the short ladder and a slow route."""
    monkeypatch.setattr("app.main.ladder", ladder)
    app = create_app(settings, request_deadline=ladder.request_deadline)
    _sleepy(app)
    return app


def _closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


@given(connections=st.integers(1, 10_000), workers=st.integers(1, 512))
def test_all_processes_together_stay_within_the_budget(connections: int, workers: int) -> None:
    """Pool and readiness of every process that a reload during a handover can bring about fit."""
    size = database.pool_size(connections, workers)
    assert (2 * workers + 1) * (size + 1) <= connections
    assert (size >= 1) == (connections >= 2 * (2 * workers + 1))


@given(proxy_read_timeout=st.integers(10, 86_400))
def test_waiting_and_a_statement_fit_into_the_deadline(proxy_read_timeout: int) -> None:
    """A request that waits for a connection and a statement is answered by the database's limits, not by the 504."""
    ladder = ServerSettings(_env_file=None, proxy_read_timeout=proxy_read_timeout)
    with_database = Database(_settings_for("postgresql://app@127.0.0.1/app"), ladder)
    pool = with_database._engine.pool  # noqa: SLF001  the engine's own opinion
    assert pool._timeout + ladder.statement_timeout < ladder.request_deadline  # type: ignore[attr-defined]  # noqa: SLF001


def _settings_for(url: str, connections: int = 80) -> Settings:
    hosts = ["localhost"]
    return Settings.model_construct(allowed_hosts=hosts, database_url=SecretStr(url), database_connections=connections)


def test_every_connection_has_its_limits(settings: Settings, ladder: ServerSettings) -> None:
    """The server enforces the ladder's statement timeout; a server that has vanished is noticed."""

    async def ask() -> tuple[list[str], int]:
        async with Database(settings, ladder) as opened, opened.sessions() as session:
            names = ("statement_timeout", "idle_in_transaction_session_timeout", "application_name")
            shown = [str(await session.scalar(text(f"SHOW {name}"))) for name in names]
            driver = (await (await session.connection()).get_raw_connection()).driver_connection
            assert isinstance(driver, psycopg.AsyncConnection)
            with socket.socket(fileno=driver.fileno()) as borrowed:
                user_timeout = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                borrowed.detach()
            return shown, user_timeout

    assert asyncio.run(ask()) == (["1s", "3s", "{{ cookiecutter.__project_slug }}"], 11_000)


def test_options_of_the_url_are_kept_but_the_ladder_wins(database_url: str, ladder: ServerSettings) -> None:
    """Further server settings can be given in DATABASE_URL; a statement timeout cannot."""
    options = {"options": "-c statement_timeout=0 -c work_mem=1234kB"}
    url = make_url(database_url).update_query_dict(options).render_as_string(hide_password=False)

    async def ask() -> list[str]:
        async with Database(_settings_for(url), ladder) as opened, opened.sessions() as session:
            return [str(await session.scalar(text(f"SHOW {name}"))) for name in ("statement_timeout", "work_mem")]

    assert asyncio.run(ask()) == ["1s", "1234kB"]


def test_a_slow_statement_is_cancelled_by_the_server_and_answered_with_504(
    served: FastAPI, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The problem comes before the deadline, the log has the SQLSTATE, the server does not work on, the pool lives."""
    with TestClient(served, base_url="http://localhost") as client:
        began = time.monotonic()
        response = client.get("/sleep/30")
        took = time.monotonic() - began
        assert client.get("/sleep/0").status_code == 200
    assert (response.status_code, response.headers["content-type"]) == (504, _PROBLEM)
    assert response.json()["detail"] == "The database took too long."
    assert 1 <= took < 3
    [fields] = [record.__dict__["fields"] for record in caplog.records if record.name == "app.database"]
    assert fields["sqlstate"] == "57014"
    with psycopg.connect(database_url, autocommit=True) as connection:  # a transaction would see one snapshot only
        query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"
        assert connection.execute(query).fetchone() == (0,)


async def _get(app: FastAPI, path: str) -> int:
    """Send one request within the running loop and return the status."""
    status = 0

    async def receive() -> dict[str, object]:
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = int(str(message["status"]))

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "scheme": "http",
    }
    receive_first = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive_once() -> dict[str, object]:
        message = next(receive_first, None)
        return message if message is not None else await receive()

    await app(scope, receive_once, send)  # type: ignore[arg-type]  # plain dictionaries are messages
    return status


def _inside(app: FastAPI, work: Callable[[], Awaitable[None]]) -> None:
    """Run work while the application's lifespan does."""

    async def main() -> None:
        async with app.router.lifespan_context(app):
            await work()

    asyncio.run(main())


def test_the_pool_has_its_size_and_who_gets_nothing_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """Two connections serve two slow requests; the others give up after half a second, and readiness goes on."""
    short = ServerSettings(
        _env_file=None,
        proxy_read_timeout=20,
        statement_timeout_override=3,
        request_deadline_override=4,
        web_concurrency=1,
    )
    monkeypatch.setattr("app.main.ladder", short)  # waits half a second for a connection
    app = create_app(_settings_for(database_url, 9), request_deadline=short.request_deadline)
    _sleepy(app)
    found = SimpleNamespace(statuses=[], ready=0, connections=0)

    async def work() -> None:
        busy = [asyncio.create_task(_get(app, "/sleep/2")) for _ in range(6)]
        while sum(task.done() for task in busy) < 4:
            found.ready = await _get(app, "/health/ready")
            async with await psycopg.AsyncConnection.connect(database_url) as connection:
                query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{{ cookiecutter.__project_slug }}'"
                row = await (await connection.execute(query)).fetchone()
                assert row is not None
                found.connections = max(found.connections, row[0])
        found.statuses = sorted(await asyncio.gather(*busy))

    _inside(app, work)
    assert found.statuses == [200, 200, 503, 503, 503, 503]
    assert found.ready == 200
    assert found.connections == 3


def test_a_restarted_database_costs_no_request(application: FastAPI, client: TestClient, database_url: str) -> None:
    """Connections that the server has closed are replaced, unnoticed."""
    _sleepy(application)
    assert client.get("/sleep/0").status_code == 200
    with psycopg.connect(database_url) as connection:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"
        assert connection.execute(query, [make_url(database_url).database]).fetchall() != []
    assert client.get("/sleep/0").status_code == 200


def test_without_a_database_the_service_starts_and_says_that_it_is_not_ready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Alive and started, but not ready; requests that need the database are told to come again; no secret is logged."""
    app = create_app(_settings_for(f"postgresql://app:hunter2@127.0.0.1:{_closed_port()}/app"), request_deadline=5)
    _sleepy(app)
    with TestClient(app, base_url="http://localhost") as client, caplog.at_level(logging.DEBUG):
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/startup").status_code == 200
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/checks").json()["checks"] == {"database": "failed"}
        response = client.get("/sleep/0")
    assert (response.status_code, response.headers["content-type"]) == (503, _PROBLEM)
    assert response.headers["retry-after"] == "1"
    assert response.json()["detail"] == "The database is not available."
    assert "refused" in caplog.text
    assert "hunter2" not in caplog.text


class _Freezable:
    """A relay to the server that can stop passing anything on, as a server that hangs, or a network that is cut."""

    def __init__(self, url: str) -> None:
        self.frozen = False
        self._target = make_url(url)
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Relay while the block runs; give the URL that leads through here."""
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            yield self._target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target, answer = await asyncio.open_connection(self._target.host, self._target.port)
        for pair in ((reader, answer), (target, writer)):
            self._tasks.append(asyncio.create_task(self._pass_on(*pair)))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self.frozen:
                    writer.write(data)
        finally:
            writer.close()


def test_a_database_that_hangs_is_noticed_in_time(database_url: str, ladder: ServerSettings) -> None:
    """Readiness says so after its second, not when the driver gives up; nor does the end of the process wait."""

    async def ask() -> tuple[float, float]:
        relay = _Freezable(database_url)
        async with relay.running() as url:
            async with Database(_settings_for(url), ladder) as opened:
                await opened.ping()
                relay.frozen = True
                began = time.monotonic()
                for _ in range(2):
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(opened.ping(), 0.5)
                noticed = time.monotonic()
            return noticed - began, time.monotonic() - noticed

    noticed, closed = asyncio.run(ask())
    assert noticed < 2
    assert closed < 3


def test_a_fault_in_the_code_is_a_500(application: FastAPI, client: TestClient) -> None:
    """What coming again would not repair is not called unavailable."""

    @application.get("/wrong")
    async def wrong(session: Session) -> None:
        await session.execute(text("SELECT * FROM no_such_table"))

    assert client.get("/wrong").status_code == 500


def test_nothing_is_left_connected_after_the_end(application: FastAPI, database_url: str) -> None:
    """The lifespan closes what it has opened."""
    _sleepy(application)
    with TestClient(application, base_url="http://localhost") as client:
        assert client.get("/health/ready").status_code == 200
        assert client.get("/sleep/0").status_code == 200
    with psycopg.connect(database_url, autocommit=True) as connection:  # a transaction would see one snapshot only
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{{ cookiecutter.__project_slug }}'"
        deadline = time.monotonic() + 10
        while connection.execute(query).fetchone() != (0,) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert connection.execute(query).fetchone() == (0,)
