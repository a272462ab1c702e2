"""Sizes and numbers: what still passes, and what is refused."""

import contextlib
import re
import socket
import threading
from pathlib import Path

from no502.data import data_path
from no502.nginx.binary import check_configuration
from no502.nginx.command import render
from tests.nginx.proxy import HOST, VARIABLES, Nginx, ProxyFactory, command
from tests.support.backend import OK, Backend, Request
from tests.support.polling import wait_until

_SECONDS = 60.0
_IN_FLIGHT = 300  # each is two connections, more than nginx's default of 512 for a worker process


def test_more_requests_in_flight_than_nginx_has_connections_for_by_default(start: ProxyFactory) -> None:
    """One worker process has 300 requests at the application at the same time, and answers all of them."""
    opened = threading.Event()

    def answer(_request: Request, _connection: socket.socket) -> bytes:
        opened.wait(_SECONDS)
        return OK

    with Backend(answer) as backend, contextlib.ExitStack() as stack:
        stack.callback(opened.set)
        proxy = start(backend.upstream, NGINX_REQUESTS_IN_FLIGHT="1000", PROXY_READ_TIMEOUT="120")
        proxy.use_one_worker()
        clients = []
        for number in range(_IN_FLIGHT):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), _SECONDS))
            client.sendall(f"GET /{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            clients.append(client)
        wait_until(lambda: len(backend.requests) == _IN_FLIGHT, seconds=_SECONDS, what="all requests at the backend")
        opened.set()
        assert {client.recv(4096)[:13] for client in clients} == {b"HTTP/1.1 200 "}


def test_a_long_chunked_download_arrives_whole(start: ProxyFactory) -> None:
    """A response without a length, larger than all of nginx's buffers, reaches the client to its last byte."""
    part, count = bytes(range(256)) * 256, 64

    def answer(_request: Request, connection: socket.socket) -> bytes:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(count):
            connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        return b"0\r\n\r\n"

    with Backend(answer) as backend:
        downloaded = start(backend.upstream).ask()
    assert downloaded.headers["Content-Length"] is None
    assert downloaded.body == part * count


def test_a_client_that_takes_nothing(start: ProxyFactory) -> None:
    """A client that does not read its response for send_timeout is left, and the application has not waited for it."""
    body = b"x" * 20_000_000
    large = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with Backend(lambda _request, _connection: large) as backend:
        proxy = start(backend.upstream)
        proxy.shorten("send_timeout")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", proxy.port))
            client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            line = wait_until(lambda: proxy.access_log(1), seconds=_SECONDS, what="the end of the request")[0]
    assert line["request_completion"] == ""
    assert int(line["body_bytes_sent"]) < len(body)


def test_a_long_host_name_loads(nginx: Nginx, tree: Path) -> None:
    """A name that does not fit into nginx's default hash bucket is no reason not to start."""
    directory = tree / "nginx"
    name = ".".join(["a-rather-long-label-of-a-host"] * 3 + ["example.com"])
    render(directory, {**VARIABLES, "NGINX_SERVER_NAME": name}, nginx_version=nginx.version, standalone=True)
    check_configuration(nginx.path, command(nginx, directory)[1:])


def test_a_limit_for_each_client_can_be_added(start: ProxyFactory) -> None:
    """The README's file for a rate limit: beyond it 429 as a problem with Retry-After, not seen by the application."""
    readme = (data_path("nginx") / "README.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```nginx\n(limit_req_zone.*?)```", readme, re.DOTALL)
    with Backend() as backend:
        proxy = start(backend.upstream)
        # One a minute instead of what the README allows: no machine is so slow that it would not be exceeded.
        slow, count = re.subn(r"rate=\S+;", "rate=1r/m;", recipe)
        slow, more = re.subn(r" burst=\d+ nodelay;", ";", slow)
        assert count == 1
        assert more == 1
        file = proxy.directory / "conf.d" / "rate.conf"
        file.write_text(recipe, encoding="utf-8")
        proxy.reload()
        assert proxy.ask().status == 200
        file.write_text(slow.replace("zone=rate", "zone=slow"), encoding="utf-8")
        proxy.reload()
        assert proxy.ask().status == 200
        refused = proxy.ask(headers={"X-Request-ID": "too-often"})
        assert refused.status == 429
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.headers.get_all("Retry-After") == ["5"]
        assert refused.json()["title"] == "Too Many Requests"
        assert refused.json()["status"] == 429
        assert refused.json()["request_id"] == "too-often"
    assert len(backend.requests) == 2


def test_the_standalone_tree_keeps_to_itself(start: ProxyFactory) -> None:
    """Process id and temporary files are in the tree too, so that several trees can run side by side, as any user."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        assert (proxy.directory / "nginx.pid").read_text(encoding="ascii").strip() == str(proxy.pid)
        for name in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi"):
            assert (proxy.directory / f"{name}_temp").is_dir()


def test_the_ways_to_name_the_application_pool_alike() -> None:
    """Both upstream files include the same lines about keep-alive and have none of their own."""
    source = data_path("nginx")
    for directory in (source / "templates", source / "variants" / "static-upstream"):
        text = (directory / "upstream.conf.template").read_text(encoding="utf-8")
        assert "\n    include conf.d/upstream/pool.conf;\n" in text
        assert re.findall(r"^ *(?:zone|keepalive)\w* .*;$", text, re.MULTILINE) == []
