"""The bound on requests in flight: what is beyond it is told at once to come back."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.nginx.proxy import HOST, Proxy, ProxyFactory
from tests.support.backend import OK, Backend, Request
from tests.support.polling import wait_until

_LIMIT = 3
_SECONDS = 60.0
_WEBSOCKET = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


class _Gate:
    """A backend's answer that keeps every request of ``/held`` until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, request: Request, _connection: socket.socket) -> bytes:
        if request.target == "/held":
            self.opened.wait(_SECONDS)
        return OK


@contextlib.contextmanager
def _held(
    proxy: Proxy, backend: Backend, gate: _Gate, headers: str = "", *, count: int = _LIMIT
) -> Iterator[list[socket.socket]]:
    """Have so many requests in flight at the backend, each on a connection of its own; open the gate in the end."""
    with contextlib.ExitStack() as stack:
        stack.callback(gate.opened.set)
        clients = []
        for number in range(1, count + 1):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), _SECONDS))
            client.sendall(f"GET /held HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n".encode())
            clients.append(client)
            wait_until(lambda number=number: len(backend.requests) >= number, seconds=30, what=f"request {number}")  # type: ignore[misc]
        yield clients


def _start(start: ProxyFactory, backend: Backend) -> Proxy:
    return start(backend.upstream, NGINX_REQUESTS_IN_FLIGHT=str(_LIMIT), PROXY_READ_TIMEOUT="120")


def test_one_more_is_refused_and_the_others_are_served(start: ProxyFactory) -> None:
    """Beyond the bound: 503 as a problem with Retry-After, not seen by the application; the ones in flight succeed."""
    gate = _Gate()
    with Backend(gate) as backend:
        proxy = _start(start, backend)
        with _held(proxy, backend, gate) as clients:
            for method in ("GET", "POST"):
                refused = proxy.ask(method, headers={"X-Request-ID": "one-too-many"})
                assert refused.status == 503
                assert refused.headers["Content-Type"] == "application/problem+json"
                assert refused.headers.get_all("Retry-After") == ["5"]
                assert refused.json()["status"] == 503
                assert refused.json()["request_id"] == "one-too-many"
            assert len(backend.requests) == _LIMIT
            log = proxy.wait_for_log('limiting connections by zone "in_flight"')
            assert all(" [warn] " in line for line in log.splitlines() if "limiting connections" in line)
            assert {(line["status"], line["upstream_addr"]) for line in proxy.access_log(2)} == {("503", "")}
            gate.opened.set()
            for client in clients:
                assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
            # nginx counts a request until just after its client has the answer.
            wait_until(lambda: proxy.ask().status == 200, seconds=30, what="a free place")


def test_up_to_the_bound_everything_passes(start: ProxyFactory) -> None:
    """One less than the bound in flight: the next request is served."""
    gate = _Gate()
    with Backend(gate) as backend:
        proxy = _start(start, backend)
        with _held(proxy, backend, gate, count=_LIMIT - 1):
            assert proxy.ask().status == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/health/live", {}),
        ("/health/ready", {}),
        ("/events", {"Accept": "text/event-stream"}),
        ("/events", {"Accept": "application/json, Text/Event-Stream"}),
        ("/socket", _WEBSOCKET),
    ],
)
def test_what_lasts_or_must_always_work_passes(start: ProxyFactory, path: str, headers: dict[str, str]) -> None:
    """Health checks, event streams and WebSockets reach the application at the bound."""
    gate = _Gate()
    with Backend(gate) as backend:
        proxy = _start(start, backend)
        with _held(proxy, backend, gate):
            assert proxy.ask(path=path, headers=headers).status == 200
            assert backend.requests[-1].target == path


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/health/liveness", {}),
        ("/other/health/live", {}),
        ("/health/live%20x", {}),
        ("/", {"Accept": "text/event"}),
        ("/", {"Upgrade": "h2c", "Connection": "Upgrade"}),
    ],
)
def test_what_only_looks_like_it_is_refused(start: ProxyFactory, path: str, headers: dict[str, str]) -> None:
    """No other path, media type or upgrade is let through."""
    gate = _Gate()
    with Backend(gate) as backend:
        proxy = _start(start, backend)
        with _held(proxy, backend, gate):
            assert proxy.ask(path=path, headers=headers).status in {404, 503}
            assert len(backend.requests) == _LIMIT


@pytest.mark.parametrize("headers", ["Accept: text/event-stream\r\n", "Upgrade: websocket\r\nConnection: Upgrade\r\n"])
def test_streams_and_sockets_take_no_place(start: ProxyFactory, headers: str) -> None:
    """However many of them there are, other requests are served."""
    gate = _Gate()
    with Backend(gate) as backend:
        proxy = _start(start, backend)
        with _held(proxy, backend, gate, headers, count=2 * _LIMIT):
            assert proxy.ask().status == 200


def test_one_client_cannot_take_every_place(start: ProxyFactory) -> None:
    """A client with slow uploads gets 503 beyond its share; another client is served meanwhile."""
    with Backend() as backend, contextlib.ExitStack() as stack:
        proxy = start(
            backend.upstream,
            NGINX_REQUESTS_IN_FLIGHT="12",
            NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT="4",
            PROXY_READ_TIMEOUT="60",
        )
        head = f"POST /slow HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\nx".encode()
        attackers = [stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), 10)) for _ in range(12)]
        for attacker in attackers:
            attacker.sendall(head)
        # Two processes of nginx accept them, so it is not always the last eight that are refused.
        refused = wait_until(
            lambda: found if len(found := select.select(attackers, [], [], 0)[0]) >= 8 else [],
            seconds=20,
            what="eight refusals",
        )
        assert {attacker.recv(100).split()[1] for attacker in refused} == {b"503"}
        assert len(refused) == 8
        proxy.wait_for_log('limiting connections by zone "in_flight_per_client"')
        assert proxy.ask().status == 503
        with socket.create_connection(("127.0.0.1", proxy.port), 10, source_address=("127.0.0.2", 0)) as other:
            other.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert other.recv(100).startswith(b"HTTP/1.1 200 ")
