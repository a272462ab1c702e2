"""The migrations, on a real PostgreSQL."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import alembic.command
import psycopg
import pytest
from alembic.config import Config
from psycopg.sql import SQL, Identifier
from sqlalchemy.exc import OperationalError

from app.models import Base

_ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.usefixtures("database_url")


@pytest.fixture(autouse=True)
def _up_to_date(migrations: Config) -> Iterator[None]:
    """Leave the tables that the other tests need."""
    yield
    alembic.command.upgrade(migrations, "head")


_OURS = set(Base.metadata.tables)


def _tables(url: str) -> set[str]:
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute(query)}


def test_the_models_and_the_migrations_agree(migrations: Config) -> None:
    """A model that was changed without a migration is found here: ``make migration NAME=what_changes``."""
    alembic.command.check(migrations)


def test_every_migration_can_be_undone(migrations: Config, database_url: str) -> None:
    """Down to nothing and up again."""
    assert _tables(database_url) >= _OURS
    alembic.command.downgrade(migrations, "base")
    assert _tables(database_url) == {"alembic_version"}
    alembic.command.upgrade(migrations, "head")
    assert _tables(database_url) >= _OURS


def test_two_that_migrate_at_once_take_turns(migrations: Config, database_url: str) -> None:
    """Instances may start the step at the same time: the second one waits, and finds it done."""
    alembic.command.downgrade(migrations, "base")
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    with psycopg.connect(database_url, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(7221502)")  # as migrations/env.py does
        second = subprocess.Popen(command, cwd=_ROOT, env={**os.environ, "DATABASE_URL": database_url})
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        deadline = time.monotonic() + 60
        while first.execute(waiting).fetchone() != (1,):
            assert second.poll() is None, "the second one did not wait"
            assert time.monotonic() < deadline, "the second one did not come"
            time.sleep(0.05)
        assert _tables(database_url).isdisjoint(_OURS)
    assert second.wait(60) == 0
    assert _tables(database_url) >= _OURS


def test_a_migration_does_not_queue_behind_a_busy_table(migrations: Config, database_url: str) -> None:
    """It gives up after seconds, because all requests for the table would wait behind it; nothing has changed."""
    with psycopg.connect(database_url) as busy:
        busy.execute("SET idle_in_transaction_session_timeout = '20s'")  # or this test would never end
        for name in sorted(_OURS):
            busy.execute(SQL("SELECT * FROM {}").format(Identifier(name)))
        with pytest.raises(OperationalError, match="lock timeout"):
            alembic.command.downgrade(migrations, "base")
    assert _tables(database_url) >= _OURS
