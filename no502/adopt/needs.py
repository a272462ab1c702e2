"""What the copies need where they run, as this installation's own metadata says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import metadata, requires

from packaging.requirements import Requirement

__all__ = ["least_of", "needed", "oldest_python"]

_NAMES = ("gunicorn", "uvicorn", "python-dotenv")
"""In the order in which they are told."""


@cache
def needed() -> Mapping[str, Requirement]:
    """Return what the core of no502 requires, by name."""
    found = {one.name: one for one in map(Requirement, requires("no502") or ()) if one.marker is None}
    return {name: found[name] for name in _NAMES}


def least_of(name: str) -> str:
    """Return the lowest version of one of them that is enough."""
    [specifier] = needed()[name].specifier
    return specifier.version


@cache
def oldest_python() -> tuple[int, int]:
    """Return the oldest Python on which the copies run."""
    major, minor = re.findall(r"\d+", str(metadata("no502")["Requires-Python"]))
    return int(major), int(minor)
