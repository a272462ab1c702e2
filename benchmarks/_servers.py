"""A running peer, and what its log says."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from _cpu import children, own_seconds, tree_seconds
from _process import Running

if TYPE_CHECKING:
    from _peers import Peer, Setup

__all__ = ["Server", "trouble"]

_HERE = Path(__file__).resolve().parent
_SECONDS_TO_STOP = 60.0
_TROUBLE = re.compile(r"\[(?:WARNING|ERROR|CRITICAL)\]|^(?:WARNING|ERROR|CRITICAL):|^Traceback|\bTIMEOUT\b")
_PREFIX = re.compile(r"^\[\d{4}-[^\]]*\] \[\d+\] ")
_KINDS_KEPT = 12


class Server(Running):
    """A peer, as long as the ``with`` block lasts.

    Args:
        peer: Which one.
        setup: How.
        directory: Where its log is written and its home is.
    """

    def __init__(self, peer: Peer, setup: Setup, directory: Path) -> None:
        self.peer = peer
        directory.mkdir(parents=True)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join([str(_HERE), str(_HERE.parent)]),
            "PYTHONUNBUFFERED": "1",  # the log is read while it is written
            **peer.environment(setup),
        }
        self._generation = 1
        super().__init__(peer.command(setup), log=directory / "server.log", env=environment, directory=directory)

    def start(self) -> None:
        """Start it and wait until every worker serves."""
        self._generation = self.generations()[0] + 1
        super().start()

    def restart(self) -> None:
        """Stop it as its operator would (SIGTERM, and wait), start it again, wait until every worker serves."""
        self.stop(seconds=_SECONDS_TO_STOP)
        self.start()

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes so far."""
        return tree_seconds(self.pid)

    def boot_cpu_seconds(self) -> float:
        """Return the processor time of a worker so far, the mean of all; right after the start that is the boot's."""
        workers = children(self.pid)
        return sum(map(own_seconds, workers)) / len(workers) if workers else 0.0

    def generations(self) -> tuple[int, int]:
        """Count whole generations of workers by the log: ready so far, gone so far (all but one if it does not say)."""
        log, peer = self.log(), self.peer
        ready = len(re.findall(peer.ready, log)) // peer.workers
        return ready, ready - 1 if peer.gone is None else len(re.findall(peer.gone, log)) // peer.workers

    def _serves(self) -> bool:
        return self.generations()[0] >= self._generation


def trouble(log: str) -> dict[str, int]:
    """Count the lines of a log above the level ``info``, numbers blanked, the most frequent first."""
    lines = (_PREFIX.sub("", line) for line in log.splitlines() if _TROUBLE.search(line))
    return dict(Counter(re.sub(r"\d+", "N", line) for line in lines).most_common(_KINDS_KEPT))
