"""The sample routes, and what surrounds every route."""

from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from app.main import create_app
from app.settings import Settings


def test_a_greeting(client: TestClient) -> None:
    """The sample route answers."""
    response = client.post("/api/greetings", json={"text": "you"})
    assert response.status_code == 201
    assert response.json() == {"text": "Hello, you"}


def test_a_stream_ends_politely_when_the_worker_is_leaving(application: FastAPI) -> None:
    """A draining worker's stream ends whole instead of being cut."""

    async def behind_gunicorn(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["handover"] = SimpleNamespace(draining=True, stopping=False)
        await application(scope, receive, send)

    response = TestClient(behind_gunicorn, base_url="http://localhost").get("/api/ticks?count=100")
    assert (response.status_code, response.text) == (200, "")


@pytest.mark.parametrize(("docs", "status"), [(True, 200), (False, 404)])
def test_the_docs_are_there_only_when_asked_for(*, docs: bool, status: int) -> None:
    """/docs and /openapi.json follow the setting."""
    client = TestClient(create_app(Settings.model_construct(docs=docs)), base_url="http://localhost")
    assert client.get("/docs").status_code == status
    assert client.get("/openapi.json").status_code == status


@pytest.mark.parametrize(
    ("host", "status"), [("a.example.com", 200), ("localhost:8080", 200), ("127.0.0.1", 200), ("b.example.com", 400)]
)
def test_only_known_hosts_are_answered(host: str, status: int) -> None:
    """The setting's hosts and this host itself (for probes) are answered, no others."""
    client = TestClient(create_app(Settings.model_construct(allowed_hosts=["a.example.com"])))
    assert client.get("/health/live", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "allowed"), [("https://a.example.com", "https://a.example.com"), ("https://b.example.com", None)]
)
def test_only_listed_origins_may_call_from_a_browser(origin: str, allowed: str | None) -> None:
    """CORS headers are sent to listed origins, with errors too."""
    settings = Settings.model_construct(cors_origins=["https://a.example.com"])
    client = TestClient(create_app(settings), base_url="http://localhost")
    response = client.get("/nowhere", headers={"Origin": origin})
    assert response.headers.get("access-control-allow-origin") == allowed
