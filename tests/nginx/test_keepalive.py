"""Connections to the application: pooled, and never lost to the idle race."""

import contextlib
import socket
import threading

import pytest

from tests.nginx.proxy import HOST, ProxyFactory
from tests.support.backend import OK, Backend, Request
from tests.support.polling import wait_until

_REQUESTS = 20


def test_connections_to_the_application_are_pooled(start: ProxyFactory) -> None:
    """Requests one after another share connections: at most one for each of nginx's worker processes."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        assert [proxy.ask("POST", body=b"x").status for _ in range(_REQUESTS)] == [200] * _REQUESTS
        assert backend.accepted <= len(proxy.workers()) < _REQUESTS
        assert {request.protocol for request in backend.requests} == {"HTTP/1.1"}
        assert [request.all("connection") for request in backend.requests] == [[]] * _REQUESTS


def test_a_burst_finds_all_connections_of_the_one_before(start: ProxyFactory) -> None:
    """Sixty requests at a time, twice, through one worker process: the second sixty need no new connection."""
    opened = threading.Event()
    count = 60

    def answer(_request: Request, _connection: socket.socket) -> bytes:
        opened.wait(60)
        return OK

    with Backend(answer) as backend, contextlib.ExitStack() as stack:
        stack.callback(opened.set)
        proxy = start(backend.upstream, PROXY_KEEPALIVE_TIMEOUT="120", PROXY_READ_TIMEOUT="120")
        proxy.use_one_worker()
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), 60.0)) for _ in range(count)]
        for total in (count, 2 * count):
            opened.clear()
            for client in clients:
                client.sendall(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n".encode())
            wait_until(lambda total=total: len(backend.requests) == total, seconds=60, what="the burst")  # type: ignore[misc]
            opened.set()
            assert {client.recv(4096)[:13] for client in clients} == {b"HTTP/1.1 200 "}
        assert backend.accepted == count


def test_a_connection_serves_thousands_of_requests(start: ProxyFactory) -> None:
    """It is not renewed after nginx's default of 1,000 requests."""
    with Backend() as backend:
        proxy = start(backend.upstream, PROXY_KEEPALIVE_TIMEOUT="120")
        proxy.use_one_worker()
        connection = proxy.connect()
        for _ in range(1100):
            assert proxy.ask("POST", body=b"x", connection=connection).status == 200
        connection.close()
        assert backend.accepted == 1


def test_nginx_closes_an_idle_connection_first(start: ProxyFactory) -> None:
    """After PROXY_KEEPALIVE_TIMEOUT nginx itself closes, so the application's longer keep-alive is never reached."""
    with Backend() as backend:
        proxy = start(backend.upstream, PROXY_KEEPALIVE_TIMEOUT="1")
        proxy.ask()
        wait_until(lambda: backend.closed_by_peer, seconds=30, what="nginx to close the idle connection")


def _closes_when_reused(request: Request, _connection: socket.socket) -> bytes | None:
    """Be a server whose keep-alive ends just when the next request is on its way."""
    return OK if request.position == 1 else None


@pytest.mark.parametrize(
    ("method", "expected"), [("POST", 502), ("PATCH", 502), ("GET", 200), ("PUT", 200), ("DELETE", 200)]
)
def test_misaligned_keepalive_loses_posts(start: ProxyFactory, method: str, expected: int) -> None:
    """The twin, an application that closes first: POST and PATCH end in 502, the others are silently sent again."""
    with Backend(_closes_when_reused) as backend:
        proxy = start(backend.upstream, PROXY_KEEPALIVE_TIMEOUT="60")
        statuses = [proxy.ask(method).status for _ in range(_REQUESTS)]
        assert statuses[0] == 200
        assert set(statuses[1:]) <= {200, expected}
        assert expected in statuses[1:]
        again = [line for line in proxy.access_log(_REQUESTS) if ", " in line["upstream_status"]]
        assert bool(again) is (expected == 200)


def test_aligned_keepalive_loses_none(start: ProxyFactory) -> None:
    """The same application, and an nginx whose idle connections end first: every POST is answered."""
    with Backend(_closes_when_reused) as backend:
        proxy = start(backend.upstream, PROXY_KEEPALIVE_TIMEOUT="1")
        for count in range(1, 4):
            assert proxy.ask("POST", body=b"x").status == 200
            wait_until(lambda count=count: backend.closed_by_peer == count, seconds=30, what="nginx to close first")  # type: ignore[misc]
        assert backend.accepted == 3


def test_only_websocket_upgrades_pass(start: ProxyFactory) -> None:
    """An upgrade to anything but a WebSocket is not passed on, and its request is an ordinary one."""
    with Backend() as backend:
        start(backend.upstream).ask(headers={"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings"})
    (request,) = backend.requests
    assert request.all("upgrade") == request.all("connection") == []
