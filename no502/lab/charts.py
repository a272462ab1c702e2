"""The charts of the page: SVG whose colours are the page's variables."""

from __future__ import annotations

from collections import Counter
from html import escape

from no502.lab.side import Side
from no502.svg import element, label

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
                place = {"x": _LEFT + number * wide, "y": base, "width": wide * 0.9, "height": tall}
                shapes.append(element("rect", **place, style=f"fill: var({colour})"))
    text = f"{len(side.events)} requests over {seconds:.1f} s, {side.failures} of them failed"
    return _svg(text, _BAR_HEIGHT + 22, [*shapes, _axis(seconds, _BAR_HEIGHT + 4), _label(14, f"{highest} at most")])


def latency_chart(side: Side) -> str:
    """Draw the latencies that half, 99 % and all of the requests did not exceed."""
    values = [(name, side.percentile(part)) for name, part in _PARTS]
    longest = max([0.001, *(value for _, value in values)])
    shapes = []
    for row, (name, value) in enumerate(values):
        wide, top = max(1.0, value / longest * (_PLOT - 60)), 4 + row * 18
        shapes.append(element("rect", x=_LEFT, y=top, width=wide, height=12, style="fill: var(--worker)"))
        shapes.append(label(_duration(value), x=_LEFT + wide + 4, y=top + 10))
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
        style = f"stroke: var(--worker); stroke-width: {step * 0.6:.1f}"
        shapes.append(element("line", x1=first, y1=top, x2=last, y2=top, style=style))
    bottom = 6 + len(arrived) * step
    text = f"{len(arrived)} workers arrived, {len(left)} left"
    return _svg(text, bottom + 18, [*shapes, _axis(seconds, bottom), _label(14, "workers")])


def _svg(text: str, height: float, shapes: list[str]) -> str:
    size = f"0 0 {_WIDTH} {height:.0f}"
    return element("svg", element("title", escape(text)), *shapes, viewBox=size, role="img", aria_label=text)


def _axis(seconds: float, top: float) -> str:
    at, right = float(top), _LEFT + _PLOT
    return (
        element("line", x1=_LEFT, y1=at, x2=right, y2=at, style="stroke: var(--line)")
        + label("0 s", x=_LEFT, y=at + 14)
        + label(f"{seconds:.1f} s", x=right, y=at + 14, text_anchor="end")
    )


def _label(top: float, text: str) -> str:
    return label(text, x=_LEFT - 6, y=float(top), text_anchor="end")


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
