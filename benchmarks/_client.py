"""One process's share of the load: POSTs over raw connections, each request counted exactly once and never repeated.

A request ends in one of two ways: *answered* (status 200 and its own number in the body) or *lost*, with the reason.
A connection that the server closes between two requests is replaced and counted apart: nothing was lost with it.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from _connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Client", "Share", "Tally"]

_PAUSE_AFTER_REFUSAL = 0.01  # seconds; a closed loop would spin
_FAILURES_KEPT = 20


@dataclass(frozen=True)
class Share:
    """What one process has to do; the same fields as ``_load.Plan``, divided.

    Attributes:
        host: Where to connect to.
        port: Its TCP port.
        start: The moment of the first request, on ``time.monotonic``'s clock.
        seconds: How long requests are sent.
        interval: Seconds between two requests (open loop); None sends the next one after an answer (closed loop).
        connections: The most connections at a time; a closed loop keeps all of them busy.
        requests: How many requests are sent at most; None means as many as fit.
        answer_seconds: How long an answer may take.
    """

    host: str
    port: int
    start: float
    seconds: float
    interval: float | None
    connections: int
    requests: int | None
    answer_seconds: float


@dataclass
class Tally:
    """What has become of the requests; times in seconds.

    Attributes:
        sent: Requests that came due: ``answered`` plus all of ``lost`` once the client has ended.
        answered: Status 200 with the right body.
        lost: How many requests ended otherwise, by reason.
        latencies: From the scheduled moment to the whole answer, of the answered ones.
        lost_latencies: The same of the lost ones, by reason.
        reconnects: Connections that the server closed while no request was on them.
        failures: The first lost requests: seconds after the start, reason.
        latest: The moment of the last answer or loss.
        lateness: How long after its moment the most belated request was sent, because this process was too slow.
        cpu: Processor seconds of this process while it ran.
    """

    sent: int = 0
    answered: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    latencies: array[float] = field(default_factory=lambda: array("d"))
    lost_latencies: dict[str, array[float]] = field(default_factory=dict)
    reconnects: int = 0
    failures: list[tuple[float, str]] = field(default_factory=list)
    latest: float = 0.0
    lateness: float = 0.0
    cpu: float = 0.0


class Client:
    """Sends one share of the load.

    Args:
        share: What to send.
    """

    def __init__(self, share: Share) -> None:
        self.tally = Tally()
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[int, float]] = deque()
        self._closing = False
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Send no more; what was sent is still waited for."""
        self._stopped.set()

    async def run(self, progress: Callable[[Tally], None]) -> Tally:
        """Send everything, wait for the answers, and return the counts.

        Args:
            progress: Called about once a second with the counts so far.
        """
        share, began = self._share, time.process_time()
        watch = self._loop.create_task(self._watch(progress))
        await asyncio.sleep(share.start - time.monotonic())
        if share.interval is None:
            for _ in range(share.connections):
                self._issue(time.monotonic())
        else:
            self._tick()
        try:
            async with asyncio.timeout(share.start + share.seconds - time.monotonic()):
                await self._stopped.wait()
        except TimeoutError:
            self._stopped.set()
        while self._outstanding():  # noqa: ASYNC110  the counts change in protocol callbacks
            await asyncio.sleep(0.01)
        watch.cancel()
        self._closing = True
        for connection in list(self._open):
            connection.close()
        await asyncio.sleep(0.05)  # the transports report the end of the connections
        self.tally.cpu = time.process_time() - began
        return self.tally

    def ended(self, connection: Connection, reason: str | None, *, reusable: bool) -> None:
        """Count a request, and send the next one."""
        self._count(connection.due, reason)
        if reusable:
            self._idle.append(connection)
        else:
            self._open.discard(connection)
        self._next()

    def forget(self, connection: Connection) -> None:
        """Note that a connection is gone."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
            self.tally.reconnects += not self._closing

    def _count(self, due: float, reason: str | None) -> None:
        tally, now = self.tally, time.monotonic()
        tally.latest = now
        if reason is None:
            tally.answered += 1
            tally.latencies.append(now - due)
        else:
            tally.lost[reason] += 1
            tally.lost_latencies.setdefault(reason, array("d")).append(now - due)
            if len(tally.failures) < _FAILURES_KEPT:
                tally.failures.append((now - self._share.start, reason))

    def _next(self) -> None:
        if self._waiting:
            self._assign(*self._waiting.popleft())
        elif self._share.interval is None:
            self._issue(time.monotonic())

    def _tick(self) -> None:
        """Open loop: send everything that is due, whether or not earlier requests have been answered."""
        share, tally = self._share, self.tally
        assert share.interval is not None  # noqa: S101  for the type checker
        now = time.monotonic()
        while (due := share.start + tally.sent * share.interval) <= now and not self._stopped.is_set():
            tally.lateness = max(tally.lateness, now - due)
            self._issue(due)
        if not self._stopped.is_set():
            self._loop.call_later(due - now, self._tick)

    def _issue(self, due: float) -> None:
        share, tally = self._share, self.tally
        if due >= share.start + share.seconds or tally.sent == share.requests:
            self._stopped.set()
        if not self._stopped.is_set():
            tally.sent += 1
            self._assign(tally.sent, due)

    def _assign(self, number: int, due: float) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.post(number, due)
                return
            self._open.discard(connection)
            self.tally.reconnects += 1
        if len(self._open) + len(self._opening) < self._share.connections:
            task = self._loop.create_task(self._connect(number, due))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self._waiting.append((number, due))

    async def _connect(self, number: int, due: float) -> None:
        share = self._share
        try:
            async with asyncio.timeout(share.answer_seconds):
                _, connection = await self._loop.create_connection(lambda: Connection(self), share.host, share.port)
        except OSError as error:  # a TimeoutError is one
            self._count(due, f"connect: {type(error).__name__}")
            self._loop.call_later(_PAUSE_AFTER_REFUSAL, self._next)
            return
        if not connection.usable:
            self._count(due, "closed before the request")
            self._loop.call_later(_PAUSE_AFTER_REFUSAL, self._next)
            return
        self._open.add(connection)
        connection.post(number, due)

    async def _watch(self, progress: Callable[[Tally], None]) -> None:
        """Give up what is not answered in time; report."""
        reason = f"no answer in {self._share.answer_seconds:g} s"
        while True:
            await asyncio.sleep(min(1.0, self._share.answer_seconds / 2))
            limit = time.monotonic() - self._share.answer_seconds
            for connection in list(self._open):
                if connection.busy and connection.sent_at < limit:
                    connection.give_up(reason)
            while self._waiting and self._waiting[0][1] < limit:
                self._count(self._waiting.popleft()[1], reason)
            progress(self.tally)

    def _outstanding(self) -> bool:
        return self.tally.answered + self.tally.lost.total() < self.tally.sent
