"""A result as text and as data."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from no502.doctor.logs.findings import classify
from no502.doctor.logs.parse import parse
from no502.lab.scenario import Result
from no502.lab.side import Side

__all__ = ["log_lines", "message_of", "to_data", "to_text", "verdict"]

_WIDTH = 100
_LOG_LINES = 3


def verdict(results: Sequence[Result]) -> str:
    """Return the one line that sums it up."""
    seen = sum(result.reproduced for result in results)
    gone = sum(result.removed for result in results)
    scenarios = "1 scenario" if len(results) == 1 else f"{len(results)} scenarios"
    return f"{scenarios}: {seen} failure{'s' * (seen != 1)} seen in the wild, {gone} gone with no502"


def to_text(result: Result) -> str:
    """Return what happened on both sides, for reading."""
    scenario = result.scenario
    lines = [f"{scenario.name}: {scenario.title}", *_wrapped("why", scenario.cause)]
    for name, side in (("in the wild", result.wild), ("with no502", result.fixed)):
        lines += ["", f"  {name}", *_wrapped("ran", side.setup), *_wrapped("client", _outcomes(side))]
        lines += [f"    {'log' if number == 0 else '':8}{line}" for number, line in enumerate(log_lines(result, side))]
    lines += ["", *_wrapped("changed", scenario.change)]
    if not result.reproduced:
        lines += _wrapped("note", "the failure did not show in the wild this time: it is a race; run it again")
    if not result.removed:
        lines += _wrapped("note", "requests failed with no502: please report this output")
    return "\n".join(lines) + "\n"


def to_data(result: Result) -> dict[str, Any]:
    """Return the result as JSON types: counts, latencies in seconds, log lines and worker events."""
    return {
        "scenario": result.scenario.name,
        "title": result.scenario.title,
        "reproduced": result.reproduced,
        "removed": result.removed,
        "wild": _side(result, result.wild),
        "no502": _side(result, result.fixed),
    }


def _side(result: Result, side: Side) -> dict[str, Any]:
    return {
        "setup": side.setup,
        "requests": len(side.events),
        "failures": side.failures,
        "outcomes": side.outcomes,
        "latency": {name: round(side.percentile(part), 4) for name, part in _PARTS.items()},
        "log": log_lines(result, side),
        "workers": [{"at": round(event.at, 2), "pid": event.pid, "arrives": event.arrives} for event in side.workers],
    }


_NGINX = re.compile(r"nginx: \[(\w+)\] (.+)")
_PARTS = {"p50": 0.5, "p99": 0.99, "slowest": 1.0}


def _outcomes(side: Side) -> str:
    counts = ", ".join(f"{count} x {outcome}" for outcome, count in side.outcomes.items()) or "nothing"
    return f"{counts}; slowest {side.percentile(1.0):.2f} s"


def log_lines(result: Result, side: Side) -> list[str]:
    """Return the most frequent lines that belong to the scenario, each with its count."""
    lines = [re.sub(r"\bpid:\d+|\bworker \d+", lambda found: re.sub(r"\d+", "N", found[0]), line) for line in side.log]
    counts = Counter(line for line in lines if message_of(line) in result.scenario.logged)
    return [f"{count} x {line}" for line, count in counts.most_common(_LOG_LINES)]


def message_of(line: str) -> str:
    """Return the id of the message of the catalogue that a line of a side's log is; empty where it is none.

    Args:
        line: Such as ``nginx: [error] no live upstreams while connecting to upstream``.
    """
    nginx = _NGINX.fullmatch(line)
    raw = f"2026/01/01 00:00:00 [{nginx[1]}] 1#1: *1 {nginx[2]}" if nginx else line.removeprefix("gunicorn: ")
    parsed = parse(raw.encode())
    message = classify(parsed) if parsed is not None else None
    return message.id if message is not None else ""


def _wrapped(label: str, text: str) -> list[str]:
    indent = " " * 12
    return textwrap.wrap(text, _WIDTH, initial_indent=f"    {label:8}", subsequent_indent=indent)
