"""What became of a load."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _client import Tally

__all__ = ["Outcome", "merge"]

_PERCENT = 100


@dataclass(frozen=True)
class Outcome:
    """What became of a load: all processes together, latencies in milliseconds.

    Attributes:
        requests: How many were sent: ``answered`` plus every one in ``lost_by_reason``.
        answered: Status 200 with the right body.
        lost_by_reason: The others. None was sent a second time.
        seconds: From the first request to the last answer.
        p50_ms: Median latency of the answered ones; 0 if there are none.
        mean_ms: The mean of them.
        p99_ms: The 99th percentile.
        slowest_ms: The longest.
        lost_p99_ms: The 99th percentile of the lost ones, by reason: how fast a refusal was.
        reconnects: Connections that the server closed while no request was on them.
        failures: The first lost requests: seconds after the start, reason.
        generator_late_ms: The most belated request: how late the generator itself was. It is part of the latencies.
        generator_cpu: Processors that the generator kept busy, 1.0 being one.
    """

    requests: int
    answered: int
    lost_by_reason: dict[str, int]
    seconds: float
    p50_ms: float
    mean_ms: float
    p99_ms: float
    slowest_ms: float
    reconnects: int
    failures: list[tuple[float, str]] = field(default_factory=list)
    generator_late_ms: float = 0.0
    generator_cpu: float = 0.0
    lost_p99_ms: dict[str, float] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """How many were not answered."""
        return sum(self.lost_by_reason.values())

    @property
    def rate(self) -> float:
        """Answered requests per second."""
        return self.answered / self.seconds if self.seconds else 0.0


def merge(tallies: list[Tally], start: float) -> Outcome:
    """Put the counts of several processes together.

    Args:
        tallies: One for each process.
        start: The moment of the first request, on ``time.monotonic``'s clock.

    Raises:
        RuntimeError: The counts do not add up.
    """
    requests, answered = sum(tally.sent for tally in tallies), sum(tally.answered for tally in tallies)
    lost = sum((tally.lost for tally in tallies), Counter[str]())
    if requests != answered + lost.total() or answered != sum(len(tally.latencies) for tally in tallies):
        message = f"the load generator miscounted: {requests} sent, {answered} answered, {lost.total()} lost"
        raise RuntimeError(message)
    latencies = sorted(latency for tally in tallies for latency in tally.latencies) or [0.0]
    seconds = max(tally.latest for tally in tallies) - start
    p50, p99 = _percentile(latencies, 50), _percentile(latencies, 99)
    return Outcome(
        requests=requests,
        answered=answered,
        lost_by_reason=dict(lost.most_common()),
        seconds=max(0.0, seconds),
        p50_ms=p50 * 1000,
        mean_ms=sum(latencies) / len(latencies) * 1000,
        p99_ms=p99 * 1000,
        slowest_ms=latencies[-1] * 1000,
        reconnects=sum(tally.reconnects for tally in tallies),
        failures=sorted(failure for tally in tallies for failure in tally.failures),
        generator_late_ms=max(tally.lateness for tally in tallies) * 1000,
        generator_cpu=sum(tally.cpu for tally in tallies) / seconds if seconds > 0 else 0.0,
        lost_p99_ms={
            reason: _percentile([late for tally in tallies for late in tally.lost_latencies.get(reason, ())], 99) * 1000
            for reason in lost
        },
    )


def _percentile(values: list[float], percent: int) -> float:
    """Return the smallest value that so many percent of all do not exceed."""
    return sorted(values)[-(-len(values) * percent // _PERCENT) - 1]
