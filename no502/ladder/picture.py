"""The ladder as a picture: one time axis, one bar for each wait, grouped as in ``no502.ladder.rungs``."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from no502.ladder.rungs import GROUPS, RUNGS, Rung, value_of
from no502.svg import element, label, picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gunicorn_conf import ServerSettings

__all__ = ["draw"]


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where things are, in pixels."""

    width: int
    margin: int
    left: int
    """Beginning of the axis."""
    right: int
    row: int
    bar: int
    """Height of a bar."""
    title: Sequence[str]
    header: int
    portrait: bool


_LANDSCAPE = _Layout(
    width=980,
    margin=32,
    left=336,
    right=692,
    row=40,
    bar=18,
    title=["Every inner wait ends before the one around it"],
    header=84,
    portrait=False,
)
_PORTRAIT = _Layout(
    width=390,
    margin=16,
    left=16,
    right=374,
    row=76,
    bar=12,
    title=["Every inner wait ends", "before the one around it"],
    header=124,
    portrait=True,
)
"""For a phone: the text of a bar is above and below it."""

_GROUP = 46
_FOOTER = 44
_TICKS = 6
_NICE_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)

_DRAWN = ("request", "idle", "leaving")
_LEFT_OUT = ("proxy_connect_timeout", "stop_delay")  # no wait of their own on this axis

_STYLE = """\
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
text{font-size:13px;fill:#1f2328}
.card{fill:#fff;stroke:#d1d9e0}.grid{stroke:#d1d9e0;stroke-width:1}.track{fill:#818b98;fill-opacity:.1}
.title{font-size:18px;font-weight:600}.group{font-size:12px;font-weight:600;letter-spacing:.04em}.value{font-weight:600}
.quiet{fill:#59636e;font-size:12px}
.formula{fill:#59636e;font-size:11px;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
.request{fill:#0969da}.idle{fill:#1a7f37}.leaving{fill:#bc4c00}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.card{fill:#0d1117;stroke:#3d444d}.grid{stroke:#3d444d}
.quiet,.formula{fill:#9198a1}.request{fill:#4493f8}.idle{fill:#3fb950}.leaving{fill:#db6d28}}
"""


def draw(current: ServerSettings, *, portrait: bool = False) -> str:
    """Return the picture as SVG text: no script, no external reference, the same bytes for the same settings.

    Args:
        current: The settings.
        portrait: Whether it is 390 pixels wide instead of 980, for a phone.
    """
    layout = _PORTRAIT if portrait else _LANDSCAPE
    groups = [(key, [rung for rung in RUNGS if _shown(rung, key, current)]) for key in _DRAWN]
    height = layout.header + sum(_GROUP + layout.row * len(rungs) for _, rungs in groups) + _FOOTER
    longest = max(value_of(rung, current) or 0 for _, rungs in groups for rung in rungs)
    waits = "; ".join(f"{rung.name} {value_of(rung, current)} s" for _, rungs in groups for rung in rungs)
    return picture(
        element("style", _STYLE),
        element("rect", class_="card", x=".5", y=".5", width=layout.width - 1, height=height - 1, rx=8),
        *_head(layout, current),
        *_axis(longest, height, layout),
        *_bars(groups, longest, current, layout),
        width=layout.width,
        height=height,
        viewBox=f"0 0 {layout.width} {height}",
        role="img",
        aria_label=waits,
    )


def _head(layout: _Layout, current: ServerSettings) -> Iterator[str]:
    read, idle = (
        f"PROXY_READ_TIMEOUT={current.proxy_read_timeout}",
        f"PROXY_KEEPALIVE_TIMEOUT={current.proxy_keepalive_timeout}",
    )
    whole = f"computed from {read}, {idle}; seconds"
    y = 42
    for text in layout.title:
        yield label(text, class_="title", x=layout.margin, y=y)
        y += 22
    for text in [f"computed from {read},", f"{idle}; seconds"] if layout.portrait else [whole]:
        yield label(text, class_="quiet", x=layout.margin, y=y)
        y += 18


def _shown(rung: Rung, group: str, current: ServerSettings) -> bool:
    return rung.group == group and rung.name not in _LEFT_OUT and value_of(rung, current) is not None


def _x(seconds: int, longest: int, layout: _Layout) -> int:
    """Return where on the axis a time is; whole pixels keep the text the same everywhere."""
    return layout.left + max(2, (layout.right - layout.left) * seconds // longest) if seconds else layout.left


def _axis(longest: int, height: int, layout: _Layout) -> Iterator[str]:
    for second in _ticks(longest):
        x, y = _x(second, longest, layout), height - _FOOTER + 12
        anchor = "middle" if not layout.portrait or 0 < x - layout.left < layout.right - layout.left else "start"
        anchor = "end" if layout.portrait and x > layout.right - layout.margin else anchor
        yield label(second, class_="quiet", x=x, y=y, text_anchor=anchor)


def _ticks(longest: int) -> range:
    step = next((step for step in _NICE_STEPS if longest <= step * _TICKS), longest)
    return range(0, longest + 1, step)


def _bars(
    groups: list[tuple[str, list[Rung]]], longest: int, current: ServerSettings, layout: _Layout
) -> Iterator[str]:
    y = layout.header
    for key, rungs in groups:
        yield label(GROUPS[key].upper(), class_=f"group {key}", x=layout.margin, y=y + 30)
        y += _GROUP
        if not layout.portrait:
            bottom = y + layout.row * len(rungs) - 10
            for x in (_x(second, longest, layout) for second in _ticks(longest)):
                yield element("line", class_="grid", x1=x, x2=x, y1=y - 6, y2=bottom)
        for rung in rungs:
            yield from (_tall_bar if layout.portrait else _flat_bar)(rung, y, longest, current)
            y += layout.row


def _flat_bar(rung: Rung, y: int, longest: int, current: ServerSettings) -> Iterator[str]:
    right = _LANDSCAPE.right
    yield label(rung.name, x=_LANDSCAPE.margin, y=y + 8)
    yield label(_short_formula(rung, current), class_="formula", x=_LANDSCAPE.margin, y=y + 23)
    yield from _bar(rung, y, longest, current, _LANDSCAPE)
    yield label(value_of(rung, current) or 0, class_="value", x=right + 12, y=y + 14)
    yield label(rung.enforced_by, class_="quiet", x=right + 60, y=y + 14)


def _tall_bar(rung: Rung, y: int, longest: int, current: ServerSettings) -> Iterator[str]:
    left, right = _PORTRAIT.left, _PORTRAIT.right
    yield label(rung.name, x=left, y=y + 8)
    yield label(value_of(rung, current) or 0, class_="value", x=right, y=y + 8, text_anchor="end")
    yield from _bar(rung, y + 14, longest, current, _PORTRAIT)
    yield label(_short_formula(rung, current), class_="formula", x=left, y=y + 40)
    yield label(rung.enforced_by, class_="quiet", x=left, y=y + 55)


def _bar(rung: Rung, y: int, longest: int, current: ServerSettings, layout: _Layout) -> Iterator[str]:
    left, right, tall = layout.left, layout.right, layout.bar
    end = _x(value_of(rung, current) or 0, longest, layout)
    yield element("rect", class_="track", x=left, y=y, width=right - left, height=tall, rx=3)
    why = element("title", escape(rung.why))
    yield element("rect", why, class_=rung.group, x=left, y=y, width=end - left, height=tall, rx=3)


def _short_formula(rung: Rung, current: ServerSettings) -> str:
    """Return the symbol and the branch of the formula that applies."""
    if rung.formula is None:
        return f"{rung.symbol}, {rung.variable}"
    with_handover, _, without = rung.formula.partition(" if hands_over else ")
    formula = with_handover if current.hands_over or not without else without
    return f"{rung.symbol} = {formula}"
