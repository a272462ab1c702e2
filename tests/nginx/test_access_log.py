"""The access log."""

import socket

import pytest

from tests.nginx.proxy import HOST, ProxyFactory
from tests.support.backend import Backend, Request, response


def test_a_line_has_every_field_as_a_string(start: ProxyFactory) -> None:
    """One JSON object per request, every value quoted, with the figures of the upstream."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        proxy.ask("POST", '/path?q="quoted"', body=b"12345", headers={"User-Agent": 'evil"agent\\'})
        (line,) = proxy.access_log()
    assert all(isinstance(value, str) for value in line.values())
    assert line["method"] == "POST"
    assert line["uri"] == '/path?q="quoted"'
    assert line["user_agent"] == 'evil"agent\\'
    assert line["host"] == HOST
    assert line["scheme"] == "http"
    assert line["protocol"] == "HTTP/1.1"
    assert line["status"] == "200"
    assert line["upstream_status"] == "200"
    assert line["body_bytes_sent"] == "2"
    assert line["remote_addr"] == "127.0.0.1"
    assert line["peer_addr"] == "127.0.0.1"
    assert line["upstream_addr"] == backend.upstream
    assert line["request_completion"] == "OK"
    assert line["tls_protocol"] == ""
    assert line["tls_cipher"] == ""
    for name in ("request_time", "upstream_connect_time", "upstream_header_time", "upstream_response_time"):
        assert float(line[name]) >= 0
    for name in (
        "connection",
        "connection_requests",
        "request_length",
        "upstream_bytes_sent",
        "upstream_bytes_received",
    ):
        assert int(line[name]) > 0
    assert line["time"].startswith("20")


def test_a_client_that_leaves_shows(start: ProxyFactory) -> None:
    """A client that closes before the answer: 499 and no completion."""

    def wait_for_the_end(_request: Request, connection: socket.socket) -> None:
        connection.recv(1)

    with Backend(wait_for_the_end) as backend:
        proxy = start(backend.upstream)
        with socket.create_connection(("127.0.0.1", proxy.port)) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        (line,) = proxy.access_log()
    assert line["status"] == "499"
    assert line["request_completion"] == ""


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_successful_health_checks_are_quiet(start: ProxyFactory, path: str) -> None:
    """A health check is logged when it fails, not when it succeeds."""
    statuses = iter(["200 OK", "503 No", "200 OK"])
    with Backend(lambda _request, _connection: response(next(statuses))) as backend:
        proxy = start(backend.upstream)
        for target in (path, path, "/last"):
            proxy.ask(path=target)
        lines = [(line["uri"], line["status"]) for line in proxy.access_log(2)]
    assert sorted(lines) == [(path, "503"), ("/last", "200")]
