"""Clients that take their time."""

import contextlib
import socket

from no502.nginx.versions import KEEPALIVE_MIN_TIMEOUT
from tests.nginx.proxy import HOST, Nginx, ProxyFactory
from tests.support.backend import Backend, Request
from tests.support.polling import wait_until


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(4096) == b""
    except ConnectionResetError:
        return True


def test_a_head_that_never_ends(start: ProxyFactory) -> None:
    """A request head that does not arrive in client_header_timeout ends the connection, and 408 is logged."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        proxy.shorten("client_header_timeout")
        with socket.create_connection(("127.0.0.1", proxy.port), 8) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ".encode())
            assert _is_closed(client)
        assert proxy.access_log()[0]["status"] == "408"


def test_a_body_that_pauses(start: ProxyFactory) -> None:
    """A pause in the body of client_body_timeout ends the connection; the application has not heard of the request."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        proxy.shorten("client_body_timeout")
        with socket.create_connection(("127.0.0.1", proxy.port), 8) as client:
            client.sendall(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9\r\n\r\nhalf".encode())
            assert _is_closed(client)
        assert proxy.access_log()[0]["status"] == "408"
    assert backend.requests == []


def test_an_idle_client(start: ProxyFactory) -> None:
    """An idle client connection is closed after keepalive_timeout."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        proxy.shorten("keepalive_timeout")
        connection = proxy.connect()
        proxy.ask(connection=connection)
        connection.sock.settimeout(8)
        assert _is_closed(connection.sock)
        connection.close()


def test_a_reload_leaves_clients_time(start: ProxyFactory, nginx: Nginx) -> None:
    """A client that was idle for a moment gets its POST answered by the old worker process, which then says goodbye.

    nginx older than 1.27.4 closes the connection instead: that is what keepalive_min_timeout changes.
    """
    with Backend() as backend:
        proxy = start(backend.upstream)
        main = proxy.directory / "nginx.conf"
        main.write_text(main.read_text(encoding="utf-8").replace("error_log stderr warn;", "error_log stderr notice;"))
        proxy.reload()
        connection = proxy.connect()
        proxy.ask(connection=connection)
        old = proxy.workers()
        proxy.hangup()
        for worker in old:
            proxy.wait_for_log(f"{worker}#{worker}: gracefully shutting down")
        if nginx.version < KEEPALIVE_MIN_TIMEOUT:
            assert _is_closed(connection.sock)
        else:
            answer = proxy.ask("POST", body=b"late", connection=connection)
            assert answer.status == 200
            assert answer.headers["Connection"] == "close"
        connection.close()


def test_a_reload_ends_streams_after_the_read_timeout(start: ProxyFactory) -> None:
    """An old worker process with an endless response leaves PROXY_READ_TIMEOUT after a reload, not never."""

    def drip(_request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.settimeout(0.3)
        while True:
            connection.sendall(b"9\r\n: alive\n\n\r\n")
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1):
                    return

    with Backend(drip) as backend:
        proxy = start(backend.upstream, PROXY_READ_TIMEOUT="2")
        before = set(proxy.workers())
        with socket.create_connection(("127.0.0.1", proxy.port), 8) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
            proxy.hangup()
            wait_until(lambda: set(proxy.workers()) - before, what="new worker processes")
            assert before & set(proxy.workers())
            wait_until(lambda: not before & set(proxy.workers()), seconds=30, what="the old worker process to leave")
