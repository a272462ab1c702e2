"""The ladder as a picture: one time axis, one bar for each wait, grouped as in ``no502.ladder.rungs``."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from no502.ladder.rungs import GROUPS, RUNGS, Rung, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gunicorn_conf import ServerSettings

__all__ = ["draw"]

_WIDTH = 980
_MARGIN = 32
_AXIS_LEFT = 336
_AXIS_RIGHT = 692
_ROW = 40
_BAR = 18
_HEADER = 84
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


def draw(current: ServerSettings) -> str:
    """Return the picture as SVG text: no script, no external reference, the same bytes for the same settings."""
    groups = [(key, [rung for rung in RUNGS if _shown(rung, key, current)]) for key in _DRAWN]
    height = _HEADER + sum(_GROUP + _ROW * len(rungs) for _, rungs in groups) + _FOOTER
    longest = max(value_of(rung, current) or 0 for _, rungs in groups for rung in rungs)
    label = "; ".join(f"{rung.name} {value_of(rung, current)} s" for _, rungs in groups for rung in rungs)
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    inputs = (
        f"PROXY_READ_TIMEOUT={current.proxy_read_timeout}, PROXY_KEEPALIVE_TIMEOUT={current.proxy_keepalive_timeout}"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(label)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="title" x="{_MARGIN}" y="42">Every inner wait ends before the one around it</text>',
        f'<text class="quiet" x="{_MARGIN}" y="64">computed from {inputs}; seconds</text>',
        *_axis(longest, height),
        *_bars(groups, longest, current),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _shown(rung: Rung, group: str, current: ServerSettings) -> bool:
    return rung.group == group and rung.name not in _LEFT_OUT and value_of(rung, current) is not None


def _x(seconds: int, longest: int) -> int:
    """Return where on the axis a time is; whole pixels keep the text the same everywhere."""
    return _AXIS_LEFT + max(2, (_AXIS_RIGHT - _AXIS_LEFT) * seconds // longest) if seconds else _AXIS_LEFT


def _axis(longest: int, height: int) -> Iterator[str]:
    for second in _ticks(longest):
        x, y = _x(second, longest), height - _FOOTER + 12
        yield f'<text class="quiet" x="{x}" y="{y}" text-anchor="middle">{second}</text>'


def _ticks(longest: int) -> range:
    step = next((step for step in _NICE_STEPS if longest <= step * _TICKS), longest)
    return range(0, longest + 1, step)


def _bars(groups: list[tuple[str, list[Rung]]], longest: int, current: ServerSettings) -> Iterator[str]:
    y = _HEADER
    for key, rungs in groups:
        yield f'<text class="group {key}" x="{_MARGIN}" y="{y + 30}">{GROUPS[key].upper()}</text>'
        y += _GROUP
        bottom = y + _ROW * len(rungs) - 10
        for x in (_x(second, longest) for second in _ticks(longest)):
            yield f'<line class="grid" x1="{x}" x2="{x}" y1="{y - 6}" y2="{bottom}"/>'
        for rung in rungs:
            yield from _bar(rung, y, longest, current)
            y += _ROW


def _bar(rung: Rung, y: int, longest: int, current: ServerSettings) -> Iterator[str]:
    value = value_of(rung, current) or 0
    end = _x(value, longest)
    formula = _short_formula(rung, current)
    yield f'<text x="{_MARGIN}" y="{y + 8}">{rung.name}</text>'
    yield f'<text class="formula" x="{_MARGIN}" y="{y + 23}">{escape(formula)}</text>'
    yield f'<rect class="track" x="{_AXIS_LEFT}" y="{y}" width="{_AXIS_RIGHT - _AXIS_LEFT}" height="{_BAR}" rx="3"/>'
    yield (
        f'<rect class="{rung.group}" x="{_AXIS_LEFT}" y="{y}" width="{end - _AXIS_LEFT}" height="{_BAR}" rx="3">'
        f"<title>{escape(rung.why)}</title></rect>"
    )
    yield f'<text class="value" x="{_AXIS_RIGHT + 12}" y="{y + 14}">{value}</text>'
    yield f'<text class="quiet" x="{_AXIS_RIGHT + 60}" y="{y + 14}">{escape(rung.enforced_by)}</text>'


def _short_formula(rung: Rung, current: ServerSettings) -> str:
    """Return the symbol and the branch of the formula that applies."""
    if rung.formula is None:
        return f"{rung.symbol}, {rung.variable}"
    with_handover, _, without = rung.formula.partition(" if hands_over else ")
    formula = with_handover if current.hands_over or not without else without
    return f"{rung.symbol} = {formula}"
