"""Line charts as SVG, legible on a light and on a dark page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Line", "draw"]

_INK = "#7a828c"  # enough contrast on white and on near-black
_COLOURS = ("#2b8a5f", "#3b82d0", "#d1603d")


@dataclass(frozen=True)
class Line:
    """One line: its name and its points."""

    name: str
    across: Sequence[float]
    up: Sequence[float]


def draw(path: Path, across: str, up: str, lines: Sequence[Line]) -> None:
    """Write a chart with logarithmic axes.

    Args:
        path: The file; the directory is made.
        across: What the horizontal axis counts.
        up: What the vertical axis counts.
        lines: What to draw.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    path.parent.mkdir(parents=True, exist_ok=True)
    coloured = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = {"svg.hashsalt": path.name, "svg.fonttype": "none"} | dict.fromkeys(coloured, _INK)
    with mpl.rc_context(settings):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for line, colour in zip(lines, _COLOURS, strict=False):
            axes.plot(line.across, line.up, marker="o", color=colour, label=line.name)
        axes.set(xscale="log", yscale="log", xlabel=across, ylabel=up)
        axes.set_xticks(list(lines[0].across))
        axes.minorticks_off()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(ScalarFormatter())
        axes.grid(color=_INK, alpha=0.25)
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
