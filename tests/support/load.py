"""POSTs to a generated service at a steady rate, each on a connection of its own, and what became of them.

``python -m tests.support.load PORT RATE SECONDS [PATH [HOST]]`` prints the answers and how often each came, as JSON.

Not for measurements, which ``benchmarks/_load.py`` makes from processes of its own, and not for the workers' process
ids, which ``tests.support.wire.Load`` reads from the application of the tests.
"""

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

__all__ = ["Load", "main"]

_CREATED = "201"
_BODY = b'{"text": "load"}'
_SOURCES = [f"127.0.0.{number}" for number in range(1, 51)]
"""Addresses of the loopback network: nginx bounds the requests in flight of each client."""


class Load:
    """Sends while the ``with`` block runs; leaving it waits for the last answers.

    A new connection for each request: a kept one may be closed by nginx just when the client uses it, which is between
    those two and no matter of the application.

    Args:
        port: nginx's port on 127.0.0.1.
        host: The Host header.
        path: What is asked for.
        rate: Requests per second. They are due whether or not earlier ones have been answered.
        at_most: So many wait for an answer at a time; those that are due meanwhile are left out. None: no limit.
        patience: Seconds until a client gives up on one request.
        sources: Addresses that the clients connect from, in turns; none: the system's choice.
        total: How many requests are sent before it ends by itself; None: it does not.

    Attributes:
        outcomes: The statuses, or what happened instead of an answer, and how often.
        slowest: The longest time from the moment a request was due to its outcome, in seconds.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = "localhost",
        path: str = "/api/greetings",
        rate: float = 200.0,
        at_most: int | None = 20,
        patience: float = 60.0,
        sources: Sequence[str] = (),
        total: int | None = None,
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        self._port, self._rate, self._patience = port, rate, patience
        self._at_most, self._sources, self._total = at_most, sources, total
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self._request = f"{head}Content-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.send()), daemon=True)

    def __enter__(self) -> Self:
        """Start to send."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send no more, and wait for the answers."""
        self._stopped.set()
        self._thread.join(self._patience + 5)

    @property
    def answered(self) -> int:
        """How many requests were answered 201."""
        return self.outcomes[_CREATED]

    @property
    def sent(self) -> int:
        """How many requests have an outcome."""
        return self.outcomes.total()

    @property
    def failures(self) -> dict[str, int]:
        """What was not 201, and how often."""
        return {outcome: count for outcome, count in dict(self.outcomes).items() if outcome != _CREATED}

    def __str__(self) -> str:
        """One line for people."""
        lost = sum(self.failures.values())
        return f"{lost} of {self.answered + lost} lost {self.failures or ''}, slowest {self.slowest:.2f} s"

    async def send(self) -> None:
        """Send until it is stopped or ``total`` are sent, and wait for the answers."""
        slots = asyncio.Semaphore(self._at_most or sys.maxsize)
        sent, due = 0, time.monotonic()
        async with asyncio.TaskGroup() as group:
            while sent != self._total and not self._stopped.is_set():
                await asyncio.sleep(due - time.monotonic())
                await slots.acquire()
                if self._at_most is not None:
                    due = max(due, time.monotonic() - 1 / self._rate)
                group.create_task(self._one(sent, due, slots))
                sent, due = sent + 1, due + 1 / self._rate

    async def _one(self, number: int, due: float, slots: asyncio.Semaphore) -> None:
        try:
            outcome = await asyncio.wait_for(self._post(number), self._patience)
        except (OSError, TimeoutError) as error:
            outcome = type(error).__name__
        self.slowest = max(self.slowest, time.monotonic() - due)
        self.outcomes[outcome] += 1
        slots.release()

    async def _post(self, number: int) -> str:
        source = (self._sources[number % len(self._sources)], 0) if self._sources else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=source)
        try:
            writer.write(self._request)
            answer = await reader.read()
        finally:
            writer.close()
        return _outcome(answer)


def _outcome(answer: bytes) -> str:
    """Return the status, or what is wrong with the bytes that came until the server closed the connection."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end or not head.startswith(b"HTTP/1.1 "):
        return f"closed after {len(answer)} bytes"
    lengths = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if lengths and len(body) != lengths[0]:
        return f"closed after {len(body)} of {lengths[0]} bytes of the body"
    return head.split()[1].decode("ascii")


def main() -> None:
    """Send the load and print the counts."""
    port, rate, seconds = (int(word) for word in sys.argv[1:4])
    given = dict(enumerate(sys.argv))
    path, host = given.get(4, "/api/greetings"), given.get(5, "localhost")
    total = rate * seconds
    load = Load(port, host=host, path=path, rate=rate, at_most=None, patience=90.0, sources=_SOURCES, total=total)
    asyncio.run(load.send())
    print(json.dumps({"outcomes": load.outcomes, "slowest": round(load.slowest, 3)}), flush=True)  # noqa: T201  its result


if __name__ == "__main__":
    main()
