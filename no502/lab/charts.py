"""The charts of the page: SVG whose colours are the page's variables."""

from __future__ import annotations

from collections import Counter
from html import escape

from no502.lab.scenario import Side

__all__ = ["latency_chart", "requests_chart", "workers_chart"]

_WIDTH, _LEFT, _RIGHT = 480, 84, 10
_PLOT = _WIDTH - _LEFT - _RIGHT
_BINS = 80
_BAR_HEIGHT = 70
_PARTS = (("half below", 0.5), ("99 % below", 0.99), ("slowest", 1.0))


def requests_chart(side: Side, seconds: float) -> str:
    """Draw the requests over time: how many were sent, those that failed in another colour above the others.

    Args:
        side: What happened.
        seconds: The length of the time axis.
    """
    bins: Counter[tuple[int, bool]] = Counter(
        (min(_BINS - 1, int(event.at / seconds * _BINS)), event.ok) for event in side.events
    )
    highest = max([1, *(bins[number, True] + bins[number, False] for number in range(_BINS))])
    wide, shapes = _PLOT / _BINS, []
    for number in range(_BINS):
        base = _BAR_HEIGHT + 4.0
        for ok, colour in ((True, "--ok"), (False, "--bad")):
            count = bins[number, ok]
            if count:
                tall = max(2.0, count / highest * _BAR_HEIGHT)
                base -= tall
                place = f'x="{_LEFT + number * wide:.1f}" y="{base:.1f}" width="{wide * 0.9:.1f}" height="{tall:.1f}"'
                shapes.append(f'<rect {place} style="fill: var({colour})"/>')
    text = f"{len(side.events)} requests over {seconds:.1f} s, {side.failures} of them failed"
    return _svg(text, _BAR_HEIGHT + 22, [*shapes, _axis(seconds, _BAR_HEIGHT + 4), _label(14, f"{highest} at most")])


def latency_chart(side: Side) -> str:
    """Draw the latencies that half, 99 % and all of the requests did not exceed."""
    values = [(name, side.percentile(part)) for name, part in _PARTS]
    longest = max([0.001, *(value for _, value in values)])
    shapes = []
    for row, (name, value) in enumerate(values):
        wide, top = max(1.0, value / longest * (_PLOT - 60)), 4 + row * 18
        shapes.append(f'<rect x="{_LEFT}" y="{top}" width="{wide:.1f}" height="12" style="fill: var(--worker)"/>')
        shapes.append(f'<text x="{_LEFT + wide + 4:.1f}" y="{top + 10}">{_duration(value)}</text>')
        shapes.append(_label(top + 10, name))
    text = "latency: " + ", ".join(f"{name} {_duration(value)}" for name, value in values)
    return _svg(text, 60, shapes)


def workers_chart(side: Side, seconds: float) -> str:
    """Draw a line for each worker from its arrival to its end; nothing when no worker told."""
    arrived = {event.pid: event.at for event in side.workers if event.arrives}
    left = {event.pid: event.at for event in side.workers if not event.arrives}
    if not arrived:
        return ""
    step = max(3.0, min(12.0, 160 / len(arrived)))
    shapes = []
    for row, (pid, begin) in enumerate(sorted(arrived.items(), key=lambda item: item[1])):
        start, end = (min(max(0.0, at), seconds) for at in (begin, left.get(pid, seconds)))
        first, last = (_LEFT + at / seconds * _PLOT for at in (start, end))
        top = 6 + row * step
        place = f'x1="{first:.1f}" y1="{top:.1f}" x2="{last:.1f}" y2="{top:.1f}"'
        shapes.append(f'<line {place} style="stroke: var(--worker); stroke-width: {step * 0.6:.1f}"/>')
    bottom = 6 + len(arrived) * step
    text = f"{len(arrived)} workers arrived, {len(left)} left"
    return _svg(text, bottom + 18, [*shapes, _axis(seconds, bottom), _label(14, "workers")])


def _svg(text: str, height: float, shapes: list[str]) -> str:
    head = f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(text)}">'
    return head + f"<title>{escape(text)}</title>" + "".join(shapes) + "</svg>"


def _axis(seconds: float, top: float) -> str:
    line = f'<line x1="{_LEFT}" y1="{top:.1f}" x2="{_LEFT + _PLOT}" y2="{top:.1f}" style="stroke: var(--line)"/>'
    return (
        line
        + f'<text x="{_LEFT}" y="{top + 14:.1f}">0 s</text>'
        + (f'<text x="{_LEFT + _PLOT}" y="{top + 14:.1f}" text-anchor="end">{seconds:.1f} s</text>')
    )


def _label(top: float, text: str) -> str:
    return f'<text x="{_LEFT - 6}" y="{top:.1f}" text-anchor="end">{escape(text)}</text>'


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
