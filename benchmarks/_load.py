"""The load generator: several processes that POST at a fixed rate, or as fast as answers come.

At a fixed rate (open loop) a request's latency counts from the moment it was due, so a server that stalls pays for
every request that fell due meanwhile. At full speed (closed loop) it counts from the moment it was sent.

The lab's clients and those of the tests are threads and tasks beside the program that judges them: good enough to
count, too slow and too uneven to measure with.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from _client import Client, Share, Tally
from _outcome import Outcome, merge

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from types import TracebackType

__all__ = ["Load", "Plan", "run"]

_SECONDS_TO_START = 0.1  # from the last process's being ready to the first request
_SECONDS_TO_BOOT = 30.0
_MOST_OPEN = 1024  # connections of an open loop, all processes together; beyond it requests wait for one


@dataclass(frozen=True)
class Plan:
    """A load.

    Attributes:
        port: The TCP port.
        seconds: How long requests are sent; answers are waited for after that.
        rate: Requests per second offered regardless of the answers; None sends at full speed.
        connections: How many connections stay busy at full speed.
        requests: Stop after so many; None means as many as fit into ``seconds``.
        processes: How many processes share the work.
        answer_seconds: An answer that takes longer is lost.
        host: The address.
    """

    port: int
    seconds: float
    rate: float | None = None
    connections: int = 50
    requests: int | None = None
    processes: int = 1
    answer_seconds: float = 30.0
    host: str = "127.0.0.1"

    def shares(self) -> list[Share]:
        """Divide it among the processes; their moments interleave. ``start`` counts from the load's start."""
        count = self.processes
        most = self.connections if self.rate is None else _MOST_OPEN
        interval = None if self.rate is None else count / self.rate
        return [
            Share(
                host=self.host,
                port=self.port,
                start=0.0 if interval is None else interval * index / count,
                seconds=self.seconds,
                interval=interval,
                connections=most // count + (index < most % count),
                requests=None if self.requests is None else self.requests // count + (index < self.requests % count),
                answer_seconds=self.answer_seconds,
            )
            for index in range(count)
        ]


class Load:
    """A load that runs in other processes from ``with`` on.

    Args:
        plan: What to send.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._context = multiprocessing.get_context("spawn")
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._pipes: list[Connection] = []
        self._threads: list[threading.Thread] = []
        self._latest: dict[int, tuple[int, Counter[str]]] = {}
        self._tallies: dict[int, Tally] = {}
        self._start = 0.0

    def __enter__(self) -> Self:
        """Start the processes."""
        for share in self._plan.shares():
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_work, args=(share, theirs), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)
        try:
            self._begin()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _begin(self) -> None:
        """Give every process the same moment to begin at."""
        for pipe in self._pipes:
            if not pipe.poll(_SECONDS_TO_BOOT):
                message = f"a process of the load generator was not ready in {_SECONDS_TO_BOOT:g} s"
                raise RuntimeError(message)
            pipe.recv()
        self._start = time.monotonic() + _SECONDS_TO_START
        for index, pipe in enumerate(self._pipes):
            pipe.send(self._start)
            thread = threading.Thread(target=self._read, args=(index, pipe), daemon=True)
            thread.start()
            self._threads.append(thread)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the processes, finished or not."""
        for process in self._processes:
            process.terminate()
            process.join()
        for thread in self._threads:
            thread.join()
        for pipe in self._pipes:
            pipe.close()

    @property
    def answered(self) -> int:
        """How many requests have been answered, as of about a second ago."""
        return sum(answered for answered, _ in list(self._latest.values()))

    @property
    def lost(self) -> Counter[str]:
        """How many have been lost and why, as of about a second ago."""
        return sum((lost for _, lost in list(self._latest.values())), Counter())

    @property
    def running(self) -> bool:
        """Whether a process still sends or waits for answers."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Send no more requests."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):  # it has ended by itself
                pipe.send("stop")

    def wait(self) -> Outcome:
        """Wait for the end and return the counts.

        Raises:
            RuntimeError: A process of the generator has died or hangs, or its counts do not add up.
        """
        deadline = self._start + self._plan.seconds + 3 * self._plan.answer_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        tallies = list(self._tallies.values())
        if len(tallies) < self._plan.processes:
            message = "a process of the load generator has died or hangs: its requests are not accounted for"
            raise RuntimeError(message)
        return merge(tallies, self._start)

    def _read(self, index: int, pipe: Connection) -> None:
        try:
            while index not in self._tallies:
                message = pipe.recv()
                if isinstance(message, Tally):
                    self._latest[index] = (message.answered, message.lost)
                    self._tallies[index] = message
                else:
                    self._latest[index] = message
        except EOFError:
            return


def run(plan: Plan) -> Outcome:
    """Run a load to its end."""
    with Load(plan) as load:
        return load.wait()


def _work(share: Share, pipe: Connection) -> None:
    """Be one process of the generator."""
    gc.disable()  # nothing cyclic is made per request; a collection would look like a slow server
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        tally = runner.run(_serve(share, pipe))
    pipe.send(tally)
    pipe.close()


async def _serve(share: Share, pipe: Connection) -> Tally:
    pipe.send("ready")
    client = Client(replace(share, start=share.start + pipe.recv()))
    loop = asyncio.get_running_loop()

    def listen() -> None:
        with contextlib.suppress(EOFError, OSError, RuntimeError):  # the loop may have ended before the order came
            pipe.recv()
            loop.call_soon_threadsafe(client.stop)

    # Not add_reader: the pipe would no longer block, and the result of a long load is larger than its buffer.
    threading.Thread(target=listen, daemon=True).start()
    return await client.run(lambda tally: pipe.send((tally.answered, tally.lost.copy())))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import Loop
    except ImportError:
        return None
    return Loop
