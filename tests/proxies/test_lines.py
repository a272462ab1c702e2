"""The lines that ``no502 explain --proxy`` prints, in the real programs."""

import time
from contextlib import ExitStack
from pathlib import Path

from no502.ladder.proxies import Proxy
from tests.proxies.conftest import Starter
from tests.support.backend import OK, Backend
from tests.support.polling import wait_until
from tests.support.server import Gunicorn
from tests.support.wire import Connection, Load, request

_REQUESTS = 1500


def _post(port: int, *, seconds: float = 30) -> int:
    with Connection(("127.0.0.1", port), seconds=seconds) as connection:
        connection.send(request())
        return connection.response().status


def test_requests_arrive(start: Starter) -> None:
    """The proxy loads the configuration and forwards a POST."""
    with Backend() as backend:
        port = start(backend.port)
        # Traefik answers 404 until it has read its routes.
        wait_until(lambda: _post(port) == 200, seconds=20, what="an answer of the backend")
    assert backend.requests[-1].method == "POST"


def test_an_idle_connection_is_not_used_after_the_idle_time(proxy: Proxy, start: Starter) -> None:
    """After ``idle`` seconds the proxy closes its idle connection to the worker, or does not use it again."""
    with Backend() as backend:
        port = start(backend.port, idle=1)
        wait_until(lambda: _post(port) == 200, seconds=20, what="an answer of the backend")
        first = backend.requests[-1].connection
        began = time.monotonic()
        if proxy in {Proxy.APACHE, Proxy.HAPROXY}:  # the one forgets it, the other resets it
            wait_until(lambda: time.monotonic() - began > 2.0, seconds=5, what="the idle time")
        else:
            wait_until(lambda: backend.closed_by_peer >= first, seconds=10, what="the proxy to close its connection")
        assert _post(port) == 200
        assert backend.requests[-1].connection > first


def test_a_silent_worker_is_given_up_at_the_read_timeout(start: Starter) -> None:
    """A response that does not begin within ``read`` seconds ends as 502 or 504, not sooner and not much later."""

    def answer(received: object, _connection: object) -> bytes:
        if getattr(received, "target", "") == "/slow":
            wait_until(lambda: time.monotonic() > until[0], seconds=60, what="the end of the silence")
        return OK

    until = [0.0]
    with Backend(answer) as backend:
        port = start(backend.port, read=2)
        wait_until(lambda: _post(port) == 200, seconds=20, what="an answer of the backend")
        began = time.monotonic()
        until[0] = began + 8
        with Connection(("127.0.0.1", port), seconds=30) as connection:
            connection.send(request("/slow"))
            status = connection.response().status
        took = time.monotonic() - began
    assert status in {502, 504}
    assert 1.9 < took < 6


def test_workers_are_recycled_without_a_loss(start: Starter, tmp_path: Path) -> None:
    """1,500 POSTs while the worker is replaced every 200 requests: each is answered 200."""
    directory = tmp_path / "gunicorn"
    directory.mkdir()
    with Gunicorn(directory, workers=1, max_requests=200, keepalive=30) as server, ExitStack() as stack:
        address = server.address
        assert not isinstance(address, str)
        port = start(address[1], idle=2)
        wait_until(lambda: _post(port) == 200, seconds=20, what="an answer of the application")
        loads = [stack.enter_context(Load(("127.0.0.1", port))) for _ in range(4)]
        wait_until(
            lambda: sum(sum(load.pids.values()) for load in loads) >= _REQUESTS, seconds=120, what="all requests"
        )
        stack.close()
    assert [load.failures for load in loads] == [[], [], [], []]
    assert len({pid for load in loads for pid in load.pids}) >= 2
