"""Fixtures: the application as a client sees it."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings


@pytest.fixture
def application() -> FastAPI:
    """Return an application built from defaults, whatever the environment and ``.env`` say."""
    return create_app(Settings.model_construct(allowed_hosts=["localhost"]), request_deadline=5)


@pytest.fixture
def client(application: FastAPI) -> Iterator[TestClient]:
    """Return a client of the started application."""
    with TestClient(application, base_url="http://localhost") as started:
        yield started
