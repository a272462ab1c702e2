"""What gunicorn's log says about handovers, added up."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from statistics import median

__all__ = ["Handovers", "handovers"]

_SPENT = re.compile(r"handover: worker \d+ has served (\d+) requests")
_ORDERED = re.compile(r"handover: worker \d+ may leave \((\w+)\)")
_LEFT = re.compile(
    r"handover: worker \d+ leaves \((?P<reason>\w+)\) after (?P<seconds>[\d.]+) s: "
    r"(?P<served>\d+) requests served while draining, (?P<cancelled>\d+) cancelled"
)
_GONE = re.compile(r"handover: worker \d+ gone \(\w+\) ([\d.]+) s after the order")
_KILLED = re.compile(r"handover: worker \d+ is killed")
_BOOT_FAILED = re.compile(r"handover: worker \d+ could not boot")


@dataclass(frozen=True)
class Handovers:
    """The summary; all durations in seconds.

    Attributes:
        spent: Workers that reached their number of requests.
        ordered: Workers that were told to leave, by reason.
        left: Workers that drained to the end and left, by reason.
        median_drain: Of those, the median duration of the drain.
        longest_drain: The longest one.
        median_gone: From SIGTERM or the request to drain until the arbiter saw the end of the process, median.
        longest_gone: The longest one.
        served_while_draining: Requests answered by workers that no longer accepted connections.
        cancelled: Requests cancelled at the drain timeout.
        killed: Workers killed because they did not leave in time.
        boot_failures: Replacements that could not boot.
    """

    spent: int
    ordered: dict[str, int]
    left: dict[str, int]
    median_drain: float
    longest_drain: float
    median_gone: float
    longest_gone: float
    served_while_draining: int
    cancelled: int
    killed: int
    boot_failures: int


def handovers(log: str) -> Handovers | None:
    """Add up the handovers in a log; None if there is no trace of any."""
    left = list(_LEFT.finditer(log))
    ordered = Counter(_ORDERED.findall(log))
    if not left and not ordered:
        return None
    drains = [float(match["seconds"]) for match in left] or [0.0]
    gone = [float(seconds) for seconds in _GONE.findall(log)] or [0.0]
    return Handovers(
        spent=len(_SPENT.findall(log)),
        ordered=dict(ordered),
        left=dict(Counter(match["reason"] for match in left)),
        median_drain=median(drains),
        longest_drain=max(drains),
        median_gone=median(gone),
        longest_gone=max(gone),
        served_while_draining=sum(int(match["served"]) for match in left),
        cancelled=sum(int(match["cancelled"]) for match in left),
        killed=len(_KILLED.findall(log)),
        boot_failures=len(_BOOT_FAILED.findall(log)),
    )
