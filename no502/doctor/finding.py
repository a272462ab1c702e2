"""What a rule says about a deployment: one mismatch, both of its sides, what users see and what to do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from no502.doctor.model import Origin

__all__ = ["Confidence", "Edit", "Finding", "Severity"]


class Severity(StrEnum):
    """What users see if the finding is right."""

    ERROR = "error"
    """Requests fail with 502 or 504 in normal operation, or the deployment does not start."""
    WARNING = "warning"
    """They fail under load, while idle or during a deployment, or the application gets a wrong scheme or address."""
    INFO = "info"
    """A risk that files alone cannot decide."""

    @property
    def rank(self) -> int:
        """0 for the most severe."""
        return list(Severity).index(self)


class Confidence(StrEnum):
    """What the finding depends on."""

    CERTAIN = "certain"
    VERSION = "depends on the version of nginx"
    LIKELY = "likely"
    """The files do not name each other; what they say only fits together in one way."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A change at one line that leaves the rest of the file as it is."""

    file: str
    line: int | None
    """1-based; None is the end of the file."""
    substitutions: tuple[tuple[str, str], ...] = ()
    """Regular expressions and what replaces their match; the first that matches is used, once."""
    within: int = 1
    """How many lines from ``line`` on may hold the match: a command can go on over several."""
    insert: str = ""
    """Line to add after ``line`` instead; ``{indent}`` stands for that line's indentation."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One mismatch."""

    rule: str
    severity: Severity
    message: str
    """Both sides in one sentence."""
    where: Origin
    """The line to change."""
    confidence: Confidence = Confidence.CERTAIN
    related: tuple[tuple[Origin, str], ...] = ()
    """The other side, each with what it says."""
    consequence: str = ""
    """What the user of the service sees, and the log line."""
    fix: str = ""
    edits: tuple[Edit, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What a baseline knows the finding by: everything but line numbers."""
        text = f"{self.rule}\0{self.where.file}\0{self.message}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]
