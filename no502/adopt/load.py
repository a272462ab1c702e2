"""A light load through nginx, and what became of each request."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Self

import httpx

__all__ = ["Load"]

_THREADS = 4
_PAUSE = 0.02
_WAIT = 30.0
_SERVER_ERROR = 500
_NOWHERE = "/no502-adopt-check-there-is-no-such-path"


class Load:
    """GETs of a path and POSTs to a path that no application has, four at a time, while the ``with`` block runs.

    nginx retries a GET by itself and never a POST that was sent: the POSTs are what shows a connection that was closed
    at the wrong moment. Their path has no route, so nothing happens in the application. httpx notices that nginx has
    closed an idle connection and opens another; the lab's clients must see that, these must not count it.

    Args:
        port: nginx's port on 127.0.0.1.
        path: What the GETs ask for; its answer is below 500.
    """

    def __init__(self, port: int, path: str) -> None:
        self._base, self._path = f"http://127.0.0.1:{port}", path
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._lost: Counter[str] = Counter()
        self._sent = 0
        self._threads = [threading.Thread(target=self._send, name="load", daemon=True) for _ in range(_THREADS)]

    def __enter__(self) -> Self:
        """Start it."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it; requests that were sent are waited for."""
        self.stop()

    def stop(self) -> None:
        """Send no more, and wait for the answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_WAIT)

    @property
    def sent(self) -> int:
        """How many requests were sent."""
        return self._sent

    @property
    def lost(self) -> Counter[str]:
        """How many of them had no answer of the application, by what came instead."""
        with self._lock:
            return Counter(self._lost)

    def _send(self) -> None:
        # trust_env=False: a proxy from the environment must not come between.
        with httpx.Client(trust_env=False, timeout=_WAIT, base_url=self._base) as client:
            while not self._stop.is_set():
                self._ask(client, "GET", self._path)
                self._ask(client, "POST", _NOWHERE)
                self._stop.wait(_PAUSE)

    def _ask(self, client: httpx.Client, method: str, path: str) -> None:
        try:
            status = client.request(method, path).status_code
            problem = f"{method} got {status}" if status >= _SERVER_ERROR else ""
        except httpx.HTTPError as error:
            problem = f"{method} got no answer ({type(error).__name__})"
        with self._lock:
            self._sent += 1
            if problem:
                self._lost[problem] += 1
