"""What is known about one log message: how to recognise it, what it means, how to prove it, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Message", "Severity", "Shape"]


class Severity(StrEnum):
    """What a line of this kind says about the service."""

    ERROR = "error"
    """A client got an error, or the service does not run."""
    WARNING = "warning"
    """It takes part in errors: another line or the access log shows whether one happened."""
    INFO = "info"
    """An event that explains others, or a client's own doing."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How to recognise a message without libc's wording ("Connection timed out", "Operation timed out" ...)."""

    starts: str = ""
    """What the message begins with, after nginx's ``*N`` or gunicorn's ``[LEVEL]``; empty: anything."""
    contains: str = ""
    """What stands somewhere in it; empty: anything."""
    errnos: frozenset[int] | None = None
    """The number in ``(N: text)``; None: any, or none."""
    phases: frozenset[str] | None = None
    """nginx's ``while ...``, up to the comma; None: any, or none."""

    def fits(self, text: str, errno: int | None, phase: str) -> bool:
        """Tell whether a message has this shape; ``phase`` is empty where the message has none."""
        return (
            text.startswith(self.starts)
            and self.contains in text
            and (self.errnos is None or errno in self.errnos)
            and (self.phases is None or phase in self.phases)
        )


@dataclass(frozen=True, kw_only=True)
class Message:
    """One row of the error index."""

    id: str
    """``L9`` and two digits; never reused."""
    slug: str
    program: str
    """Who writes it: ``nginx`` or ``gunicorn, uvicorn``."""
    severity: Severity
    shapes: Sequence[Shape]
    text: Sequence[str]
    """The message as it stands in the log, ``...`` for what varies."""
    cause: str
    """What happened."""
    get: str
    """What the client of a GET (HEAD, PUT, DELETE) sees."""
    post: str
    """What the client of a POST (PATCH, LOCK) sees."""
    prove: Sequence[str]
    """Steps that tell this cause from its neighbours; commands stand in backquotes."""
    fix: Sequence[str]
    rules: Sequence[str] = ()
    """Rules of ``no502 doctor`` that find the reason in files."""
    versions: str = ""
    """What depends on the version; empty: nothing that is known."""
    evidence: str = ""
    """How it was reproduced, with the figure."""

    @property
    def anchor(self) -> str:
        """Where the documentation has it."""
        return f"error-index.md#{self.id.lower()}"
