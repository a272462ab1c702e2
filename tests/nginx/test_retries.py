"""When a request is sent a second time."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.nginx.proxy import Proxy, ProxyFactory
from tests.support.backend import Backend, Request


def _dies(_request: Request, _connection: socket.socket) -> None:
    """Take the request and close: what a killed worker does."""


@contextlib.contextmanager
def _silent(host: str, port: int = 0) -> Iterator[int]:
    """Be an address that answers no connection attempt, neither yes nor no: its queue is full; yield the port."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield int(address[1])


def _spread(proxy: Proxy, port: int, *last_octets: int) -> None:
    """Give the upstream these addresses with this port, as a name with several addresses would."""
    upstream = proxy.directory / "conf.d" / "upstream.conf"
    before = f"server 127.0.0.{last_octets[0]}:{port} max_fails=1 fail_timeout=1s;"
    servers = [f"server 127.0.0.{last}:{port} max_fails=1 fail_timeout=1s;" for last in last_octets]
    text = upstream.read_text(encoding="utf-8")
    assert before in text
    upstream.write_text(text.replace(before, "\n".join(servers)), encoding="utf-8")
    proxy.reload()


@pytest.mark.parametrize(
    ("method", "attempts"), [("GET", 2), ("HEAD", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)]
)
def test_attempts(start: ProxyFactory, method: str, attempts: int) -> None:
    """Three addresses that take requests and die: POST and PATCH are sent once, idempotent methods twice."""
    with (
        Backend(_dies, host="127.0.0.2") as one,
        Backend(_dies, host="127.0.0.3", port=one.port) as two,
        Backend(_dies, host="127.0.0.4", port=one.port) as three,
    ):
        proxy = start(one.upstream)
        _spread(proxy, one.port, 2, 3, 4)
        assert proxy.ask(method).status == 502
        (line,) = proxy.access_log()
        assert len(one.requests + two.requests + three.requests) == attempts
        assert line["upstream_status"].count("502") == attempts


def test_a_dead_address_is_passed_over(start: ProxyFactory) -> None:
    """A POST to an address that refuses goes to the next one: it has not been sent yet."""
    with Backend(host="127.0.0.3") as alive:
        proxy = start(f"127.0.0.2:{alive.port}")
        _spread(proxy, alive.port, 2, 3)
        assert [proxy.ask("POST").status for _ in range(10)] == [200] * 10
        assert any(", " in line["upstream_status"] for line in proxy.access_log(10))
    assert len(alive.requests) == 10


def test_a_second_attempt_starts_early_or_never(start: ProxyFactory) -> None:
    """A GET whose worker dies after a long wait is not sent again, so that the wait cannot double."""

    def dies_late(_request: Request, connection: socket.socket) -> None:
        connection.settimeout(2.0)
        try:
            connection.recv(1)
        except TimeoutError:
            return

    with Backend(dies_late, host="127.0.0.2") as one, Backend(dies_late, host="127.0.0.3", port=one.port) as two:
        proxy = start(one.upstream, PROXY_CONNECT_TIMEOUT="1")
        _spread(proxy, one.port, 2, 3)
        assert proxy.ask().status == 502
        assert len(one.requests + two.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_addresses_that_stay_silent_cost_two_connect_timeouts(start: ProxyFactory, method: str) -> None:
    """However many addresses answer no connection attempt, two are tried at most, then the client has its 504."""
    with _silent("127.0.0.2") as port, _silent("127.0.0.3", port), _silent("127.0.0.4", port):
        proxy = start(f"127.0.0.2:{port}", PROXY_CONNECT_TIMEOUT="1")
        _spread(proxy, port, 2, 3, 4)
        assert proxy.ask(method).status == 504
        (line,) = proxy.access_log()
        assert set(line["upstream_status"].split(", ")) == {"504"}
        assert 1 <= len(line["upstream_addr"].split(", ")) <= 2
