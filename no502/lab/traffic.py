"""The clients of the lab: single requests, bursts, and load in the background.

Threads and the standard library's HTTP client: it neither retries a request nor hides how a connection ended.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from no502.lab.side import Event

__all__ = ["Client", "Load", "burst", "request"]

_ANSWER_SECONDS = 40.0
_REFUSED_PAUSE = 0.02


class Client:
    """One kept-alive connection to nginx.

    Args:
        url: ``http://address:port``.
        began: The beginning of the side, on ``time.monotonic``'s clock.
    """

    def __init__(self, url: str, *, began: float) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=_ANSWER_SECONDS)
        self._began = began
        self._sent = 0.0
        self._problem: Exception | None = None

    def send(self, method: str, path: str) -> None:
        """Send a request; ``answer`` tells what became of it."""
        self._sent, self._problem = time.monotonic(), None
        try:
            self._connection.request(method, path)
        except OSError as error:
            self._problem = error

    def answer(self) -> Event:
        """Wait for the answer, and keep the connection if both sides want to."""
        try:
            if self._problem is not None:
                raise self._problem
            response = self._connection.getresponse()
            response.read()
            outcome = str(response.status)
        except (HTTPException, OSError) as error:
            self._connection.close()
            outcome = type(error).__name__
        seconds = time.monotonic() - self._sent
        return Event(at=self._sent - self._began, seconds=seconds, outcome=outcome, ok=outcome == "200")

    def ask(self, method: str, path: str) -> Event:
        """Send a request and wait for its answer."""
        self.send(method, path)
        return self.answer()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def request(method: str, url: str, path: str, *, began: float) -> Event:
    """Send one request on a connection of its own."""
    client = Client(url, began=began)
    try:
        return client.ask(method, path)
    finally:
        client.close()


def burst(method: str, url: str, path: str, count: int, *, began: float) -> list[Event]:
    """Send ``count`` requests at once, each on a connection of its own, and wait for their answers."""
    clients = [Client(url, began=began) for _ in range(count)]
    for client in clients:
        client.send(method, path)
    events = [client.answer() for client in clients]
    for client in clients:
        client.close()
    return events


class Load:
    """Requests for ``/`` in the background while the ``with`` block runs.

    Args:
        url: ``http://address:port``.
        began: The beginning of the side.
        connections: How many clients.
        rate: Requests per second of all together, due whether or not earlier ones have been answered, as long as a
            client is free; None: each client sends again as soon as it has its answer.
        method: The HTTP method.
    """

    def __init__(
        self, url: str, *, began: float, connections: int = 50, rate: float | None = None, method: str = "POST"
    ) -> None:
        self.events: list[Event] = []
        self._url, self._began, self._method = url, began, method
        self._interval = None if rate is None else connections / rate
        self._connections = connections
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="lab client")

    def __enter__(self) -> Self:
        """Begin to send."""
        for number in range(self._connections):
            self._pool.submit(self._be_client, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send no more, and wait for the answers."""
        self._stopped.set()
        self._pool.shutdown()

    def _be_client(self, number: int) -> None:
        client = Client(self._url, began=self._began)
        due = time.monotonic() + (self._interval or 0.0) * number / self._connections
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            event = client.ask(self._method, "/")
            self.events.append(event)
            if self._interval is not None:
                due += self._interval
            elif not event.ok:
                due = time.monotonic() + _REFUSED_PAUSE  # a client that is refused at once would only spin
        client.close()
