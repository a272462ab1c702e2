"""Reading a foreign file: bounded, and never an exception."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from no502.doctor.model import Deployment, NotChecked, Origin
from no502.doctor.reach import Reach

__all__ = ["not_read", "read_environment", "read_text", "shown_path"]


def shown_path(path: Path, base: Path) -> str:
    """Return a path relative to ``base`` where it is below it."""
    try:
        return path.resolve().relative_to(base.resolve()).as_posix()
    except (ValueError, OSError, RuntimeError):
        return str(path)


def read_text(path: Path, base: Path, deployment: Deployment) -> str | None:
    """Return a file's text and note that it was looked at; None with a line of the report where it cannot be read."""
    shown = shown_path(path, base)
    found, why = deployment.reach.read(path)
    if found is None:
        not_read(deployment, shown if deployment.reach.allows(path) else str(path.name), why)
        return None
    if shown not in deployment.looked_at:
        deployment.looked_at.append(shown)
    return found.decode("utf-8-sig", errors="replace")


def not_read(deployment: Deployment, shown: str, why: str) -> None:
    """Note that a file of the deployment could not be read, once."""
    gap = NotChecked(what=shown, why=why, origin=Origin(file=shown))
    deployment.leave_out(gap)
    if shown not in deployment.unreadable:
        deployment.unreadable.append(shown)


def read_environment(path: Path, reach: Reach) -> Mapping[str, str]:
    """Return the variables of an ``.env`` file; nothing where it cannot be read."""
    logging.getLogger("dotenv.main").setLevel(logging.ERROR)  # its warnings would stand in the report
    found = reach.read(path)[0] if reach.has(path) else None
    if found is None:
        return {}
    values = dotenv_values(stream=io.StringIO(found.decode("utf-8-sig", errors="replace")), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}
