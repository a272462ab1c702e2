"""Which known name a wrong one may stand for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "did_you_mean", "near"]

_MOST = 3
_PART = 3
"""Letters from which on a word is looked for inside the names."""
_CLOSE = 0.6


def closest(word: str, known: Iterable[str], *, cutoff: float = _CLOSE) -> str | None:
    """Return the most similar known name, or None.

    Args:
        word: What was written.
        known: The names that there are.
        cutoff: How similar it must be, from 0 (anything) to 1 (the same).
    """
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def near(word: str, known: Iterable[str]) -> list[str]:
    """Return the known names that a word may mean: those that contain it, else the closest one; at most 3."""
    names = list(known)
    lower = word.lower()
    if len(lower) >= _PART and (holding := [name for name in names if lower in name.lower()]):
        return holding[:_MOST]
    found = closest(lower, names)
    return [] if found is None else [found]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message, ``; did you mean NAME?``; empty where no name is near."""
    found = near(word, known)
    return f"; did you mean {' or '.join(found)}?" if found else ""
