"""The recorded run of the lab, and which message of the catalogue each of its log lines is."""

import json
import re
from pathlib import Path
from typing import Any

from no502.lab import text

__all__ = ["RECORDED", "anchor", "counted", "message_of", "recorded"]

RECORDED = Path(__file__).resolve().parent.parent / "docs" / "lab" / "recorded.json"
_COUNTED = re.compile(r"(\d+) x (.+)")


def recorded() -> dict[str, Any]:
    """Return what ``no502 lab --json`` printed."""
    data: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return data


def counted(side: dict[str, Any]) -> str:
    """Return what the clients of a side got, such as ``1448 x 200, 88 x 502``."""
    return ", ".join(f"{count:,} x {outcome}" for outcome, count in side["outcomes"].items())


def message_of(line: str) -> str:
    """Return the id of the message that a line of the lab is.

    Args:
        line: Such as ``12 x nginx: [error] no live upstreams while connecting to upstream``.

    Raises:
        ValueError: The catalogue does not have it.
    """
    found = _COUNTED.fullmatch(line)
    message = text.message_of(found[2] if found else line)
    if not message:
        problem = f"the catalogue does not have this line of the lab: {line}"
        raise ValueError(problem)
    return message


def anchor(title: str) -> str:
    """Return the anchor that the site gives a heading; the strict build of the site knows if it is another one."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())
