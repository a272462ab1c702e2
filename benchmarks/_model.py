"""What recycling costs, on paper: workers that are replaced after a number of requests, on one machine or several.

The formulas of docs/explanation/recycling.md; fleet.py holds them against measurements. All times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Fleet"]


@dataclass(frozen=True)
class Fleet:
    """Machines that share a load evenly.

    Attributes:
        machines: How many, 1 or more.
        workers: Worker processes on each, 1 or more.
        rate: Requests per second, all machines together.
        max_requests: Requests after which a worker is replaced (the mean, with jitter).
        boot_seconds: From the fork of a worker until it serves.
        boot_cpu_seconds: Processor time of that.
        in_flight: Requests that are between nginx and the workers at any moment, all machines together.
    """

    machines: int
    workers: int
    rate: float
    max_requests: float
    boot_seconds: float
    boot_cpu_seconds: float
    in_flight: float

    @property
    def replacements_per_second(self) -> float:
        """Replacements a second, all machines together: each serves ``max_requests``, wherever it is.

        A worker is only replaced when its successor serves, and there is one successor at a time on a machine, so there
        cannot be more than one in ``boot_seconds``.
        """
        return min(self.rate / self.max_requests, self.machines / self.boot_seconds)

    @property
    def boot_processors(self) -> float:
        """Processors of a machine that are busy with booting successors."""
        return self.boot_cpu_seconds * self.replacements_per_second / self.machines

    @property
    def missing_capacity(self) -> float:
        """The part of a machine's workers (0 to 1) that is missing on average if the successor is forked afterwards."""
        return min(1.0, self.boot_seconds * self.replacements_per_second / self.machines / self.workers)

    @property
    def lost_per_replacement(self) -> float:
        """Requests that a worker takes with it if it closes its connections when it leaves, at most.

        It is what is between nginx and that worker at this moment: an even share of what is in flight (Little's law:
        ``rate`` times the mean time of a request, or the number of clients that wait for one).
        """
        return self.in_flight / (self.machines * self.workers)

    @property
    def lost_per_second(self) -> float:
        """The same for all machines together, in a second; with a successor first and connections kept it is 0."""
        return self.lost_per_replacement * self.replacements_per_second
