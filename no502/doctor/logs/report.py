"""The findings for people and for programs: the verdict first, then each message with its page."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from no502.addresses import page_address, shown_page
from no502.doctor.logs.access import AccessLog, Statuses
from no502.doctor.logs.findings import Findings, Seen
from no502.doctor.logs.parse import printable
from no502.doctor.logs.reasons import reasons
from no502.doctor.logs.timeline import RACE, Episode
from no502.ladder.fronts import FRONTS
from no502.messages import Message, Severity
from no502.nginx.versions import default_seconds

__all__ = ["SCHEMA_VERSION", "counted", "describe", "status_lines", "summary", "to_json", "to_text"]

SCHEMA_VERSION = 2
_MARKS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "-"}
_SHOWN = 5
_EPISODES = 20
_UNFOLDED = 3
"""So many messages are shown with causes and checks; the others with their fix."""
_SHOWN_KINDS = 4
_WIDTH = 100


def counted(count: int, one: str, more: str = "") -> str:
    """Return a count with its noun in the right number, such as ``1 line`` or ``2 lines``."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def to_text(findings: Findings) -> str:
    """Return the report for reading, 100 columns wide (messages and names excepted)."""
    found = list(findings.found())
    lines = _verdict(findings)
    for number, seen in enumerate(found):
        lines += [*_message(seen, findings, folded=number >= _UNFOLDED), ""]
    if findings.statuses.lines:
        lines += [*_statuses(findings.statuses), ""]
    if findings.access is not None:
        lines += [*_access(findings.access), ""]
    if findings.unknown.total:
        lines.append(
            f"not in the catalogue: {counted(findings.unknown.total, 'line')} of nginx, gunicorn or uvicorn at level "
            "error or above"
        )
        lines += [f"    {count} x {name}" for name, count in findings.unknown.top(_SHOWN)] + [""]
    if findings.cut:
        lines += [f"{counted(findings.cut, 'line')} longer than 16 KiB: only the beginning was read", ""]
    lines.append(summary(findings))
    if findings.strange and not (findings.recognised or findings.heard or findings.statuses.lines):
        lines.append(
            "no line recognised: none is a message of nginx, gunicorn, uvicorn or of what runs them or stands in front "
            "of them; check that this is the log of one of these programs"
        )
    return "\n".join(lines) + "\n"


def summary(findings: Findings) -> str:
    """Return the counts in one line."""
    found = list(findings.found())
    counts = {
        severity: sum(1 for s in found if s.message.severity is severity and not s.harmless) for severity in Severity
    }
    harmless = sum(1 for s in found if s.harmless)
    return (
        f"{counted(findings.lines, 'line')}: {counted(counts[Severity.ERROR], 'kind')} of error, "
        f"{counts[Severity.WARNING]} of warning, {harmless} harmless"
        + (f"; {counted(findings.strange, 'line')} not recognised" if findings.strange and findings.recognised else "")
    )


def _verdict(findings: Findings) -> list[str]:
    episodes = findings.episodes()
    if not episodes:
        return []
    lost = sum(episode.lost for episode in episodes)
    kinds: Counter[str] = Counter()
    for episode in episodes:
        kinds[_kind(episode)] += episode.lost
    shown = [(name, count) for name, count in kinds.most_common(_SHOWN_KINDS) if count]
    rest = lost - sum(count for _name, count in shown)
    why = ", ".join(f"{count:,} {name}" for name, count in shown) + (f" and {rest:,} more" if rest else "")
    first, last = episodes[0].time, episodes[-1].time
    lines = [f"What happened, {first} to {last}:", ""] if first != last else [f"What happened, {first}:", ""]
    day = ""
    for episode in episodes[:_EPISODES]:
        if episode.time[:10] != day:
            day = episode.time[:10]
            lines.append(f"  {day}")
        lead = f"  {episode.span()}  "
        lines += textwrap.wrap(
            printable(episode.text(), 400),
            _WIDTH,
            initial_indent=lead,
            subsequent_indent=" " * 12,
            break_long_words=False,
            break_on_hyphens=False,
        )
    if len(episodes) > _EPISODES:
        lines.append(f"  and {counted(len(episodes) - _EPISODES, 'more')[:-1]}; narrow it with --since and --until")
    if lost:
        lines += ["", f"  {counted(lost, 'request')} lost in nginx's error log: {why}"]
    if findings.timeline.joined and not any(e.lost and e.of_process for e in episodes) and lost:
        lines.append(
            "  No line of nginx is within two seconds of a worker's: if that is unlikely, the logs have different time "
            "zones."
        )
    if findings.timeline.forgotten:
        lines.append(f"  {counted(findings.timeline.forgotten, 'further line')} not joined: too many to remember")
    return [*lines, ""]


def _kind(episode: Episode) -> str:
    names = {
        "blocked": "by a blocked event loop",
        "out of memory": "by an out-of-memory kill",
        "killed": "by SIGKILL",
        "crashed": "by a crash",
        "recycled": "by recycling",
        "signal": "by a stop or reload",
    }
    return "by the keep-alive race" if episode.reason == RACE else names.get(episode.kind) or f"by {episode.ids[0]}"


def _message(seen: Seen, findings: Findings, *, folded: bool) -> Iterator[str]:
    message = seen.message
    when = f", {seen.first} to {seen.last}" if seen.first != seen.last else f", {seen.first}" if seen.first else ""
    mark = "✓" if seen.saved and seen.harmless else _MARKS[message.severity]
    yield f"{mark} {message.id} {message.slug} {message.severity}: {counted(seen.count, 'line')}{when}"
    texts = seen.quoted(_SHOWN)
    yield from (f"    {text}" if len(texts) == 1 else f"    {count:,} x {text}" for text, count in texts)
    yield from _wrap("what", message.cause)
    yield from _client(message)
    if seen.methods:
        yield from _wrap("methods", ", ".join(f"{name} {count:,}" for name, count in sorted(seen.methods.items())))
    if findings.access is not None and seen.methods:
        rest = seen.count - seen.failed - seen.saved
        yield from _wrap(
            "clients", f"{seen.failed:,} got an error, {seen.saved:,} retried and answered, {rest:,} not paired"
        )
    if seen.uris.total:
        error = f" (each at most {seen.uris.error:,} too high)" if seen.uris.error else ""
        yield from _wrap("busiest", ", ".join(f"{name} {count:,}" for name, count in seen.uris.top(_SHOWN)) + error)
    if seen.upstreams.total:
        yield from _wrap("upstream", ", ".join(f"{name} {count:,}" for name, count in seen.upstreams.top(_SHOWN)))
    decided = reasons(seen, findings)
    for reason in decided.values():
        if reason:
            yield from _wrap("here", reason)
    yield from _advice(message, folded=folded or seen.harmless, decided=tuple(decided))


def _client(message: Message) -> Iterator[str]:
    if message.get == message.post:
        yield from _wrap("client", message.get)
    else:
        yield from _wrap("GET", message.get)
        yield from _wrap("POST", message.post)


_LABELS = {"Causes": "cause", "Check": "check", "Immediate fix": "now", "Permanent fix": "fix"}


def _advice(message: Message, *, folded: bool = False, decided: Sequence[str] = ()) -> Iterator[str]:
    sections = message.remaining(decided)
    for heading, label in _LABELS.items():
        if folded and not heading.endswith("fix"):
            continue
        for number, item in enumerate(sections.get(heading, ()), 1):
            text = item.replace("**", "")
            yield from _wrap(label, f"{number}. {text}" if heading == "Causes" else text)
    if message.rules:
        yield from _wrap("rules", ", ".join(message.rules))
    yield from _wrap("see", f"no502 doctor explain {message.id}")


def describe(message: Message) -> str:
    """Return the page of a message, for reading in a terminal."""
    written = ", ".join(message.programs)
    if message.levels:
        written += f" at level {' or '.join(message.levels)}"
    lines = [f"{message.id} {message.slug} {message.severity}", *(f"    {text}" for text in message.texts), ""]
    lines += [*_wrap("program", written), *_wrap("what", message.cause), *_client(message)]
    lines += _wrap("versions", message.versions) if message.versions else []
    lines += list(_advice(message))[:-1]
    lines += _wrap("lab", ", ".join(f"no502 lab {name}" for name in message.scenarios)) if message.scenarios else []
    lines += _wrap("runbook", f"ops/runbook.md#{message.service.cause}") if message.service else []
    lines += _wrap("source", message.source)
    lines.append(f"    page     {page_address(message.page) or message.file.as_uri()}")
    return "\n".join(lines) + "\n"


def _wrap(label: str, text: str) -> list[str]:
    lead = f"    {label:9}"
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


_RUNBOOKS = {413: "L923", 499: "docs/runbooks/499.md", 502: "docs/runbooks/502.md", 504: "docs/runbooks/504.md"}
"""Status -> the message or the runbook that explains it."""
_LEFT, _TIMED_OUT = 499, 504
_MOST_LIKELY = 0.3
"""Share of the requests of one status that one duration must have before it is taken for a timeout."""


def status_lines(statuses: Statuses) -> Iterator[str]:
    """Yield for each status that has a page: how often, how long it took, whose limit that is, and where to read on."""
    for status, where in _RUNBOOKS.items():
        count = statuses.counts.get(status, 0)
        if not count:
            continue
        waits = statuses.waits.get(status)
        most = waits.top(1)[0] if waits else ("", 0)
        took = f"; most often after {most[0]} s ({most[1]:,} of {count:,})" if waits else ""
        limit = _limits(status, int(most[0])) if waits and most[1] >= _MOST_LIKELY * count else ""
        page = f"no502 doctor explain {where}" if where.startswith("L") else shown_page(where)
        yield f"{status} x {count:,}{took}{limit}: {page}"


def _limits(status: int, seconds: int) -> str:
    """Return whose default read timeout that duration is: for 499 a front proxy's, for 504 nginx's own."""
    names = [name for name, front in FRONTS.items() if status == _LEFT and front.read == seconds]
    if status == _TIMED_OUT and seconds == default_seconds("proxy_read_timeout"):
        names.append("nginx's proxy_read_timeout")
    return f", the limit of {' or '.join(names)}" if names and seconds else ""


def _statuses(statuses: Statuses) -> Iterator[str]:
    shown = ", ".join(f"{status} x {count:,}" for status, count in sorted(statuses.counts.items()))
    yield f"access lines: {statuses.lines:,}; {shown or 'no 413, no 499, no 5xx'}"
    yield from (f"    {line}" for line in status_lines(statuses))
    for name, count in statuses.paths.top(_SHOWN):
        yield f"    {count:,} x {name}"


def _access(access: AccessLog) -> Iterator[str]:
    if access.lines and access.unreadable == access.lines:
        yield f"access log: no line of {access.lines:,} is in a known format; nothing is known about the clients"
        return
    statuses = (
        ", ".join(f"{status} x {count:,}" for status, count in sorted(access.statuses.items())) or "no 499, no 5xx"
    )
    yield f"access log: {access.lines:,} lines; {statuses}"
    if access.combined:
        yield "    combined format: paired by time, method and path; it does not show what nginx retried"
    else:
        yield (
            f"    502 and 504: {access.by_nginx:,} made by nginx, {access.by_application:,} answered by the "
            f"application; {access.saved:,} requests were retried and answered"
        )
    if access.unreadable:
        yield f"    {access.unreadable:,} lines are in no known format"
    if access.forgotten:
        yield f"    {access.forgotten:,} requests were too many to remember: pairing is incomplete"


def to_json(findings: Findings) -> str:
    """Return one JSON object; ``schema_version`` changes when a name in it does."""
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "lines": findings.lines,
        "cut_lines": findings.cut,
        "timeline": [
            {
                "time": episode.time,
                "until": max(episode.time, episode.until),
                "verdict": episode.verdict,
                "kind": episode.kind,
                "pid": episode.pid,
                "lost": episode.lost,
                "requests": dict(episode.requests.most_common(_SHOWN)),
                "upstreams": dict(episode.servers.most_common(_SHOWN)),
                "messages": episode.ids,
            }
            for episode in findings.episodes()
        ],
        "messages": [_object(seen) for seen in findings.found()],
        "unknown": [{"text": name, "count": count} for name, count in findings.unknown.top(64)],
        "access_lines": {
            "lines": findings.statuses.lines,
            "statuses": {str(status): count for status, count in sorted(findings.statuses.counts.items())},
            "busiest": [{"request": name, "count": count} for name, count in findings.statuses.paths.top(_SHOWN)],
        },
        "access_log": None,
    }
    access = findings.access
    if access is not None:
        report["access_log"] = {
            "lines": access.lines,
            "unreadable": access.unreadable,
            "combined": access.combined,
            "statuses": {str(status): count for status, count in sorted(access.statuses.items())},
            "gateway_errors_by_nginx": access.by_nginx,
            "gateway_errors_by_application": access.by_application,
            "retried_and_answered": access.saved,
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
        "retried_and_answered": seen.saved,
        "busiest": [{"request": name, "count": count} for name, count in seen.uris.top(_SHOWN)],
        "busiest_error": seen.uris.error,
        "upstreams": [{"server": name, "count": count} for name, count in seen.upstreams.top(_SHOWN)],
        "texts": [{"text": text, "count": count} for text, count in seen.texts.top(_SHOWN)],
        "cause": message.cause,
        "get": message.get,
        "post": message.post,
        "rules": list(message.rules),
        "page": page_address(message.page) or message.file.as_uri(),
    }
