"""A text that stands inside a file of another kind."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Inline"]


@dataclass(frozen=True)
class Inline:
    """A configuration that stands inside another file, such as a ConfigMap."""

    text: str
    shown: str
    """The file around it."""
    before: int
    """Lines of that file before it."""
