"""Fixtures: the application as a client sees it."""
{%- if cookiecutter.database == 'postgresql' %}

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import alembic.command
import alembic.config
import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import URL, make_url

from app.main import create_app
from app.settings import Settings
from ops import database
{%- else %}

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
{%- endif %}

_HOSTS = ["localhost", "testserver"]  # the second one is TestClient's own, for WebSockets
{%- if cookiecutter.database == 'postgresql' %}


@pytest.fixture(scope="session")
def server() -> Iterator[URL]:
    """Return a PostgreSQL server: the one that TEST_DATABASE_URL names, or one that runs as long as the tests."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield make_url(given)
        return
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    url = URL.create("postgresql", "app", secrets.token_hex(16), "127.0.0.1", port, "app")
    with database.running(url):
        yield url


@pytest.fixture(scope="session")
def empty_database(server: URL) -> Iterator[URL]:
    """Return a database of the tests' own without a table, dropped afterwards."""
    url = server.set(database=f"test_{secrets.token_hex(8)}")
    with psycopg.connect(database.text_url(server), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {url.database}".encode())
        yield url
        admin.execute(f"DROP DATABASE {url.database} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def migrations(empty_database: URL) -> alembic.config.Config:
    """Return alembic's configuration for the tests' database."""
    config = alembic.config.Config(Path(__file__).resolve().parent.parent / "alembic.ini")
    config.attributes["url"] = database.text_url(empty_database)
    return config


@pytest.fixture(scope="session")
def database_url(empty_database: URL, migrations: alembic.config.Config) -> str:
    """Return the URL of a database with the application's tables."""
    alembic.command.upgrade(migrations, "head")
    return database.text_url(empty_database)


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return the defaults and the tests' database, whatever the environment and ``.env`` say."""
    return Settings.model_construct(allowed_hosts=_HOSTS, database_url=SecretStr(database_url))
{%- else %}


@pytest.fixture
def settings() -> Settings:
    """Return the defaults, whatever the environment and ``.env`` say."""
    return Settings.model_construct(allowed_hosts=_HOSTS)
{%- endif %}


@pytest.fixture
def application(settings: Settings) -> FastAPI:
    """Return an application that has no other settings."""
    return create_app(settings, request_deadline=5)


@pytest.fixture
def client(application: FastAPI) -> Iterator[TestClient]:
    """Return a client of the started application."""
    with TestClient(application, base_url="http://localhost") as started:
        yield started
