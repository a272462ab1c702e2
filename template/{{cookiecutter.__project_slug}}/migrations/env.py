"""Runs the migrations: one step of a deployment (``make migrate``), never part of a worker's start."""

import logging

from alembic import context
from sqlalchemy import NullPool, create_engine, make_url, text

from app.database import engine_url
from app.models import Base
from app.settings import load

_LOCK = 7_221_502  # any number; everybody who migrates this database takes the same lock
# Seconds. A migration that waits for a table makes everybody else wait behind it, so it gives up; run it again.
_LOCK_TIMEOUT = 5


def _migrate() -> None:
    given = context.config.attributes.get("url")
    url = make_url(given).set(drivername="postgresql+psycopg") if given else engine_url(load())
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 10})
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})  # freed with the connection
        connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}s'"))
        connection.commit()
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    message = "migrations need the database: alembic --sql is not supported"
    raise SystemExit(message)
if not context.config.attributes.get("quiet"):
    logging.basicConfig(level=logging.INFO, format="%(message)s")
_migrate()
