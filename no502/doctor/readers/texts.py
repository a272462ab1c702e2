"""Reading somebody's file: bounded, and never an exception."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from no502.doctor.model import Deployment, Origin, Problem

__all__ = ["read_environment", "read_text", "shown_path"]

_LARGEST = 4_000_000


def shown_path(path: Path, base: Path) -> str:
    """Return a path relative to ``base`` where it is below it."""
    try:
        return path.resolve().relative_to(base.resolve()).as_posix()
    except (ValueError, OSError):
        return str(path)


def read_text(path: Path, base: Path, deployment: Deployment, *, rule: str = "C001") -> str | None:
    """Return a file's text and note that it was looked at; None with a problem where it cannot be read."""
    shown = shown_path(path, base)
    try:
        if path.stat().st_size > _LARGEST:
            message = f"more than {_LARGEST} bytes: too large to be a deployment's file"
            deployment.problems.append(Problem(rule=rule, message=message, origin=Origin(file=shown)))
            return None
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        deployment.problems.append(Problem(rule=rule, message=message, origin=Origin(file=shown)))
        return None
    if shown not in deployment.looked_at:
        deployment.looked_at.append(shown)
    return text


def read_environment(path: Path) -> Mapping[str, str]:
    """Return the variables of an ``.env`` file; nothing where it cannot be read."""
    logging.getLogger("dotenv.main").setLevel(logging.ERROR)  # its warnings would stand in the report
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return {}
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError):
        return {}
