"""Errors as problem+json."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from opentelemetry import trace
from starlette.responses import StreamingResponse

from no502.asgi import problem
from tests.asgi.application import create_app

_MEDIA_TYPE = "application/problem+json"


def test_an_unknown_path_is_a_problem_with_the_request_id(client: TestClient) -> None:
    """A 404 has the media type, the title and the id that the header has too."""
    response = client.get("/nowhere", headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 404
    assert response.headers["content-type"] == _MEDIA_TYPE
    assert response.headers["x-request-id"] == "abc-1"
    assert response.json() == {"type": "about:blank", "title": "Not Found", "status": 404, "request_id": "abc-1"}


def test_an_http_exception_keeps_its_detail_and_headers(application: FastAPI, client: TestClient) -> None:
    """What a handler says on purpose reaches the client."""

    @application.get("/busy")
    async def busy() -> None:
        raise HTTPException(503, "try later", headers={"Retry-After": "7"})

    response = client.get("/busy")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "7"
    assert response.json()["detail"] == "try later"


def test_a_status_without_a_name_is_a_problem_too(application: FastAPI, client: TestClient) -> None:
    """Status codes that the standard does not name work."""

    @application.get("/odd")
    async def odd() -> None:
        raise HTTPException(499)

    assert client.get("/odd").json()["title"] == "Error"


def test_not_modified_has_no_body(application: FastAPI, client: TestClient) -> None:
    """Statuses that forbid a body get none."""

    @application.get("/same")
    async def same() -> None:
        raise HTTPException(304)

    response = client.get("/same")
    assert response.status_code == 304
    assert response.content == b""


def test_invalid_input_is_located_and_not_repeated(client: TestClient) -> None:
    """A validation problem says where and what, without the value that was sent."""
    response = client.post("/api/greetings", json={"text": ["hunter2"]})
    assert response.status_code == 422
    assert response.headers["content-type"] == _MEDIA_TYPE
    assert response.json()["errors"] == [
        {"in": ["body", "text"], "message": "Input should be a valid string", "type": "string_type"}
    ]
    assert "hunter2" not in response.text


def test_an_unhandled_error_is_logged_and_its_text_stays_inside(
    application: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets a 500 problem with an id; the exception is in the log."""

    @application.get("/broken")
    async def broken() -> None:
        msg = "secret detail"
        raise LookupError(msg)

    response = client.get("/broken")
    assert response.status_code == 500
    assert response.headers["content-type"] == _MEDIA_TYPE
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "secret detail" not in response.text
    assert "secret detail" in caplog.text


def test_an_error_in_the_middle_of_a_stream_cuts_it(application: FastAPI, client: TestClient) -> None:
    """After the first byte no second response is attempted."""

    @application.get("/half")
    async def half() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first"
            msg = "half-way"
            raise LookupError(msg)

        return StreamingResponse(chunks())

    with pytest.raises(LookupError, match="half-way"):
        client.get("/half")


def test_the_access_log_has_one_line_with_the_id(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """One request is one line with status, path and duration."""
    with caplog.at_level(logging.INFO, logger="app.access"):
        client.post("/api/greetings?token=x", json={"text": "you"}, headers={"X-Request-ID": "abc-2"})
    [fields] = [record.__dict__["fields"] for record in caplog.records if record.name == "app.access"]
    assert fields["method"] == "POST"
    assert fields["path"] == "/api/greetings"
    assert fields["status"] == 201
    assert fields["outcome"] == "complete"
    assert fields["bytes"] > 0
    assert fields["duration_ms"] >= 0


def test_health_checks_are_quiet_until_they_fail(
    application: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A probe that is answered well is no news; one that is not, is."""
    with caplog.at_level(logging.INFO, logger="app.access"):
        client.get("/health/startup")
        assert [record for record in caplog.records if record.name == "app.access"] == []
        application.state.health.started = False
        client.get("/health/startup")
    assert len([record for record in caplog.records if record.name == "app.access"]) == 1


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'x"}', "x\\n"])
def test_an_id_that_could_harm_the_log_is_replaced(client: TestClient, given: str) -> None:
    """Only letters, digits, dots, dashes and underscores are taken over."""
    assert client.get("/health/live", headers={"X-Request-ID": given}).headers["x-request-id"] != given


@pytest.mark.parametrize("style", ["json", "console"])
def test_every_line_has_the_request_id(style: Literal["json", "console"], capsys: pytest.CaptureFixture[str]) -> None:
    """Lines on standard output carry the id, as JSON objects or as text."""
    client = TestClient(create_app(style=style), base_url="http://localhost")
    client.get("/nowhere", headers={"X-Request-ID": "abc-3"})
    [line] = [line for line in capsys.readouterr().out.splitlines() if "app.access" in line]
    if style == "json":
        fields = json.loads(line)
        assert fields["request_id"] == "abc-3"
        assert fields["status"] == 404
        assert fields["level"] == "info"
    else:
        assert "request_id=abc-3" in line


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("harmful", ["%0a", "%1b[2J", "%0d", "%c2%85", "%e2%80%a8", "%7f"])
def test_a_client_cannot_forge_a_log_line(
    style: Literal["json", "console"], harmful: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters of a path are written escaped: one request is one line, and no command for the terminal."""
    client = TestClient(create_app(style=style), base_url="http://localhost")
    client.get(f"/nowhere{harmful}12:00:00 INFO forged")
    [line] = [line for line in capsys.readouterr().out.splitlines() if "app.access" in line]
    assert "forged" in line
    assert line.isprintable()


def test_a_traced_request_has_its_trace_id(client: TestClient) -> None:
    """A problem has the trace id where OpenTelemetry traces the request, and none elsewhere."""
    application = client.app
    assert isinstance(application, FastAPI)
    span = trace.NonRecordingSpan(trace.SpanContext(trace_id=0xAB, span_id=1, is_remote=False))

    @application.get("/traced")
    async def traced() -> None:
        raise HTTPException(status_code=418)

    with trace.use_span(span):
        body = bytes(problem({"type": "http"}, 404).body)
    assert body.endswith(b'"trace_id":"' + b"0" * 30 + b'ab"}')
    assert "trace_id" not in client.get("/traced").json()
