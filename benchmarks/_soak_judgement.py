"""What a soak must show at its end, as functions of what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Loss", "Sample", "descriptor_problem", "loss_problem", "memory_problem", "split_losses"]

_AFTER_KILL = 2.0  # seconds in which what a killed worker had in flight comes to light
_MOMENT = 0.5  # seconds that may pass between the note of a kill and the death
_GROWTH = 1.25
_QUARTER = 4


@dataclass(frozen=True)
class Loss:
    """A request that did not get its answer: when it was sent and when that was clear, in seconds of the soak."""

    sent: float
    ended: float
    what: str


@dataclass(frozen=True)
class Sample:
    """The server's processes at one moment: memory in bytes, open descriptors of the master, workers."""

    at: float
    memory: int
    descriptors: int
    workers: int


def split_losses(losses: Sequence[Loss], kills: Sequence[float]) -> tuple[list[Loss], list[Loss]]:
    """Return the losses that a SIGKILL explains (in flight at that moment), and those that nothing does."""
    explained = [loss for loss in losses if any(_hit(loss, kill) for kill in kills)]
    return explained, [loss for loss in losses if loss not in explained]


def _hit(loss: Loss, kill: float) -> bool:
    return loss.sent <= kill + _MOMENT and kill <= loss.ended <= kill + _AFTER_KILL


def loss_problem(unexplained: Sequence[Loss]) -> str:
    """Return what is wrong with losses that nothing explains; empty if there are none."""
    if not unexplained:
        return ""
    shown = ", ".join(f"{loss.what} at {loss.sent:.1f} s" for loss in unexplained[:5])
    return f"{len(unexplained)} requests lost without a killed worker: {shown}"


def memory_problem(samples: Sequence[Sample]) -> str:
    """Compare the last quarter's memory per worker with the second's; the first warms up."""
    quarter = len(samples) // _QUARTER
    if quarter == 0:
        return "too few samples of the memory"
    per_worker = [sample.memory / max(1, sample.workers + 1) for sample in samples]
    early, late = median(per_worker[quarter : 2 * quarter]), median(per_worker[-quarter:])
    if late <= early * _GROWTH:
        return ""
    return f"memory per process grew from {early / 2**20:.0f} to {late / 2**20:.0f} MiB"


def descriptor_problem(first: int, last: int) -> str:
    """Compare the master's open descriptors at rest, before and after."""
    return "" if last <= first else f"the master had {first} open descriptors at rest and has {last} now"
