"""One line of any of the logs: which program wrote it, when, and what it says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from no502.doctor.logs.reading import MAX_LINE

__all__ = ["Line", "parse", "printable"]

_NGINX = re.compile(
    rb"\[(emerg|alert|crit|error|warn|notice|info)\] \d+#\d+: (?:\*(\d+) )?([^\r\n]+)",
)
_NGINX_START = re.compile(rb"nginx: \[(emerg|alert|crit|error|warn)\] (?:\*(\d+) )?([^\r\n]+)")
"""What nginx says on the terminal before it has its log."""
_TIME = re.compile(rb"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)")
_FIELD_START = re.compile(r", (?:client|server|request|upstream|host|subrequest|referrer): ")
_REQUEST = re.compile(r', request: "([A-Z]{1,20}) (\S+)')
_UPSTREAM = re.compile(r', upstream: "([^"]*)"')
_ERRNO = re.compile(r"\((\d{1,4}): ")
_PHASE = re.compile(r" while (.+)$")
_GUNICORN = re.compile(r"\[\d+\] \[(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\] (.*)")
_UVICORN = re.compile(r"(?:^|[|\]:] +|\s)(?:INFO|WARNING|ERROR|CRITICAL):\s+(.*)")
_SERVER_WORDS = (
    b"orker",
    b"WORKER",
    b"Handling signal",
    b"Maximum request limit",
    b"handover: ",
    b"startup failed",
    b"failed to load",
    b"Connection in use",
    b"Can't connect to",
    b"attempting to bind",
    b"[Errno 98]",
    b"unrecognized arg",
    b"No such option",
    b"graceful shutdown",
    b"ASGI ",
    b"Invalid HTTP",
    b"upgrade request",
    b"concurrency limit",
    b"Failed to find",
)
"""At least one of them stands in every message of ``app_messages``."""
_JSON_MESSAGES = ("log", "message", "MESSAGE", "msg", "event", "error")
_PREFIX = re.compile(rb"^[\w.-]+\s+\| ")


@dataclass(frozen=True, slots=True)
class Line:
    """One message."""

    nginx: bool
    time: str | None
    """``YYYY-MM-DD HH:MM:SS`` as written in the line (no time zone is applied); None where the line has none."""
    level: str
    text: str
    """The message without its fields."""
    connection: str = ""
    """nginx's ``*N``."""
    method: str = ""
    uri: str = ""
    upstream: str = ""
    errno: int | None = None
    phase: str = ""


def parse(raw: bytes) -> Line | None:
    """Return what a line says; None for one that can not be an error message of nginx, gunicorn or uvicorn."""
    if b"] " in raw and b"#" in raw:
        match = _NGINX.search(raw, 0, MAX_LINE)
        if match:
            unwrapped = _unwrap(raw) if b'\\"' in raw else raw
            match = _NGINX.search(unwrapped, 0, MAX_LINE)
            return _nginx_line(unwrapped, match) if match else None
    if b"nginx: [" in raw and (match := _NGINX_START.search(raw, 0, MAX_LINE)):
        return _nginx_line(raw, match)
    if b" HTTP/" in raw or b'"upstream_status"' in raw:  # an access line
        return None
    for word in _SERVER_WORDS:
        if word in raw:
            return _server_line(raw)
    return None


def printable(text: str, limit: int = 200) -> str:
    """Return text that cannot steer a terminal, shortened to ``limit`` characters."""
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else "?" for character in shown)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def _time(raw: bytes) -> str | None:
    match = _TIME.search(raw, 0, 400)
    return None if match is None else b"%s-%s-%s %s".__mod__(match.groups()).decode("ascii")


def _nginx_line(raw: bytes, match: re.Match[bytes]) -> Line:
    text = match[3].decode("utf-8", "replace")
    start = _FIELD_START.search(text)
    head, fields = (text, "") if start is None else (text[: start.start()], text[start.start() :])
    request = _REQUEST.search(fields)
    upstream = _UPSTREAM.search(fields)
    errno = _ERRNO.search(head)
    phase = _PHASE.search(head)
    return Line(
        nginx=True,
        time=_time(raw),
        level=match[1].decode("ascii"),
        text=head,
        connection=(match[2] or b"").decode("ascii"),
        method=request[1] if request else "",
        uri=request[2] if request else "",
        upstream=upstream[1] if upstream else "",
        errno=int(errno[1]) if errno else None,
        phase=phase[1] if phase else "",
    )


def _unwrap(raw: bytes) -> bytes:
    """Return the text inside of a JSON line (Docker's json-file, a JSON formatter); anything else as it is."""
    body = _PREFIX.sub(b"", raw, count=1)
    if not body.startswith(b"{"):
        return raw
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return raw
    for key in _JSON_MESSAGES if isinstance(found, dict) else ():
        value = found.get(key)
        if isinstance(value, str):
            return value.encode("utf-8", "replace")
    return raw


def _server_line(raw: bytes) -> Line:
    inner = _unwrap(raw)
    text = inner.decode("utf-8", "replace").strip()
    match = _GUNICORN.search(text) or _UVICORN.search(text)
    return Line(nginx=False, time=_time(inner) or _time(raw), level="", text=match[1] if match else text)
