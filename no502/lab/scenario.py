"""What a scenario is, and what running it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from no502.lab.side import Side
from no502.lab.stage import Stage

__all__ = ["Result", "Scenario"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One cause of failures between nginx and gunicorn."""

    name: str
    title: str
    cause: str
    """Why it happens, in a few sentences."""
    change: str
    """What no502 does differently."""
    logged: Sequence[str]
    """Ids of the messages (``no502.messages``) that belong to it; empty where nothing is logged."""
    wild: Callable[[Stage], Side]
    fixed: Callable[[Stage], Side]
    quiet: bool = False
    """Whether both sides may play at the same time: they wait more than they work."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Both sides of a scenario."""

    scenario: Scenario
    wild: Side
    fixed: Side

    @property
    def reproduced(self) -> bool:
        """Whether the failure was seen in the wild."""
        return self.wild.failures > 0

    @property
    def removed(self) -> bool:
        """Whether no request failed with no502."""
        return self.fixed.failures == 0 and bool(self.fixed.events)
