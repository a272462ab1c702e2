"""What is known about one log message: how to recognise it, what it means, how to check it, what to change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

__all__ = ["Message", "Service", "Severity", "Shape"]


class Severity(StrEnum):
    """What a line of this kind says about the service; the level at which the program writes it is another thing."""

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
    contains: Sequence[str] = ()
    """Texts that all occur in it."""
    ends: str = ""
    """What the message ends with; empty: anything."""
    without: str = ""
    """A text that does not occur in it; empty: none is excluded."""
    errnos: frozenset[int] | None = None
    """The number in ``(N: text)``; None: any, or none."""
    phases: frozenset[str] | None = None
    """nginx's ``while ...``, up to the comma; None: any, or none."""
    levels: frozenset[str] | None = None
    """nginx's level; None: any."""
    raw: bool = False
    """Whether the whole line is compared, JSON and prefixes included: for logs that are records, not messages."""

    def fits(self, text: str, errno: int | None, phase: str, level: str) -> bool:
        """Return whether a message has this shape; ``phase`` and ``level`` are empty where it has none."""
        return (
            text.startswith(self.starts)
            and all(part in text for part in self.contains)
            and text.endswith(self.ends)
            and not (self.without and self.without in text)
            and (self.errnos is None or errno in self.errnos)
            and (self.phases is None or phase in self.phases)
            and (self.levels is None or level in self.levels)
        )


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a message means in a service that ``no502 new`` generated: one of the causes that ``ops/diagnose`` names."""

    cause: str
    """Its name, also the anchor of its section in ``ops/runbook.md``; several messages may share one."""
    says: str = ""
    """The cause in one line; empty: another message of the same cause says it."""
    mild: bool = False
    """Whether it is a warning of ``ops/diagnose`` and no problem."""
    section: Mapping[str, str]
    """``Means``, ``Do`` and ``Verify``, as Markdown; what is missing is taken from the message."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One file of the catalogue."""

    id: str
    """``L`` and three digits; never reused. 9: nginx and the application servers, 8: what runs them, 7: the proxies in
    front of nginx, 6: no502's own parts."""
    slug: str
    """Name of the file and of the page."""
    programs: Sequence[str]
    """The programs that write it."""
    levels: Sequence[str]
    """The levels at which they write it, in the program's own spelling; empty: it has none."""
    severity: Severity
    shapes: Sequence[Shape]
    title: str
    """Title of its page: the message itself, or where no text identifies it, what people call it."""
    texts: Sequence[str]
    """The message as it stands in the log, ``...`` for what varies."""
    symptoms: Sequence[str]
    """Keys of ``SYMPTOMS``: what a client or operator sees."""
    cause: str
    """What happened, as Markdown: the text before the first heading."""
    sections: Mapping[str, Sequence[str]]
    """Heading -> its list: ``Causes`` in order of likelihood, ``Check``, ``Immediate fix``, ``Permanent fix``."""
    get: str
    """What the client of a GET (HEAD, PUT, DELETE) gets, and when."""
    post: str
    """What the client of a POST (PATCH, LOCK) gets, and when."""
    rules: Sequence[str]
    """Rules of ``no502 doctor`` that find the reason in files."""
    scenarios: Sequence[str]
    """Scenarios of ``no502 lab`` in which it appears."""
    versions: str
    """What depends on the version; empty: nothing that is known."""
    source: str
    """How it was seen or where it is written, with the figure."""
    file: Path
    """Where it is written."""
    names: Sequence[str] = ()
    """What people call it who do not have its text."""
    frequent: bool = False
    """Whether it is one of those that most people search for: the site's search puts it first."""
    last: bool = False
    """Whether it is a general form that is tried after all others."""
    decided: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    """What other lines can decide -> heading -> numbers of the items that then remain, from 1."""
    service: Service | None = None
    """Its cause in a generated service; None: ``ops/diagnose`` does not look for it."""

    def remaining(self, reasons: Collection[str]) -> Mapping[str, Sequence[str]]:
        """Return the sections, of the causes and fixes only those that are left when other lines decide.

        Args:
            reasons: What other lines say about each occurrence; one that is not in ``decided`` leaves every item.
        """
        if not reasons or not set(reasons) <= set(self.decided):
            return self.sections
        left: dict[str, Sequence[str]] = {}
        for heading, items in self.sections.items():
            kept = {number for reason in reasons for number in self.decided[reason].get(heading, ())}
            left[heading] = (
                items if heading == "Check" else [item for number, item in enumerate(items, 1) if number in kept]
            )
        return left

    @property
    def page(self) -> str:
        """Path of its page below the documentation."""
        return f"errors/{self.slug}.md"

    @property
    def source_path(self) -> str:
        """Path of its file in a checkout."""
        return f"no502/messages/{self.file.parent.name}/{self.file.name}"

    @property
    def nginx(self) -> bool:
        """Whether nginx writes it."""
        return self.programs[0] == "nginx"
