"""POST requests at a steady rate, each on a connection of its own, and what became of them."""

import http.client
import json
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

__all__ = ["Load"]

_CREATED = 201
_CLIENTS = 20


class Load:
    """Sends while the ``with`` block runs; leaving it waits for the last answers.

    A new connection for each request: a kept one may be closed by nginx just when the client uses it, which is between
    those two and no matter of the application.

    Args:
        port: nginx's port on 127.0.0.1.
        rate: Requests per second, of all clients together, as long as the answers come fast enough.
        client_timeout: Seconds until a client gives up on one request.

    Attributes:
        failures: What was not 201: the status, or the name of the exception, and how often.
    """

    def __init__(self, port: int, *, rate: float = 200.0, client_timeout: float = 60.0) -> None:
        self._port = port
        self._pause = _CLIENTS / rate
        self._timeout = client_timeout
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(_CLIENTS)]
        self.answered = 0
        self.slowest = 0.0
        self.failures: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Start the clients."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the clients."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(self._timeout + 5)

    @property
    def sent(self) -> int:
        """How many requests have an outcome."""
        return self.answered + sum(self.failures.values())

    def __str__(self) -> str:
        """One line for people."""
        lost = sum(self.failures.values())
        return f"{lost} of {self.sent} lost {dict(self.failures) or ''}, slowest {self.slowest:.2f} s"

    def _client(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._pause, time.monotonic() - self._pause)
            began = time.monotonic()
            outcome = self._post()
            with self._lock:
                self.slowest = max(self.slowest, time.monotonic() - began)
                if outcome == str(_CREATED):
                    self.answered += 1
                else:
                    self.failures[outcome] += 1

    def _post(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout)
        headers = {"Host": "localhost", "Content-Type": "application/json", "Connection": "close"}
        try:
            connection.request("POST", "/api/greetings", json.dumps({"text": "load"}), headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        else:
            return str(response.status)
        finally:
            connection.close()
