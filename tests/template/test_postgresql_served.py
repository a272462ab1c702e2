"""A service with ``database=postgresql`` behind the real nginx and gunicorn, on a real PostgreSQL."""

import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.support.commands import processes_in
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.template import bake, files_in, service_environment
from tests.template.conftest import Service

SLEEP = '''

@router.get("/sleep/{seconds}")
async def sleep(seconds: float, session: Session) -> None:
    """Let the database work for a while."""
    await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
'''
COUNT = """
import sys, time, psycopg
with psycopg.connect(sys.argv[1], autocommit=True, application_name="observer") as connection:
    print("observing", flush=True)
    while True:
        query = "SELECT count(*), count(*) FILTER (WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%') "
        query += "FROM pg_stat_activity WHERE application_name = 'stored'"
        print("connections", *connection.execute(query).fetchone(), flush=True)
        time.sleep(0.02)
"""


@pytest.fixture(name="stored", scope="session")
def _stored(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service with a database, installed by its own Makefile."""
    answers = {"project_name": "Stored", "database": "postgresql", "proxy_read_timeout": "10"}
    service = Service(bake(tmp_path_factory.mktemp("stored"), **answers))
    done = service.make("install")
    assert done.returncode == 0, done.stdout
    return service


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("check", r"All checks passed!\n(.*\n)*\d+ files already formatted\n(.*\n)*Success: no issues found"),
        ("test", r"\d\d passed in"),
    ],
)
def test_its_own_make_target_passes(stored: Service, target: str, expected: str) -> None:
    """``make check`` and ``make test`` succeed right after generation; nothing is skipped."""
    done = stored.make(target)
    assert done.returncode == 0, done.stdout
    assert re.search(expected, done.stdout), done.stdout
    assert "skipped" not in done.stdout


def test_a_model_without_a_migration_is_found_and_gets_one(stored: Service, url: str) -> None:
    """``make migration`` writes what is missing, lint-clean, and the service's own test asks for it."""
    models = stored.directory / "app" / "models.py"
    right = models.read_text(encoding="utf-8")
    before = files_in(stored.directory / "migrations" / "versions")
    test = [stored.python, "-m", "pytest", "-q", "-k", "models_and_the_migrations"]
    environment = service_environment(stored.directory.parent / "tmp", DATABASE_URL=url)
    try:
        models.write_text(right + "    colour: Mapped[str | None] = mapped_column()\n", encoding="utf-8")
        with _database(stored, url), Running(test, env=environment, cwd=stored.directory) as failing:
            assert failing.wait(90) == 1
            assert "add_column" in failing.output()
            write = ["make", "migration", "NAME=add colour", f"PYTHON={stored.python}"]
            with Running(write, env=environment, cwd=stored.directory) as writing:
                assert writing.wait(60) == 0
            with Running(test, env=environment, cwd=stored.directory) as passing:
                assert passing.wait(90) == 0
        assert stored.make("check").returncode == 0
    finally:
        models.write_text(right, encoding="utf-8")
        for path in (stored.directory / "migrations" / "versions").glob("*.py"):
            if path.name not in before:
                path.unlink()


@pytest.fixture(name="url")
def _url() -> str:
    """A DATABASE_URL for ``make database``."""
    return f"postgresql://app:secret-{free_port()}@127.0.0.1:{free_port()}/app"


def _run(stored: Service, *command: str, **variables: str) -> Running:
    environment = service_environment(stored.directory.parent / "tmp", WEB_CONCURRENCY="1", **variables)
    return Running(command, env=environment, cwd=stored.directory)


class _Database(Running):
    """``make database``, ready when the block begins."""

    def __enter__(self) -> Self:
        """Start it and wait."""
        super().__enter__()
        try:
            self.wait_for_output("database: ready at", seconds=90)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self


def _database(stored: Service, url: str) -> _Database:
    environment = service_environment(stored.directory.parent / "tmp", DATABASE_URL=url)
    return _Database(["make", "database", f"PYTHON={stored.python}"], env=environment, cwd=stored.directory)


@pytest.fixture(name="sleepy")
def _sleepy(stored: Service) -> Iterator[Service]:
    """The service with a route whose statement takes as long as it is told."""
    items = stored.directory / "app" / "items.py"
    right = items.read_text(encoding="utf-8")
    items.write_text(right.replace("import select\n", "import select, text\n") + SLEEP, encoding="utf-8")
    yield stored
    items.write_text(right, encoding="utf-8")


def _observed(observer: Running) -> list[tuple[int, int]]:
    """Return the pairs that the observer has seen: connections of the service, and those that run ``pg_sleep``."""
    pairs = re.findall(r"^connections (\d+) (\d+)$", observer.output(), re.MULTILINE)
    return [(int(all_of_them), int(active)) for all_of_them, active in pairs]


def _status(url: str) -> int:
    try:
        return httpx.get(url, timeout=9).status_code
    except httpx.TransportError:
        return 0


def test_a_slow_statement_is_cancelled_by_the_server_and_is_a_504_through_nginx(sleepy: Service, url: str) -> None:
    """At ``statement_timeout``, before every other limit: problem+json, the log has the SQLSTATE, nothing runs on."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with (
        _database(sleepy, url),
        _run(sleepy, sleepy.python, "-c", COUNT, url) as observer,
        _run(sleepy, "make", "serve", f"PORT={port}", DATABASE_URL=url, GUNICORN_STATEMENT_TIMEOUT="1") as running,
    ):
        running.wait_for_output("serve: ready at", seconds=60)
        began = time.monotonic()
        response = httpx.get(f"{base}/api/items/sleep/30", headers={"X-Request-ID": "stored-1"}, timeout=30)
        took = time.monotonic() - began
        assert response.status_code == 504
        assert response.headers["server"] == "nginx"
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json() == {
            "type": "about:blank",
            "title": "Gateway Timeout",
            "status": 504,
            "detail": "The database took too long.",
            "request_id": "stored-1",
        }
        assert 1 <= took < 25
        wait_until(lambda: '"sqlstate": "57014"' in running.output(), what="the SQLSTATE in the log")
        assert "request deadline passed" not in running.output()
        wait_until(lambda: max(active for _, active in _observed(observer)) == 1, what="the statement, seen")
        wait_until(lambda: _observed(observer)[-1][1] == 0, what="the end of the statement")
        assert _status(f"{base}/api/items/sleep/0") == 200
        assert "secret-" not in running.output()


def test_items_through_nginx(stored: Service, url: str) -> None:
    """The sample resource: created once, found, refused as a duplicate, not found."""
    port = free_port()
    base = f"http://127.0.0.1:{port}/api/items"
    with _database(stored, url), _run(stored, "make", "serve", f"PORT={port}", DATABASE_URL=url) as running:
        running.wait_for_output("serve: ready at", seconds=60)
        created = httpx.post(base, json={"name": "lamp"})
        assert created.status_code == 201
        assert httpx.get(f"http://127.0.0.1:{port}{created.headers['location']}").json() == created.json()
        assert httpx.get(base).json() == [created.json()]
        for response, status in ((httpx.post(base, json={"name": "lamp"}), 409), (httpx.get(f"{base}/2"), 404)):
            assert response.status_code == status
            assert response.headers["content-type"] == "application/problem+json"


def test_an_outage_of_the_database_needs_no_restart(stored: Service, url: str) -> None:
    """Not ready, but alive, while the database is away, and at work again when it is back; new workers start, too."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    own = {"DATABASE_URL": url, "GUNICORN_BIND": f"127.0.0.1:{port}"}
    with _run(stored, stored.python, "-m", "gunicorn", "-c", "app/server.py", "app.main:app", **own) as running:
        wait_until(lambda: _status(f"{base}/health/live") == 200, what="liveness without a database", seconds=30)
        assert _status(f"{base}/health/ready") == 503
        with _database(stored, url):
            wait_until(lambda: _status(f"{base}/health/ready") == 200, what="readiness")
            assert _status(f"{base}/api/items") == 200
        wait_until(lambda: _status(f"{base}/health/ready") == 503, what="503 after the database has gone")
        response = httpx.get(f"{base}/api/items")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert _status(f"{base}/health/live") == 200
        running.send_signal(signal.SIGHUP)
        wait_until(lambda: running.output().count("is ready") == 2, what="a new worker, without a database", seconds=30)
        with _database(stored, url):
            wait_until(lambda: _status(f"{base}/api/items") == 200, what="recovery")
        assert "secret-" not in running.output()
        running.terminate()
        assert running.wait() == 0


def test_a_reload_under_load_stays_within_the_budget(sleepy: Service, url: str) -> None:
    """Old and new workers together open no more connections than they may, and no request is lost meanwhile."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    own = {"DATABASE_URL": url, "GUNICORN_BIND": f"127.0.0.1:{port}", "APP_DATABASE_CONNECTIONS": "9"}
    found: Counter[int] = Counter()
    reloaded, done = threading.Event(), threading.Event()

    def load(seconds: float, end: threading.Event) -> None:
        while not end.is_set():
            found[_status(f"{base}/api/items/sleep/{seconds}")] += 1
            found[_status(f"{base}/health/ready")] += 1

    with (
        _database(sleepy, url),
        _run(sleepy, sleepy.python, "-c", COUNT, url) as observer,
        _run(sleepy, sleepy.python, "-m", "gunicorn", "-c", "app/server.py", "app.main:app", **own) as running,
    ):
        wait_until(lambda: _status(f"{base}/health/ready") == 200, what="readiness", seconds=30)
        # Long statements keep the old worker, and its connections, until the new one has its own.
        threads = [threading.Thread(target=load, args=(3, reloaded)), threading.Thread(target=load, args=(3, reloaded))]
        threads += [threading.Thread(target=load, args=(0.05, done)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: max(active for _, active in _observed(observer)) == 2, what="load")
            running.send_signal(signal.SIGHUP)
            wait_until(lambda: "may leave (reload)" in running.output(), what="a new generation", seconds=30)
            reloaded.set()
            wait_until(lambda: "gone (reload)" in running.output(), what="the end of the old worker", seconds=30)
        finally:
            reloaded.set()
            done.set()
            for thread in threads:
                thread.join()
        highest = max(connections for connections, _ in _observed(observer))
        assert 3 < highest <= 9, highest
        assert set(found) <= {200, 503}, found
        assert found[200] > 20


def test_make_database_refuses_what_is_not_on_this_host(stored: Service) -> None:
    """It never touches a server of another user."""
    with _run(stored, "make", "database", DATABASE_URL="postgresql://app:secret-1@db.example.com:5432/app") as running:
        assert running.wait(60) != 0
        assert "DATABASE_URL names no throw-away database on this host" in running.output()
        assert "secret-1" not in running.output()


def _servers(url: str) -> list[str]:
    """Return the command lines of the servers on the URL's port."""
    (port,) = re.findall(r":(\d+)/", url)
    return [command for command in processes_in(Path("/")).values() if f"port={port} " in command]


def test_make_database_leaves_nothing(stored: Service, url: str) -> None:
    """A signal to make ends the server, and its data is gone."""
    with _database(stored, url) as running:
        (command,) = _servers(url)
        (data,) = re.findall(r"-D (\S+)", command)
        assert Path(data).exists()
        running.terminate()
        running.wait(20)
    wait_until(lambda: _servers(url) == [], what="the end of the server")
    wait_until(lambda: not Path(data).parent.exists(), what="the end of its data")
