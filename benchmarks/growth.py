"""How the handover's costs grow: offered load, connections, workers, and the application's boot time.

Each sweep changes one number and holds the others. Recycling is on throughout, every 1,000 requests, so that "nothing
lost" is checked at every point; the plots show latency and where a straight line ends.

    python benchmarks/growth.py --seconds 8
    python benchmarks/growth.py --sweeps boot --seconds 20
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from _cell import Bench, Result
from _options import names, parser
from _peers import PEERS, Peer, Setup
from _plot import Line, draw
from _report import Report, table
from _tables import details

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _load import Plan

__all__ = ["main"]

_HANDOVER = next(peer for peer in PEERS if peer.name == "handover-w2")
_BOOT = "BENCH_BOOT_SECONDS"
_STEADY_RATE = 500.0


@dataclass(frozen=True)
class _Sweep:
    """One number that grows.

    Attributes:
        name: How it is chosen.
        title: What grows, with its unit.
        values: Its values.
        measure: What is run at one value: the peer, and the load of the command line changed.
    """

    name: str
    title: str
    values: Sequence[float]
    measure: Callable[[float, Plan], tuple[Peer, Plan]]


def _booting(seconds: float) -> Peer:
    before = _HANDOVER.environment

    def environment(setup: Setup) -> dict[str, str]:
        return before(setup) | {_BOOT: str(seconds)}

    return replace(_HANDOVER, environment=environment)


_SWEEPS = (
    _Sweep(
        "load", "requests per second offered", (100, 250, 500, 1000, 2000, 4000),
        lambda rate, plan: (_HANDOVER, replace(plan, rate=rate)),
    ),
    _Sweep(
        "connections", "busy client connections (full speed)", (10, 50, 200, 1000, 5000),
        lambda count, plan: (_HANDOVER, replace(plan, rate=None, connections=int(count))),
    ),
    _Sweep(
        "workers", "workers (full speed)", (1, 2, 4, 8),
        lambda count, plan: (replace(_HANDOVER, workers=int(count)), replace(plan, rate=None)),
    ),
    _Sweep(
        "boot", "seconds that the application takes to boot", (0.1, 0.5, 1, 2, 5),
        lambda seconds, plan: (_booting(seconds), replace(plan, rate=_STEADY_RATE)),
    ),
)  # fmt: skip


def main() -> int:
    """Measure, write the report and the plots, and return 0 if nothing was lost."""
    options = _options()
    chosen = [sweep for sweep in _SWEEPS if not options.sweeps or sweep.name in options.sweeps]
    with Bench.open(options) as bench:
        report = Report("growth", options, bench.nginx)
        measured = {sweep.name: [_measure(bench, sweep, value) for value in sweep.values] for sweep in chosen}
    sections: list[tuple[str, str]] = []
    for sweep in chosen:
        picture = f"growth-{sweep.name}.svg"
        draw(options.out / picture, sweep.title, "milliseconds", _lines(sweep, measured[sweep.name]))
        text = f"![Latency against {sweep.title}]({picture})\n\n{_table(sweep, measured[sweep.name])}"
        sections.append((f"Growing: {sweep.title}", text))
    results = [result for row in measured.values() for result in row]
    sections.append(("Details", details(results)))
    figures: dict[str, Any] = {sweep.name: list(sweep.values) for sweep in chosen}
    print(report.write(sections=sections, figures={"sweeps": figures}, results=results).read_text(encoding="utf-8"))
    return 1 if any(result.outcome.lost for result in results) else 0


def _options() -> argparse.Namespace:
    arguments = parser("Costs of the handover as one number grows.", seconds=8.0, rate=_STEADY_RATE)
    arguments.add_argument("--max-requests", type=int, default=1000, help="requests after which a worker is replaced")
    known = ", ".join(sweep.name for sweep in _SWEEPS)
    arguments.add_argument("--sweeps", type=names, default=[], help=f"comma list of {known} (default: all)")
    options = arguments.parse_args()
    unknown = set(options.sweeps) - {sweep.name for sweep in _SWEEPS}
    if unknown:
        arguments.error(f"--sweeps {','.join(sorted(unknown))}: unknown; there are {known}")
    return options


def _measure(bench: Bench, sweep: _Sweep, value: float) -> Result:
    peer, plan = sweep.measure(value, bench.plan(bench.options.rate))
    return bench.measure(peer, plan, max_requests=bench.options.max_requests)


def _table(sweep: _Sweep, results: Sequence[Result]) -> str:
    header = (sweep.title, "requests", "lost", "answered/s", "p50 ms", "p99 ms", "slowest ms", "handovers", "drain s")
    rows = []
    for value, result in zip(sweep.values, results, strict=True):
        outcome, found = result.outcome, result.handovers
        left = sum(found.left.values()) if found else 0
        lost = f"**{outcome.lost}**" if outcome.lost else "0"
        latencies = (f"{ms:,.1f}" for ms in (outcome.p50_ms, outcome.p99_ms, outcome.slowest_ms))
        drain = f"{found.median_drain:.1f}" if found and left else "-"
        rows.append((f"{value:g}", f"{outcome.requests:,}", lost, f"{outcome.rate:,.0f}", *latencies, str(left), drain))
    return table(header, rows)


def _lines(sweep: _Sweep, results: Sequence[Result]) -> list[Line]:
    outcomes = [result.outcome for result in results]
    series = (
        ("half below", [outcome.p50_ms for outcome in outcomes]),
        ("99 % below", [outcome.p99_ms for outcome in outcomes]),
        ("slowest", [outcome.slowest_ms for outcome in outcomes]),
    )
    return [Line(name, list(sweep.values), heights) for name, heights in series]


if __name__ == "__main__":
    sys.exit(main())
