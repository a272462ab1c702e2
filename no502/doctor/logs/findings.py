"""What was found in all of the logs together, in memory that does not grow with them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from no502.doctor.logs.access import AccessLog
from no502.doctor.logs.busiest import Busiest
from no502.doctor.logs.message import Message, Severity
from no502.doctor.logs.parse import Line, parse, printable
from no502.doctor.logs.reading import MAX_LINE
from no502.doctor.logs.table import APPLICATION, NGINX

__all__ = ["Findings", "Seen", "classify"]

_FAILURE = 400
_SERIOUS = {"error", "crit", "alert", "emerg"}
_VARIES = re.compile(r"(?<=/)(?:\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,})(?=/|$)")
_MOST_CACHED = 4096


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
    failed: int = 0
    """Lines whose request ended with a status of 400 or more."""
    saved: int = 0
    """Lines whose request was repeated and ended below 400: nobody saw an error."""

    @property
    def harmless(self) -> bool:
        """Whether it is only news, or the access log shows that no client saw any of it."""
        return self.message.severity is Severity.INFO or (self.count > 0 and self.saved == self.count)


def classify(line: Line) -> Message | None:
    """Return the known message that a line is, the most specific first."""
    for message in NGINX if line.nginx else APPLICATION:
        if any(shape.fits(line.text, line.errno, line.phase) for shape in message.shapes):
            return message
    return None


class Findings:
    """Counts messages line by line.

    Args:
        access: The access log, read before; None: lines are not paired.
    """

    def __init__(self, access: AccessLog | None = None) -> None:
        self.access = access
        self.lines = 0
        self.cut = 0
        """Lines longer than ``MAX_LINE``."""
        self.seen: dict[str, Seen] = {}
        self.unknown = Busiest(64)
        """Messages of nginx at level error or above that are not in the table, without their fields."""
        self._cache: dict[str, tuple[Message | None, str]] = {}
        self.recognised = 0
        """Lines that are messages of nginx, gunicorn or uvicorn, known or not."""

    def read(self, raw_lines: list[bytes]) -> None:
        """Take in a batch of lines."""
        self.lines += len(raw_lines)
        for raw in raw_lines:
            if len(raw) >= MAX_LINE:
                self.cut += 1
            line = parse(raw[:MAX_LINE])
            if line is not None:
                self.recognised += 1
                self._take(line)

    def found(self) -> Iterable[Seen]:
        """Return what was seen: errors, warnings, then news; the most frequent first."""
        order = list(Severity)
        return sorted(
            self.seen.values(), key=lambda s: (s.harmless, order.index(s.message.severity), -s.count, s.message.id)
        )

    def _take(self, line: Line) -> None:
        message, words = self._look_up(line)
        if message is None:
            if line.nginx and line.level in _SERIOUS:
                self.unknown.add(printable(re.sub(r"\d+", "N", line.text), 160))
            return
        seen = self.seen.setdefault(message.id, Seen(message))
        seen.count += 1
        seen.texts.add(words)
        if line.time is not None:
            seen.first = line.time if seen.first is None else min(seen.first, line.time)
            seen.last = line.time if seen.last is None else max(seen.last, line.time)
        if line.method:
            method = line.method if line.method in _METHODS else "other"
            seen.methods[method] = seen.methods.get(method, 0) + 1
            seen.uris.add(f"{method} {_path(line.uri)}")
            if self.access is not None:
                outcome = self.access.outcome(line.connection, line.method, line.uri, line.time)
                seen.failed += outcome is not None and outcome.status >= _FAILURE
                seen.saved += outcome is not None and outcome.status < _FAILURE
        if line.upstream:
            seen.upstreams.add(_server(line.upstream))

    def _look_up(self, line: Line) -> tuple[Message | None, str]:
        key = line.text
        if key not in self._cache:
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            self._cache[key] = classify(line), _words(line.text)
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
