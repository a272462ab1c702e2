"""A result as one page that works offline: no script, no font, no request; light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from no502.lab.charts import latency_chart, requests_chart, workers_chart
from no502.lab.scenario import Result
from no502.lab.side import Side
from no502.lab.text import log_lines, verdict

__all__ = ["to_html"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #667085; --line: #d0d5dd;
  --ok: #2e7d32; --bad: #c62828; --worker: #1565c0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --paper: #14171a; --soft: #98a2b3; --line: #344054; --ok: #66bb6a; --bad: #ef5350;
    --worker: #64b5f6; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { border-top: 1px solid var(--line); font-size: 1.2rem; margin-top: 2rem;
  padding-top: 1rem; } h3 { font-size: 1rem; margin: 0; }
.sides { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.side { border: 1px solid var(--line); border-radius: 6px; min-width: 0; padding: .75rem; }
.soft { color: var(--soft); } .bad { color: var(--bad); } .ok { color: var(--ok); }
pre { font-size: .8rem; overflow-wrap: anywhere; white-space: pre-wrap; }
svg { display: block; height: auto; width: 100%; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
"""


def to_html(results: Sequence[Result], versions: str) -> str:
    """Return the page.

    Args:
        results: What was played.
        versions: The programs and their versions, in one line.
    """
    body = "\n".join(_result(result) for result in results)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>no502 lab</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>no502 lab</h1>\n<p>{escape(verdict(results))}.</p>\n"
        f'<p class="soft">{escape(versions)}. Green: the response that the client should get; red: anything else.</p>\n'
        f"{body}\n</body>\n</html>\n"
    )


def _result(result: Result) -> str:
    scenario = result.scenario
    width = max([1.0, *(event.at + event.seconds for side in (result.wild, result.fixed) for event in side.events)])
    sides = _side(result, "In the wild", result.wild, width) + _side(result, "With no502", result.fixed, width)
    return (
        f'<section id="{escape(scenario.name)}">\n<h2>{escape(scenario.title)}</h2>\n<p>{escape(scenario.cause)}</p>\n'
        f'<div class="sides">\n{sides}</div>\n<p><b>What changed.</b> {escape(scenario.change)}</p>\n</section>'
    )


def _side(result: Result, name: str, side: Side, seconds: float) -> str:
    mark = "bad" if side.failures else "ok"
    outcomes = ", ".join(f"{count:,} x {outcome}" for outcome, count in side.outcomes.items())
    log = "\n".join(log_lines(result, side))
    shown = f"<pre>{escape(log)}</pre>\n" if log else ""
    charts = "\n".join((requests_chart(side, seconds), latency_chart(side), workers_chart(side, seconds)))
    count = f"{side.failures:,} of {len(side.events):,} failed"
    return (
        f'<div class="side">\n<h3>{name}: <span class="{mark}">{count}</span></h3>\n'
        f'<p class="soft">{escape(side.setup)}</p>\n<p>{escape(outcomes)}</p>\n{charts}\n{shown}</div>\n'
    )
