"""The application and a client of it, started."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.asgi.application import create_app


@pytest.fixture
def application() -> FastAPI:
    """An application with the parts around it."""
    return create_app()


@pytest.fixture
def client(application: FastAPI) -> Iterator[TestClient]:
    """A client of the started application."""
    with TestClient(application, base_url="http://localhost") as started:
        yield started
