"""How much of the machine other processes used during a measurement."""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["Neighbours"]

_STAT = Path("/proc/stat")


class Neighbours:
    """Compares the machine's processor time with that of this process and its ended children, from now on."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.monotonic(), _busy(), _own()

    def cores(self) -> float | None:
        """Return how many processors others kept busy; None where the system does not say.

        Children count once they have been waited for, so everything started since must have ended.
        """
        busy, seconds = _busy(), time.monotonic() - self._began
        if busy is None or self._busy is None or seconds <= 0:
            return None
        return max(0.0, (busy - self._busy - (_own() - self._own)) / seconds)


def _busy() -> float | None:
    """Return the processor seconds spent on anything but idling since the machine was started."""
    if not _STAT.exists():
        return None
    user, nice, system, _idle, _iowait, irq, softirq = map(int, _STAT.read_text(encoding="ascii").split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
