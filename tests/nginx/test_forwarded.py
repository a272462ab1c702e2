"""What the application is told about the client."""

from pathlib import Path

import pytest

from tests.nginx.proxy import HOST, ProxyFactory
from tests.support.backend import Backend

_FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "6666",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Server": "evil.example",
    "X-Real-IP": "6.6.6.6",
    "Forwarded": "for=6.6.6.6;proto=https;host=evil.example",
    "X_Forwarded_For": "6.6.6.6",
}


def test_forged_headers_do_not_reach_the_application(start: ProxyFactory) -> None:
    """Every forwarded header that a client sends is replaced by what nginx knows, or removed."""
    with Backend() as backend:
        assert start(backend.upstream).ask(headers=_FORGED).status == 200
    (request,) = backend.requests
    assert request.all("x-forwarded-for") == ["127.0.0.1"]
    assert request.all("x-real-ip") == ["127.0.0.1"]
    assert request.all("x-forwarded-proto") == ["http"]
    assert request.all("x-forwarded-host") == [HOST]
    assert request.all("host") == [HOST]
    for name in ("forwarded", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-server", "x_forwarded_for"):
        assert request.all(name) == []
    assert not [value for _, value in request.headers if "6.6.6.6" in value or "evil" in value]


@pytest.mark.parametrize("sent", [f"{HOST}:8080", f"{HOST.upper()}:8080"])
def test_port_of_the_client_survives(start: ProxyFactory, sent: str) -> None:
    """The host keeps the port that the client wrote, so that a redirect leads back to it."""
    with Backend() as backend:
        start(backend.upstream).ask(headers={"Host": sent})
    (request,) = backend.requests
    assert request.all("host") == request.all("x-forwarded-host") == [f"{HOST}:8080"]


def test_host_of_an_absolute_request_line_wins(start: ProxyFactory) -> None:
    """The application gets the host that nginx has checked, not another one from the Host header."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        proxy.raw(f"GET http://{HOST}/ HTTP/1.1\r\nHost: evil.example:1\r\nConnection: close\r\n\r\n")
    assert [request.all("host") for request in backend.requests] == [[HOST]]


def test_a_trusted_proxy_is_believed(start: ProxyFactory) -> None:
    """Behind a trusted proxy the client is the last address that is not ours, and the scheme is the proxy's word."""
    with Backend() as backend:
        proxy = start(backend.upstream, NGINX_TRUSTED_PROXIES="10.0.0.0/8, 127.0.0.0/8")
        proxy.ask(headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.1.2.3", "X-Forwarded-Proto": "https"})
        proxy.ask(headers={"X-Forwarded-For": "203.0.113.10", "X-Forwarded-Proto": "gopher"})
        proxy.ask(headers={"X-Forwarded-Proto": "https"})
        log = proxy.access_log(3)
    first, second, third = backend.requests
    assert first.all("x-forwarded-for") == ["203.0.113.9"]
    assert first.all("x-forwarded-proto") == ["https"]
    assert {(line["remote_addr"], line["peer_addr"], line["scheme"]) for line in log} == {
        ("203.0.113.9", "127.0.0.1", "https"),
        ("203.0.113.10", "127.0.0.1", "http"),
        ("127.0.0.1", "127.0.0.1", "http"),
    }
    assert second.all("x-forwarded-for") == ["203.0.113.10"]
    assert second.all("x-forwarded-proto") == ["http"]
    assert third.all("x-forwarded-for") == ["127.0.0.1"]
    assert third.all("x-forwarded-proto") == ["http"]


def test_others_are_not_believed(start: ProxyFactory) -> None:
    """A peer outside the trusted networks is the client, whatever it says."""
    with Backend() as backend:
        start(backend.upstream, NGINX_TRUSTED_PROXIES="10.0.0.0/8").ask(headers=_FORGED)
    (request,) = backend.requests
    assert request.all("x-forwarded-for") == ["127.0.0.1"]
    assert request.all("x-forwarded-proto") == ["http"]


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1", f"x.{HOST}"])
def test_unknown_host_gets_no_answer(start: ProxyFactory, host: str) -> None:
    """A request for a name that is not ours ends in a closed connection without a byte, and without a line."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        assert proxy.raw(f"GET /unknown HTTP/1.1\r\nHost: {host}\r\n\r\n") == b""
        assert backend.requests == []
        for _ in range(8):  # whichever worker process had the first one writes its lines in order
            proxy.ask(path="/known")
        assert {line["uri"] for line in proxy.access_log(8)} == {"/known"}


def test_request_without_host_gets_no_answer(start: ProxyFactory) -> None:
    """An HTTP/1.0 request without a Host header names no site: nginx closes the connection."""
    with Backend() as backend:
        assert start(backend.upstream).raw("GET / HTTP/1.0\r\n\r\n") == b""
    assert backend.requests == []


def test_every_name_of_the_list_is_answered(start: ProxyFactory) -> None:
    """NGINX_SERVER_NAME may hold several names and addresses."""
    with Backend() as backend:
        proxy = start(backend.upstream, NGINX_SERVER_NAME=f"{HOST} 127.0.0.1 www.example.org")
        assert [proxy.ask(headers={"Host": name}).status for name in (HOST, "127.0.0.1", "www.example.org")] == [
            200
        ] * 3


def test_unix_socket_upstream_carries_the_same(start: ProxyFactory, tree: Path) -> None:
    """Over a unix socket the application gets the same headers."""
    with Backend(host=tree / "app.sock") as backend:
        assert start(backend.upstream).ask(headers=_FORGED).status == 200
    (request,) = backend.requests
    assert request.all("x-forwarded-for") == ["127.0.0.1"]
    assert request.all("x-forwarded-proto") == ["http"]
