"""Traces and error reports while workers are replaced, against a receiver on this machine."""

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.polling import wait_until
from tests.support.receiver import Receiver, receiver
from tests.support.server import Gunicorn

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="pip install 'fastapi[opentelemetry]'")
pytest.importorskip("fastapi.telemetry", reason="FastAPI 0.142 or newer")
pytest.importorskip("sentry_sdk", reason="pip install sentry-sdk")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_APP = "tests.e2e.apps.observed:app"
_HANDOVERS = int(os.environ.get("TRACED_HANDOVERS", "20"))
_SERVER_SPAN = 2


@pytest.fixture
def collector() -> Iterator[Receiver]:
    """What the exporters send to."""
    with receiver() as started:
        yield started


def _server(directory: Path, collector: Receiver, **settings: object) -> Gunicorn:
    """Return a server with the variables of the documentation; spans are kept back as long as the SDK ever does."""
    environment = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        "SENTRY_DSN": f"http://key@127.0.0.1:{collector.port}/1",
    }
    return Gunicorn(directory, app=_APP, env=environment, keepalive=2, **settings)  # type: ignore[arg-type]


def _traces(collector: Receiver) -> list[str]:
    """Return the trace ids of the requests whose spans have arrived."""
    found = []
    for body in collector.bodies("/v1/traces"):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                found += [span.trace_id.hex() for span in scope.spans if span.kind == _SERVER_SPAN]
    return found


def _post(server: Gunicorn) -> dict[str, Any]:
    connection = http.client.HTTPConnection(server.bind, timeout=30)
    try:
        connection.request("POST", "/")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def test_no_span_is_lost_over_handovers(tmp_path: Path, collector: Receiver) -> None:
    """Workers are recycled under load twenty times; the span of every answered request has arrived at the end."""
    answered: list[str] = []
    with _server(tmp_path, collector, workers=2, max_requests=20) as server:
        while len(server.found(r"gone \(max_requests\)")) < _HANDOVERS:
            answered.append(_post(server)["trace"])
        server.stop()
    assert len(answered) >= 20 * _HANDOVERS
    assert "0" * 32 not in answered
    assert sorted(_traces(collector)) == sorted(answered)


def test_a_killed_worker_loses_its_spans(tmp_path: Path, collector: Receiver) -> None:
    """The test above can fail: what a worker has not sent is gone with it when it is killed."""
    with _server(tmp_path, collector, workers=1) as server:
        lost = _post(server)
        os.kill(lost["pid"], signal.SIGKILL)
        server.wait_for_log(r"Application startup complete", count=2)
        kept = _post(server)["trace"]
        server.stop()
    assert _traces(collector) == [kept]


def test_logs_and_problems_have_the_trace(tmp_path: Path, collector: Receiver) -> None:
    """One trace id: in the problem body, in the access log's line, in the log of the exception, and in the span."""
    with _server(tmp_path, collector, workers=1) as server:
        connection = http.client.HTTPConnection(server.bind, timeout=30)
        connection.request("GET", "/fails")
        problem = json.loads(connection.getresponse().read())
        connection.close()
        server.wait_for_log(r'"logger": "app.access"')
        lines = [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]
        server.stop()
    trace = problem["trace_id"]
    assert len(trace) == 32
    assert [line["trace_id"] for line in lines if line["logger"] == "app.access"] == [trace]
    assert [line["trace_id"] for line in lines if line["message"] == "unhandled error"] == [trace]
    assert _traces(collector) == [trace]


def test_sentry_gets_the_error_of_a_worker_that_drains(tmp_path: Path, collector: Receiver) -> None:
    """A request fails while its worker is being replaced: the event arrives although the worker is gone."""
    with _server(tmp_path, collector, workers=1) as server:
        [old] = server.wait_for_workers(1)
        connection = http.client.HTTPConnection(server.bind, timeout=30)
        connection.request("GET", "/fails?after=4")
        statuses: list[int] = []
        client = threading.Thread(target=lambda: statuses.append(connection.getresponse().status))
        client.start()
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(rf"worker {old} drains \(reload\): \d+ connections, 1 requests")
        server.wait_for_workers(1, without=[old])
        client.join()
        connection.close()
        events = wait_until(
            lambda: [body for body in collector.bodies("/api/1/envelope/") if b"the database is away" in body],
            what="the event",
        )
        server.stop()
    assert statuses == [500]
    assert b'"type":"RuntimeError"' in events[0]
