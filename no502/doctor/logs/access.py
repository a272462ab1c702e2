"""The JSON access log: what a client really got for the requests that the error log speaks of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["MOST_REMEMBERED", "AccessLog", "Outcome"]

MOST_REMEMBERED = 250_000
"""Requests that are kept for pairing (about 60 MB); the rest is only counted, and the report says so."""

_ERROR = 400
_GATEWAY = (502, 504)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended."""

    status: int
    time: str


@dataclass
class AccessLog:
    """What was read: counts, and the requests that failed or were sent more than once."""

    lines: int = 0
    unreadable: int = 0
    """Lines that are not such an object."""
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
        """Take in lines."""
        for raw in raw_lines:
            if raw:
                self.lines += 1
                # The ordinary request: answered below 400 by the first server. Not worth parsing.
                if b'"status":"2' in raw and b'"upstream_status":"2' in raw and b", " not in raw:
                    continue
                self._take(raw)

    def _take(self, raw: bytes) -> None:
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
        if status >= 499:  # noqa: PLR2004  nginx's own number for a client that left, and the server errors
            self.statuses[status] = self.statuses.get(status, 0) + 1
        if status in _GATEWAY:
            answered = str(entry.get("upstream_header_time", "-")).rpartition(", ")[2] not in ("-", "")
            self.by_application += answered
            self.by_nginx += not answered
        self.saved += repeated and status < _ERROR
        if status >= _ERROR or repeated:
            self._keep(key, Outcome(status, time))

    def _keep(self, key: int, outcome: Outcome) -> None:
        if self._count >= MOST_REMEMBERED:
            self.forgotten += 1
            return
        self._count += 1
        self._kept.setdefault(key, []).append(outcome)

    def outcome(self, connection: str, method: str, uri: str, time: str | None) -> Outcome | None:
        """Return how the request of an error line ended.

        nginx's connection number, the method and the URI together name it; of several the first that ended at or after
        the error (an access line is written when the request ends). None: it is not among the failed or repeated ones.
        """
        found = self._kept.get(_key(connection, method, uri), ())
        return next((one for one in found if time is None or one.time >= time), None)


def _key(connection: str, method: str, uri: str) -> int:
    return hash((connection, method, uri))
