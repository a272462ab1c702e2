"""Two diagrams of the documentation as SVG: the idle race, and the order of a handover.

Colours are mid-tones that are legible on a white and on a near-black page.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from no502.svg import element, label, picture

__all__ = ["draw_handover", "draw_idle_race"]

_INK, _GOOD, _BAD, _CALM = "#7a828c", "#2b8a5f", "#d1603d", "#3b82d0"
_WIDTH = 720


@dataclass(frozen=True)
class _Message:
    """An arrow between two life lines."""

    top: int
    start: int
    end: int
    text: str
    colour: str = _INK
    travel: int = 0
    """How much further down it arrives."""


def draw_idle_race() -> str:
    """Draw the POST that crosses the worker's close."""
    nginx, worker = 230, 520
    messages = [
        _Message(70, nginx, worker, "POST 1"),
        _Message(100, worker, nginx, "200, connection kept"),
        _Message(195, worker, nginx, "", _CALM, travel=40),
        _Message(200, nginx, worker, "", _BAD, travel=30),
        _Message(265, worker, nginx, "reset (104)", _BAD),
    ]
    notes = [
        _text(worker + 14, 150, "idle for 2 s", _CALM),
        _text(nginx - 14, 150, "in nginx's pool for up to 60 s", _CALM, "end"),
        _text(worker + 14, 199, "close: its 2 s are over", _CALM),
        _text(nginx - 14, 204, "POST 2", _BAD, "end"),
        _text(nginx, 310, "502 to the client: a POST is not sent twice", _BAD, "middle"),
    ]
    title = "A POST meets the worker's close on the same connection and is reset"
    return _picture(title, 330, [("nginx", nginx), ("worker", worker)], messages, notes)


def draw_handover() -> str:
    """Draw the order in which a worker is replaced."""
    nginx, old, arbiter, new = 90, 280, 450, 630
    messages = [
        _Message(70, old, arbiter, "max_requests served"),
        _Message(105, arbiter, new, "fork"),
        _Message(130, nginx, old, "requests go on", _GOOD),
        _Message(165, new, arbiter, "ready", _GOOD),
        _Message(200, arbiter, old, "may leave"),
        _Message(235, nginx, new, "new connections", _GOOD),
        _Message(270, nginx, old, "POST on a kept connection", _GOOD),
        _Message(300, old, nginx, "200, Connection: close", _GOOD),
        _Message(335, old, arbiter, "drained, exit 0"),
    ]
    lines = [("nginx", nginx), ("old worker", old), ("arbiter", arbiter), ("replacement", new)]
    title = "The replacement is ready before the old worker drains; a POST on a kept connection is served"
    return _picture(title, 370, lines, messages, [])


def _picture(title: str, height: int, lines: list[tuple[str, int]], messages: list[_Message], notes: list[str]) -> str:
    parts = [element("title", escape(title))]
    for name, across in lines:
        parts.append(_text(across, 24, name, _INK, "middle"))
        parts.append(element("line", x1=across, y1=36, x2=across, y2=height - 30, stroke=_INK, stroke_width=1))
    for message in messages:
        parts += _arrow(message)
    size = f"0 0 {_WIDTH} {height}"
    return picture(*parts, *notes, viewBox=size, role="img", font_family="system-ui, sans-serif", font_size=13)


def _arrow(message: _Message) -> list[str]:
    step = 7 if message.end > message.start else -7
    end, top, colour = message.end, message.top, message.colour
    low = top + message.travel
    head = f"{end},{low} {end - step},{low - 4} {end - step},{low + 4}"
    return [
        element("line", x1=message.start, y1=top, x2=end, y2=low, stroke=colour, stroke_width=1.5),
        element("polygon", points=head, fill=colour),
        _text((message.start + end) // 2, top - 6, message.text, colour, "middle"),
    ]


def _text(across: int, top: int, text: str, colour: str, anchor: str = "start") -> str:
    return label(text, x=across, y=top, fill=colour, text_anchor=anchor)
