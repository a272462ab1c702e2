"""What one run of a scenario shows: its requests, its workers and its log lines."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Event", "Side", "WorkerEvent"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One request as its client saw it."""

    at: float
    """Seconds from the beginning of the side to the moment it was sent."""
    seconds: float
    """Seconds until its answer was complete, or until it was clear that none comes."""
    outcome: str
    """``200``, ``502`` ..., or what went wrong in words."""
    ok: bool
    """Whether the client got the response that it should get."""


@dataclass(frozen=True, kw_only=True)
class WorkerEvent:
    """A worker process that began or ended to serve."""

    at: float
    pid: int
    arrives: bool


@dataclass(kw_only=True)
class Side:
    """One run of a scenario: in the wild, or with no502."""

    setup: str
    """What was run, in one line."""
    events: list[Event] = field(default_factory=list)
    workers: list[WorkerEvent] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    """nginx's error lines and gunicorn's worth reading, without time and process ids."""

    @property
    def failures(self) -> int:
        """Requests that did not get the response that they should get."""
        return sum(not event.ok for event in self.events)

    @property
    def outcomes(self) -> dict[str, int]:
        """How often each outcome happened, the most frequent first."""
        counts: dict[str, int] = {}
        for event in self.events:
            counts[event.outcome] = counts.get(event.outcome, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def percentile(self, part: float) -> float:
        """Return the latency in seconds that ``part`` (0 to 1) of the requests did not exceed; 0 without requests."""
        latencies = sorted(event.seconds for event in self.events)
        return latencies[min(len(latencies) - 1, int(part * len(latencies)))] if latencies else 0.0
