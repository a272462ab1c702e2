"""Processor time of a server with everything that it has started."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["children", "own_seconds", "tree_seconds"]

_TICK = os.sysconf("SC_CLK_TCK")
_USER, _CHILDREN_SYSTEM = 11, 14  # fields of /proc/PID/stat after the name: utime, stime, cutime, cstime


def tree_seconds(pid: int) -> float:
    """Return user and system seconds of a process, of its living descendants, and of the children that have ended."""
    return sum(_times(pid)) + sum(tree_seconds(child) for child in children(pid))


def own_seconds(pid: int) -> float:
    """Return user and system seconds of the process alone; 0 if it has ended."""
    return sum(_times(pid)[:2])


def children(pid: int) -> list[int]:
    """Return the living children of a process's first thread."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _times(pid: int) -> list[float]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return [0.0]
    return [int(field) / _TICK for field in fields[_USER : _CHILDREN_SYSTEM + 1]]
