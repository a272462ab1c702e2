"""What was found in all of the logs together, in memory that does not grow with them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from no502.doctor.logs.access import AccessLog, Statuses
from no502.doctor.logs.busiest import Busiest
from no502.doctor.logs.parse import Line, is_access_line, is_record, parse, printable, shown, spoken, time_of, with_text
from no502.doctor.logs.reading import MAX_LINE
from no502.doctor.logs.timeline import Episode, Timeline
from no502.messages import Message, Severity, messages

__all__ = ["Findings", "Seen", "Window", "classify"]

_FAILURE = 400
_SERIOUS = {"error", "crit", "alert", "emerg"}
_VARIES = re.compile(r"(?<=/)(?:\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,})(?=/|$)")
_MOST_CACHED = 4096
_MOST_ORIGINALS = 64
_AT_START = {"emerg", "alert"}
"""Levels that nginx writes both to its log and to standard error while it starts."""


@dataclass
class Seen:
    """The lines of one message."""

    message: Message
    count: int = 0
    first: str | None = None
    last: str | None = None
    methods: dict[str, int] = field(default_factory=dict)
    uris: Busiest = field(default_factory=Busiest)
    upstreams: Busiest = field(default_factory=lambda: Busiest(32))
    texts: Busiest = field(default_factory=lambda: Busiest(8))
    """The lines' own words, without numbers and quoted parts."""
    originals: dict[str, str] = field(default_factory=dict)
    """Those words -> the first such line, whose numbers are real."""
    failed: int = 0
    """Lines whose request ended with a status of 400 or more."""
    saved: int = 0
    """Lines whose request was retried and ended below 400: no client saw an error."""

    def quoted(self, count: int) -> list[tuple[str, int]]:
        """Return the most frequent texts, each as one of its lines has it, with how many lines are like it."""
        return [(self.originals.get(words, words), number) for words, number in self.texts.top(count)]

    @property
    def harmless(self) -> bool:
        """Whether it is only an event, or the access log shows that no client saw any of it."""
        return self.message.severity is Severity.INFO or (self.count > 0 and self.saved == self.count)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, both ends as ``YYYY-MM-DD HH:MM:SS``; empty: open."""

    since: str = ""
    until: str = ""

    def has(self, time: str) -> bool:
        """Return whether a time is in it."""
        return self.since <= time and (not self.until or time <= self.until)

    @property
    def open(self) -> bool:
        """Whether it has no end at either side."""
        return not self.since and not self.until


def classify(line: Line) -> Message | None:
    """Return the known message that a line is, the most specific first."""
    for message in messages():
        if message.nginx is line.nginx and any(
            shape.fits(line.record if shape.raw else line.text, line.errno, line.phase, line.level)
            for shape in message.shapes
        ):
            return message
    return None


class Findings:
    """Counts messages line by line.

    Args:
        access: The access log, read before; None: lines are not paired.
        window: Lines outside are left out; a line without a time belongs to the line before it.
    """

    def __init__(self, access: AccessLog | None = None, window: Window | None = None) -> None:
        self.access = access
        self.lines = 0
        self.cut = 0
        """Lines longer than ``MAX_LINE``."""
        self.seen: dict[str, Seen] = {}
        self.unknown = Busiest(64)
        """Messages that are not in the catalogue, without their fields: nginx's at level error or above, gunicorn's
        and uvicorn's at ERROR or CRITICAL."""
        self.recognised = 0
        """Lines that are messages of a known program, in the catalogue or not."""
        self.statuses = Statuses()
        """Access lines among the others."""
        self.strange = 0
        """Lines that are none of these: of no known program, and not empty."""
        self.heard = 0
        """Lines that gunicorn or uvicorn wrote, in the catalogue or not."""
        self.is_log = False
        """Whether any line looks like one of a log, of whatever program."""
        self.inside = 0
        """Lines with a time that is in the window; counted where it has an end."""
        self.outside = 0
        self.earliest = self.latest = ""
        """The times outside of the window."""
        self.timeline = Timeline()
        self._window = window or Window()
        self._inside = True
        self._time: str | None = None
        self._cache: dict[tuple[str, str], tuple[Message | None, str]] = {}
        self._at_start: dict[str, int] = {}
        self._episodes: tuple[int, list[Episode]] | None = None

    def next_file(self) -> None:
        """Begin another file: its first lines belong to no line before them."""
        self._inside = True
        self._time = None

    def read(self, raw_lines: list[bytes]) -> None:
        """Take in a batch of lines."""
        self.lines += len(raw_lines)
        for raw in raw_lines:
            if len(raw) >= MAX_LINE:
                self.cut += 1
            self.take(raw[:MAX_LINE])

    def take(self, raw: bytes) -> tuple[Line, Message] | None:
        """Take in a line; return it with its message if it is one of the catalogue."""
        raw = with_text(raw)
        if not self._window.open:
            self._place(time_of(raw))
            if not self._inside:
                return None
        line = parse(raw)
        if line is None:
            if is_access_line(raw):
                self.is_log = True
                self.statuses.take(raw)
                self._hear(raw)
            elif self._hear(raw):
                self.is_log = True
            elif raw.strip():
                self.strange += 1
                self.is_log = self.is_log or is_record(raw)
            return None
        self.is_log = self.is_log or line.nginx or line.server or is_record(raw)
        heard = not line.nginx and self._hear(raw)
        if line.time is None and not line.nginx:  # a traceback's last line belongs to the record above it
            line = replace(line, time=self._time)
        else:
            self._time = line.time
        message, words = self._look_up(line)
        if message is None:
            self._unknown(line, heard=heard)
            return None
        self.recognised += 1
        self.is_log = True
        if line.level in _AT_START and self._again(line):
            return None
        self._count(line, message, words)
        return line, message

    def _place(self, time: str | None) -> None:
        """Take note of whether the lines from here on are in the window; one without a time changes nothing."""
        if time is None:
            return
        self.is_log = True
        self._inside = self._window.has(time)
        if self._inside:
            self.inside += 1
            return
        self.outside += 1
        self.earliest = min(self.earliest or time, time)
        self.latest = max(self.latest, time)

    def _hear(self, raw: bytes) -> bool:
        said = spoken(raw)
        if said is not None:
            self.heard += 1
            self.timeline.hear(said, time_of(raw))
        return said is not None

    def found(self) -> Iterable[Seen]:
        """Return what was seen: errors, warnings, then events; the most frequent first."""
        order = list(Severity)
        return sorted(
            self.seen.values(), key=lambda s: (s.harmless, order.index(s.message.severity), -s.count, s.message.id)
        )

    def episodes(self) -> list[Episode]:
        """Return what happened, in the order of time; worked out once for the same number of lines."""
        if self._episodes is None or self._episodes[0] != self.lines:
            self._episodes = self.lines, self.timeline.episodes()
        return self._episodes[1]

    def _unknown(self, line: Line, *, heard: bool) -> None:
        self.recognised += line.nginx or line.server
        self.strange += not (line.nginx or line.server or heard)
        if line.server or (line.nginx and line.level in _SERIOUS):
            self.unknown.add(printable(re.sub(r"\d+", "N", line.text), 160))

    def _again(self, line: Line) -> bool:
        """Return whether the line is the second copy of an event.

        When nginx starts it writes the same [emerg] to its log and to standard error, with and without ``nginx:``.
        """
        step = 1 if line.terminal else -1
        before = self._at_start.get(line.text, 0)
        if len(self._at_start) >= _MOST_CACHED:
            self._at_start.clear()
        self._at_start[line.text] = before + step
        return before * step < 0

    def _count(self, line: Line, message: Message, words: str) -> None:
        seen = self.seen.setdefault(message.id, Seen(message))
        seen.count += 1
        seen.texts.add(words)
        if words not in seen.originals and len(seen.originals) < _MOST_ORIGINALS:
            record = any(shape.raw for shape in message.shapes)
            seen.originals[words] = words if record else shown(line.text)
        if line.time is not None:
            seen.first = line.time if seen.first is None else min(seen.first, line.time)
            seen.last = line.time if seen.last is None else max(seen.last, line.time)
        request, saved = "", False
        if line.method:
            method = line.method if line.method in _METHODS else "other"
            request = f"{method} {_path(line.uri)}"
            seen.methods[method] = seen.methods.get(method, 0) + 1
            seen.uris.add(request)
            if self.access is not None:
                outcome = self.access.outcome(line.connection, line.method, line.uri, line.time)
                saved = outcome is not None and outcome.status < _FAILURE
                seen.failed += outcome is not None and outcome.status >= _FAILURE
                seen.saved += saved
        server = _server(line.upstream) if line.upstream else ""
        if server:
            seen.upstreams.add(server)
        if not saved:
            self.timeline.add(line, message, request, server)

    def _look_up(self, line: Line) -> tuple[Message | None, str]:
        key = line.text, line.record
        if key not in self._cache:
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            message = classify(line)
            record = message is not None and any(shape.raw for shape in message.shapes)
            self._cache[key] = message, message.title if message and record else _words(line.text)
        return self._cache[key]


def _words(text: str) -> str:
    """Return a line without what varies; the number in ``(N: ...)`` stays, and quoted parts may hold secrets."""
    return printable(re.sub(r"(?<!\()\b\d+", "N", re.sub(r'"[^"]*"', '"..."', text)), 160)


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def _path(uri: str) -> str:
    """Return the path without its query (it may hold secrets) and with numbers, UUIDs and long hex as ``{id}``."""
    return _VARIES.sub("{id}", printable(uri.partition("?")[0], 120))


def _server(upstream: str) -> str:
    """Return scheme and address of nginx's ``upstream`` field, without the path."""
    scheme, _, rest = upstream.partition("://")
    if rest.startswith("unix:"):
        return printable(f"{scheme}://{rest.rpartition(':')[0] if rest.count(':') > 1 else rest}", 120)
    return printable(f"{scheme}://{rest.partition('/')[0]}", 120)
