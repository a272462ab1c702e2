"""Access logs: what clients really got for the requests that the error log names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from no502.doctor.logs.busiest import Busiest
from no502.doctor.logs.parse import printable, time_of

__all__ = ["COMBINED_STATUS", "JSON_STATUS", "MOST_REMEMBERED", "AccessLog", "Outcome", "Statuses"]

MOST_REMEMBERED = 250_000
"""Requests that are kept for pairing (about 60 MB); the rest is only counted, and the report says so."""

COMBINED_STATUS = re.compile(rb'" (413|499|5\d\d)(?: |$)')
JSON_STATUS = re.compile(rb'"status": ?"?(413|499|5\d\d)\b')
"""A status of an error in a line of an access log, in the two kinds of format."""

_ERROR = 400
_LEFT = 499
_GATEWAY = (502, 504)
_COMBINED = re.compile(rb'"([A-Z]{1,20}) (\S+) HTTP/[\d.]+" (\d{3})(?: |$)')
_REQUEST_LINE = re.compile(rb'"([A-Z]{1,20}) (\S+) HTTP/')
_JSON_REQUEST = re.compile(rb'"method": ?"([A-Z]{1,20})".{0,2000}?"uri": ?"([^"]*)"', re.DOTALL)
_SECONDS = re.compile(rb'" \d{3} (\d{1,6}\.\d{3})(?: |$)|"request_time": ?"?(\d{1,6}(?:\.\d+)?)|\brt=(\d{1,6}\.\d+)')
"""nginx's ``$request_time`` behind the status (the format ``timing``), in JSON, or as ``rt=``."""
_MOST_SECONDS = 5
"""How long after the line of the error log the access log's line is looked for, where only time and path pair them."""
_FORMAT = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended."""

    status: int
    time: str


@dataclass
class Statuses:
    """Counts 499 and 5xx in access lines that are read like any other log."""

    lines: int = 0
    counts: dict[int, int] = field(default_factory=dict)
    paths: Busiest = field(default_factory=Busiest)
    """``502 GET /path``: how often."""
    waits: dict[int, Busiest] = field(default_factory=dict)
    """Status -> how long these requests took, in whole seconds, where the lines say so."""

    def take(self, raw: bytes) -> None:
        """Take in a line of an access log, whichever of the usual formats it has."""
        self.lines += 1
        match = COMBINED_STATUS.search(raw) or JSON_STATUS.search(raw)
        if match is None:
            return
        status = int(match[1])
        self.counts[status] = self.counts.get(status, 0) + 1
        if seconds := _SECONDS.search(raw):
            took = next(group for group in seconds.groups() if group is not None)
            self.waits.setdefault(status, Busiest(256)).add(f"{float(took):.0f}")
        request = _COMBINED.search(raw) or _JSON_REQUEST.search(raw) or _REQUEST_LINE.search(raw)
        if request:
            path = request[2].partition(b"?")[0].decode("utf-8", "replace")
            self.paths.add(f"{status} {request[1].decode()} {printable(path, 120)}")

    @property
    def failed(self) -> int:
        """How many clients got a 5xx."""
        return sum(count for status, count in self.counts.items() if status > _LEFT)


@dataclass
class AccessLog:
    """What was read: counts, and the requests that failed or were sent more than once."""

    lines: int = 0
    unreadable: int = 0
    """Lines in neither of the two formats."""
    combined: int = 0
    """Lines in nginx's format ``combined``, which names no connection and no retries."""
    statuses: dict[int, int] = field(default_factory=dict)
    """Final status -> how many, for 499 and 5xx."""
    by_nginx: int = 0
    """502 and 504 that nginx made itself."""
    by_application: int = 0
    """502 and 504 that the application answered."""
    saved: int = 0
    """Sent more than once and answered below 400 in the end."""
    forgotten: int = 0
    """Requests beyond ``MOST_REMEMBERED``."""
    _kept: dict[int, list[Outcome]] = field(default_factory=dict, repr=False)
    _count: int = 0

    def read(self, raw_lines: Iterable[bytes]) -> None:
        """Read lines and count their outcomes."""
        for raw in raw_lines:
            if raw:
                self.lines += 1
                # The ordinary request: answered below 400 by the first server. Not worth parsing.
                if b'"status":"2' in raw and b'"upstream_status":"2' in raw and b", " not in raw:
                    continue
                self._take(raw)

    def _take(self, raw: bytes) -> None:
        if b'"upstream_status"' not in raw and (found := _COMBINED.search(raw)):
            self._take_combined(raw, found)
            return
        try:
            entry = json.loads(raw[raw.index(b"{") :])
            status = int(entry["status"])
            upstream = str(entry["upstream_status"])
            key = _key(str(entry["connection"]), str(entry["method"]), str(entry["uri"]))
            time = str(entry["time"])[:19].replace("T", " ")
        except (ValueError, KeyError, TypeError, RecursionError):
            self.unreadable += 1
            return
        repeated = "," in upstream
        self._count_status(status)
        if status in _GATEWAY:
            answered = str(entry.get("upstream_header_time", "-")).rpartition(", ")[2] not in ("-", "")
            self.by_application += answered
            self.by_nginx += not answered
        self.saved += repeated and status < _ERROR
        if status >= _ERROR or repeated:
            self._keep(key, Outcome(status, time))

    def _take_combined(self, raw: bytes, found: re.Match[bytes]) -> None:
        self.combined += 1
        status, time = int(found[3]), time_of(raw)
        self._count_status(status)
        if status >= _ERROR and time is not None:
            key = _key("", found[1].decode(), found[2].decode("utf-8", "replace"))
            self._keep(key, Outcome(status, time))

    def _count_status(self, status: int) -> None:
        if status >= _LEFT:
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def _keep(self, key: int, outcome: Outcome) -> None:
        if self._count >= MOST_REMEMBERED:
            self.forgotten += 1
            return
        self._count += 1
        self._kept.setdefault(key, []).append(outcome)

    def outcome(self, connection: str, method: str, uri: str, time: str | None) -> Outcome | None:
        """Return how the request of an error line ended.

        nginx's connection number, the method and the URI together name it; of several the first that ended at or after
        the error (an access line is written when the request ends). In the format ``combined`` the method, the URI and
        the time name it: the first that failed within five seconds. None: it is not among the failed or retried ones.
        """
        found = self._kept.get(_key(connection, method, uri), ())
        exact = next((one for one in found if time is None or one.time >= time), None)
        if exact is not None or not self.combined or time is None:
            return exact
        try:
            until = (datetime.strptime(time, _FORMAT) + timedelta(seconds=_MOST_SECONDS)).strftime(_FORMAT)  # noqa: DTZ007
        except ValueError:  # such as the 31st of February
            return None
        return next((one for one in self._kept.get(_key("", method, uri), ()) if time <= one.time <= until), None)


def _key(connection: str, method: str, uri: str) -> int:
    return hash((connection, method, uri))
