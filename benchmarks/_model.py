"""What recycling costs, on paper: workers that are replaced after a number of requests, on one machine or several.

The formulas of docs/explanation/recycling.md; fleet.py holds them against measurements. All times are seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Fleet"]


@dataclass(frozen=True)
class Fleet:
    """Machines that share a load evenly.

    Attributes:
        machines: How many, 1 or more.
        workers: Worker processes on each, 1 or more.
        rate: Requests per second, all machines together.
        max_requests: Requests after which a worker is to be replaced (the mean, with jitter).
        boot_seconds: From the fork of a worker until it serves.
        boot_cpu_seconds: Processor time of that.
        in_flight: Requests that are between nginx and the workers at any moment, all machines together.
        successor_first: Whether a worker keeps serving until its successor is ready.
    """

    machines: int
    workers: int
    rate: float
    max_requests: float
    boot_seconds: float
    boot_cpu_seconds: float
    in_flight: float
    successor_first: bool

    @property
    def served(self) -> float:
        """Requests that each worker serves: with a successor first also those of the time in which it boots."""
        return self.max_requests + self.successor_first * self.rate / self._all_workers * self.boot_seconds

    @property
    def replacements_per_second(self) -> float:
        """Replacements a second, all machines together."""
        return self.rate / self.served

    @property
    def boot_processors(self) -> float:
        """Processors of a machine that are busy with booting successors."""
        return self.boot_cpu_seconds * self.replacements_per_second / self.machines

    @property
    def missing_capacity(self) -> float:
        """The part of a machine's workers (0 to 1) that is missing on average; none with a successor first."""
        missing = self.boot_seconds * self.replacements_per_second / self._all_workers
        return 0.0 if self.successor_first else min(1.0, missing)

    @property
    def lost_per_replacement(self) -> float:
        """Requests that a worker takes with it if it closes its connections when it leaves.

        It is what is between nginx and that worker at this moment: an even share of what is in flight (Little's law:
        ``rate`` times the mean time of a request, or the number of clients that wait for one).
        """
        return 0.0 if self.successor_first else self.in_flight / self._all_workers

    @property
    def lost_per_second(self) -> float:
        """The same for all machines together, in a second."""
        return self.lost_per_replacement * self.replacements_per_second

    def boots(self, requests: float) -> int:
        """Return how many successors have been forked when so many requests have come since the start of all."""
        each = requests / self._all_workers
        if each < self.max_requests:
            return 0
        return self._all_workers * (1 + math.floor((each - self.max_requests) / self.served))

    @property
    def _all_workers(self) -> int:
        return self.machines * self.workers
