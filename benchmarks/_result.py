"""What one measurement gave, and what was between nginx and the peer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _handovers import Handovers
    from _outcome import Outcome

__all__ = ["Result", "Upstream", "recycling"]


@dataclass(frozen=True)
class Upstream:
    """What is between nginx and a peer.

    Attributes:
        socket: ``tcp`` or ``unix``.
        pool: Whether nginx keeps connections to the peer.
        instances: How many of the peer there are.
        max_fails: nginx leaves an instance out for a second after so many failures; 0 is never. It does not apply to
            a single one.
    """

    socket: str = "tcp"
    pool: bool = True
    instances: int = 1
    max_fails: int = 1

    def __str__(self) -> str:
        """Say what differs from one instance with kept TCP connections."""
        words = (
            *(["unix socket"] if self.socket == "unix" else []),
            *([] if self.pool else ["no pool"]),
            *([f"{self.instances} instances"] if self.instances > 1 else []),
            *(["max_fails=0"] if self.instances > 1 and not self.max_fails else []),
        )
        return ", ".join(words)


@dataclass(frozen=True)
class Result:
    """What one measurement gave.

    Attributes:
        peer: Its name.
        mode: How the load was offered.
        max_requests: Requests after which a worker was to be replaced; 0 is never.
        outcome: What became of the requests.
        warm_up_lost: Requests lost before the measurement, which are not part of it.
        booted: Workers booted while it lasted.
        handovers: What the log says about handovers while it lasted; None if there were none.
        nginx_errors: nginx's error log, lines by kind.
        server_trouble: The peer's log, lines above ``info`` by kind.
        neighbours: Processors that were kept busy by others meanwhile; None if unknown.
        upstream: What was between nginx and the peer.
        cpu_seconds: Processor time of all the peer's processes while the load lasted.
        boot_cpu_seconds: Processor time that one worker took to boot, before the load.
        reloads: Seconds from each SIGHUP until the log said that the old workers were gone.
        note: Why it is not complete, or how it was run.
    """

    peer: str
    mode: str
    max_requests: int
    outcome: Outcome
    warm_up_lost: int
    booted: int
    handovers: Handovers | None
    nginx_errors: dict[str, int]
    server_trouble: dict[str, int]
    neighbours: float | None
    upstream: Upstream = Upstream()
    cpu_seconds: float = 0.0
    boot_cpu_seconds: float = 0.0
    reloads: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def server(self) -> str:
        """The peer, and what is unusual between it and nginx."""
        return ", ".join(filter(None, (self.peer, str(self.upstream))))


def recycling(max_requests: int) -> str:
    """Return in words after how many requests workers are replaced; 0 is never."""
    return f"recycling every {max_requests:,}" if max_requests else "no recycling"
