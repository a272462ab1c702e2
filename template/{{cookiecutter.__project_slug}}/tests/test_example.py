"""The sample routes."""

from fastapi.testclient import TestClient


def test_a_greeting(client: TestClient) -> None:
    """The sample route answers."""
    response = client.post("/api/greetings", json={"text": "you"})
    assert response.status_code == 201
    assert response.json() == {"text": "Hello, you"}


def test_a_stream(client: TestClient) -> None:
    """Server-sent events arrive as they are written."""
    response = client.get("/api/ticks?count=1")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text == "data: 0\n\n"
