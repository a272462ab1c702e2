"""The findings as one page that works offline: no script, no font, no request; light and dark."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from html import escape

from no502.doctor.logs.findings import Findings, Seen
from no502.doctor.logs.parse import printable
from no502.doctor.logs.reasons import reasons
from no502.doctor.logs.report import counted, status_lines, summary
from no502.doctor.logs.timeline import EPOCH, Episode
from no502.messages import Severity
from no502.svg import element, label

__all__ = ["to_html"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #5c6674; --line: #d0d5dd;
  --error: #c62828; --warning: #b26a00; --info: #1565c0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --paper: #14171a; --soft: #98a2b3; --line: #344054; --error: #ef5350; --warning: #ffb74d;
    --info: #64b5f6; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 64rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { border-top: 1px solid var(--line); padding: .35rem .75rem .35rem 0; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; } td.time { white-space: nowrap; } td.count { text-align: right; }
code, pre { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
details { border-top: 1px solid var(--line); padding: .5rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
.soft { color: var(--soft); } .error { color: var(--error); } .warning { color: var(--warning); }
.info { color: var(--info); }
svg { display: block; height: auto; width: 100%; } svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
"""
_WIDTH, _LEFT, _TALL, _BOTTOM = 900, 60, 120, 150
_BINS = 120
_MOST_EPISODES = 500
_FORMAT = "%Y-%m-%d %H:%M:%S"


def to_html(findings: Findings) -> str:
    """Return the page: the verdict, requests lost over time with the events, each message with its advice."""
    episodes = findings.episodes()
    parts = [f"<h1>What happened</h1>\n<p>{_inline(line)}</p>" for line in [summary(findings)]]
    if episodes:
        parts += [_chart(episodes, findings.timeline.losses), _table(episodes)]
    parts += [_statuses(findings), "<h2>Messages</h2>", *(_message(seen, findings) for seen in findings.found())]
    if findings.unknown.total:
        rows = "".join(
            f'<tr><td class="count">{count:,}</td><td><code>{escape(text)}</code></td></tr>'
            for text, count in findings.unknown.top(20)
        )
        parts.append(f"<h2>Errors that are not in the catalogue</h2>\n<table>{rows}</table>")
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>no502 doctor logs</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _chart(episodes: Sequence[Episode], losses: Sequence[int]) -> str:
    """Draw the lost requests over time as bars, and the events of processes as lines with their text."""
    ends = [_seconds(episodes[0]), _seconds(episodes[-1]), *losses]
    first, last = min(ends), max(ends)
    span = max(1, last - first)
    bins = Counter(min(_BINS - 1, (at - first) * _BINS // span) for at in losses)
    highest = max([1, *bins.values()])
    wide = (_WIDTH - _LEFT - 10) / _BINS
    shapes = []
    for number, count in sorted(bins.items()):
        tall = max(2.0, count / highest * _TALL)
        start = _clock(first - (-number * span // _BINS))
        lost = element("title", f"{start}: {counted(count, 'request')} lost")
        place = {"x": _LEFT + number * wide, "y": _BOTTOM - tall, "width": wide * 0.9, "height": tall}
        shapes.append(element("rect", lost, **place, style="fill: var(--error)"))
    for episode in episodes[:_MOST_EPISODES]:
        if episode.pid is None and episode.kind not in {"signal", "recycled"}:
            continue
        x = _LEFT + (_seconds(episode) - first) / span * (wide * _BINS)
        event = element("title", escape(f"{episode.time[11:]} {printable(episode.verdict)}"))
        style = "stroke: var(--info); stroke-width: 2; stroke-dasharray: 3 3"
        shapes.append(element("path", event, d=f"M{x:.1f} 14V{_BOTTOM}", style=style))
    labels = [
        label(f"{highest:,}", x=_LEFT - 6, y=_BOTTOM - _TALL + 8, text_anchor="end"),
        label(0, x=_LEFT - 6, y=_BOTTOM, text_anchor="end"),
        *(
            label(_clock(first + int(part * span)), x=_LEFT + part * wide * _BINS, y=_BOTTOM + 16, text_anchor=anchor)
            for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
        ),
    ]
    what = f"Lost requests over time, at most {highest:,} in {max(1, span // _BINS)} s; dashed: events of processes"
    axis = element("path", d=f"M{_LEFT} {_BOTTOM}H{_WIDTH - 10}", style="stroke: var(--line)")
    size = f"0 0 {_WIDTH} {_BOTTOM + 24}"
    chart = element("svg", axis, *shapes, *labels, viewBox=size, role="img", aria_label=what)
    return f'{chart}\n<p class="soft">{what}.</p>'


def _table(episodes: Sequence[Episode]) -> str:
    rows = "".join(
        f'<tr><td class="time">{escape(f"{one.time[:10]} {one.span()}")}</td>'
        f"<td>{escape(printable(one.text(), 400))}</td>"
        f'<td class="count{" error" * bool(one.lost)}">{one.lost:,}</td></tr>\n'
        for one in episodes[:_MOST_EPISODES]
    )
    left = len(episodes) - _MOST_EPISODES
    more = f'<p class="soft">{left:,} more are not shown; narrow it with --since and --until.</p>' if left > 0 else ""
    return f"<table>\n<tr><th>time</th><th>event</th><th>lost</th></tr>\n{rows}</table>{more}"


def _statuses(findings: Findings) -> str:
    statuses = findings.statuses
    if not statuses.lines:
        return ""
    counts = ", ".join(f"{status} x {count:,}" for status, count in sorted(statuses.counts.items()))
    rows = "".join(f'<tr><td colspan="2">{escape(line)}</td></tr>' for line in status_lines(statuses))
    rows += "".join(
        f'<tr><td class="count">{count:,}</td><td><code>{escape(name)}</code></td></tr>'
        for name, count in statuses.paths.top(10)
    )
    summed = counts or "no 413, no 499, no 5xx"
    return f"<h2>Access log</h2>\n<p>{statuses.lines:,} lines; {summed}</p>\n<table>{rows}</table>"


def _message(seen: Seen, findings: Findings) -> str:
    message = seen.message
    opened = " open" if message.severity is Severity.ERROR and not seen.harmless else ""
    shown = "".join(f"<pre>{escape(text)}</pre>" for text, _count in seen.quoted(5))
    lists = "".join(
        f"<h3>{heading}</h3>\n<ol>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ol>\n"
        for heading, items in message.remaining(tuple(reasons(seen, findings))).items()
        if items
    )
    return (
        f'<details{opened}><summary><b class="{message.severity}">{message.id}</b> {escape(message.title)} '
        f'<span class="soft">{counted(seen.count, "line")}, {seen.first or "no time"}</span></summary>\n'
        f"{shown}<p>{_inline(message.cause)}</p>\n<table>{''.join(_rows(seen))}</table>\n{lists}</details>"
    )


def _rows(seen: Seen) -> Iterator[str]:
    message = seen.message
    facts = {"GET": message.get, "POST": message.post} if message.get != message.post else {"client": message.get}
    facts["busiest"] = ", ".join(f"`{name}` {count:,}" for name, count in seen.uris.top(5))
    facts["upstream"] = ", ".join(f"`{name}` {count:,}" for name, count in seen.upstreams.top(5))
    facts["rules"] = ", ".join(message.rules)
    for name, text in facts.items():
        if text:
            yield f"<tr><th>{name}</th><td>{_inline(text)}</td></tr>"


def _inline(text: str) -> str:
    """Return text with its code and bold parts as HTML."""
    safe = escape(printable(text, 2000))
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", re.sub(r"`([^`]+)`", r"<code>\1</code>", safe))


def _seconds(episode: Episode) -> int:
    return int((datetime.strptime(episode.time, _FORMAT) - EPOCH).total_seconds())  # noqa: DTZ007


def _clock(seconds: int) -> str:
    return f"{EPOCH + timedelta(seconds=seconds):%H:%M:%S}"
