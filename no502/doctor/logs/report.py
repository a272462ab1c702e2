"""The findings for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from no502.doctor.logs.access import AccessLog
from no502.doctor.logs.findings import Findings, Seen
from no502.doctor.logs.message import Message, Severity

__all__ = ["SCHEMA_VERSION", "to_json", "to_text"]

SCHEMA_VERSION = 1
_MARKS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "-"}
_SHOWN = 5


def to_text(findings: Findings) -> str:
    """Return the report for reading, 100 columns wide (messages and names excepted)."""
    found = list(findings.found())
    lines = [line for seen in found for line in (*_message(seen, findings), "")]
    if findings.access is not None:
        lines += [*_access(findings.access), ""]
    if findings.unknown.total:
        lines.append(f"not in the error index: {findings.unknown.total} lines of nginx at level error or above")
        lines += [f"    {count} x {name}" for name, count in findings.unknown.top(_SHOWN)] + [""]
    if findings.cut:
        lines += [f"{findings.cut} lines were longer than 16 KiB; the rest of them was not looked at", ""]
    counts = {
        severity: sum(1 for s in found if s.message.severity is severity and not s.harmless) for severity in Severity
    }
    news = sum(1 for s in found if s.harmless)
    lines.append(
        f"{findings.lines:,} lines: {counts[Severity.ERROR]} kinds of error, {counts[Severity.WARNING]} of warning, "
        f"{news} without harm"
    )
    if findings.lines and not findings.recognised:
        lines.append("none of the lines is a message of nginx's error log, gunicorn or uvicorn: is it another log?")
    return "\n".join(lines) + "\n"


def _message(seen: Seen, findings: Findings) -> Iterator[str]:
    message = seen.message
    when = f", {seen.first} to {seen.last}" if seen.first else ""
    mark = "✓" if seen.saved and seen.harmless else _MARKS[message.severity]
    yield f"{mark} {message.id} {message.slug} {message.severity}: {seen.count:,} lines{when}"
    texts = seen.texts.top(_SHOWN)
    yield from (f"    {text}" if len(texts) == 1 else f"    {count:,} x {text}" for text, count in texts)
    yield from _wrap("what", message.cause)
    yield from _wrap("GET", message.get)
    yield from _wrap("POST", message.post)
    if seen.methods:
        yield from _wrap("methods", ", ".join(f"{name} {count:,}" for name, count in sorted(seen.methods.items())))
    if findings.access is not None and seen.methods:
        rest = seen.count - seen.failed - seen.saved
        yield from _wrap(
            "clients", f"{seen.failed:,} got an error, {seen.saved:,} repeated and answered, {rest:,} not paired"
        )
    if seen.uris.total:
        error = f" (each at most {seen.uris.error:,} too high)" if seen.uris.error else ""
        yield from _wrap("busiest", ", ".join(f"{name} {count:,}" for name, count in seen.uris.top(_SHOWN)) + error)
    if seen.upstreams.total:
        yield from _wrap("upstream", ", ".join(f"{name} {count:,}" for name, count in seen.upstreams.top(_SHOWN)))
    yield from _advice(message)


def _advice(message: Message) -> Iterator[str]:
    for step in message.prove:
        yield from _wrap("prove", step)
    for step in message.fix:
        yield from _wrap("fix", step)
    where = f"docs/{message.anchor}"
    yield from _wrap("see", f"{', '.join(message.rules)}; {where}" if message.rules else where)


def describe(message: Message) -> str:
    """Return what is known about a message, for reading."""
    lines = [f"{message.id} {message.slug} {message.severity}", *(f"    {text}" for text in message.text)]
    lines += [*_wrap("what", message.cause), *_wrap("GET", message.get), *_wrap("POST", message.post)]
    lines += _wrap("versions", message.versions) if message.versions else []
    return "\n".join([*lines, *_advice(message)]) + "\n"


def _wrap(label: str, text: str) -> list[str]:
    lead = f"    {label:9}"
    return textwrap.wrap(
        text,
        100,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _access(access: AccessLog) -> Iterator[str]:
    if access.lines and access.unreadable == access.lines:
        yield f"access log: none of {access.lines:,} lines is in no502's JSON format; nothing is known of the clients"
        return
    statuses = (
        ", ".join(f"{status} x {count:,}" for status, count in sorted(access.statuses.items())) or "no 499, no 5xx"
    )
    yield f"access log: {access.lines:,} lines; {statuses}"
    yield (
        f"    502 and 504: {access.by_nginx:,} made by nginx, {access.by_application:,} answered by the application; "
        f"{access.saved:,} requests were repeated and answered"
    )
    if access.unreadable:
        yield f"    {access.unreadable:,} lines are not no502's JSON access log"
    if access.forgotten:
        yield f"    {access.forgotten:,} requests were too many to remember: pairing is incomplete"


def to_json(findings: Findings) -> str:
    """Return one JSON object; ``schema_version`` changes when a name in it does."""
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "lines": findings.lines,
        "cut_lines": findings.cut,
        "messages": [_object(seen) for seen in findings.found()],
        "unknown": [{"text": name, "count": count} for name, count in findings.unknown.top(64)],
        "access_log": None,
    }
    access = findings.access
    if access is not None:
        report["access_log"] = {
            "lines": access.lines,
            "unreadable": access.unreadable,
            "statuses": {str(status): count for status, count in sorted(access.statuses.items())},
            "gateway_errors_by_nginx": access.by_nginx,
            "gateway_errors_by_application": access.by_application,
            "repeated_and_answered": access.saved,
            "forgotten": access.forgotten,
        }
    return json.dumps(report, indent=2) + "\n"


def _object(seen: Seen) -> dict[str, Any]:
    message = seen.message
    return {
        "id": message.id,
        "slug": message.slug,
        "severity": message.severity.value,
        "harmless": seen.harmless,
        "count": seen.count,
        "first": seen.first,
        "last": seen.last,
        "methods": dict(sorted(seen.methods.items())),
        "failed": seen.failed,
        "repeated_and_answered": seen.saved,
        "busiest": [{"request": name, "count": count} for name, count in seen.uris.top(_SHOWN)],
        "busiest_error": seen.uris.error,
        "upstreams": [{"server": name, "count": count} for name, count in seen.upstreams.top(_SHOWN)],
        "cause": message.cause,
        "rules": list(message.rules),
        "docs": f"docs/{message.anchor}",
    }
