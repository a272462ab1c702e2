"""How the handover's costs grow: offered load, connections, workers, and the application's boot time.

Each sweep changes one number and holds the others. Recycling is on throughout, every 500 requests, so that "nothing
lost" is checked at every point; the plots show latency and where a straight line ends.

    python benchmarks/growth.py --repeats 3 --seconds 10
    python benchmarks/growth.py --sweeps boot --seconds 20
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from _cell import Bench
from _options import names, parser
from _peers import PEERS, Peer
from _plot import Line, draw
from _report import Report, table
from _tables import Row, details, lost, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _load import Plan
    from _result import Result

__all__ = ["main"]

_HANDOVER = next(peer for peer in PEERS if peer.name == "handover-w2")
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
        lambda seconds, plan: (_HANDOVER.booting(seconds), replace(plan, rate=_STEADY_RATE)),
    ),
)  # fmt: skip


def main() -> int:
    """Measure, write the report and the plots, and return 0 if nothing was lost."""
    options = _options()
    chosen = [sweep for sweep in _SWEEPS if not options.sweeps or sweep.name in options.sweeps]
    with Bench.open(options) as bench:
        report = Report("growth", options)
        measured: dict[str, list[list[Result]]] = {sweep.name: [[] for _ in sweep.values] for sweep in chosen}
        for _ in range(options.repeats):
            for sweep in chosen:
                for value, results in zip(sweep.values, measured[sweep.name], strict=True):
                    results.append(_measure(bench, sweep, value))
    sections: list[tuple[str, str]] = []
    for sweep in chosen:
        picture = f"growth-{sweep.name}.svg"
        rows = [Row(results) for results in measured[sweep.name]]
        draw(options.out / picture, sweep.title, "milliseconds", _lines(sweep, rows))
        text = f"![Latency against {sweep.title}]({picture})\n\n{_table(sweep, rows)}"
        sections.append((f"Growing: {sweep.title}", text))
    results = [result for points in measured.values() for repeats in points for result in repeats]
    sections.append(("Details", details(results)))
    figures: dict[str, Any] = {sweep.name: list(sweep.values) for sweep in chosen}
    print(report.write(sections=sections, figures={"sweeps": figures}, results=results).read_text(encoding="utf-8"))
    return 1 if any(result.outcome.lost for result in results) else 0


def _options() -> argparse.Namespace:
    arguments = parser("Costs of the handover as one number grows.", seconds=10.0, rate=_STEADY_RATE, repeats=3)
    arguments.add_argument("--max-requests", type=int, default=500, help="requests after which a worker is replaced")
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


def _table(sweep: _Sweep, rows: Sequence[Row]) -> str:
    header = (sweep.title, "requests", "lost", "answered/s", "p50 ms", "p99 ms", "slowest ms", "handovers", "drain s")
    return table(header, (_cells(value, row) for value, row in zip(sweep.values, rows, strict=True)))


def _cells(value: float, row: Row) -> tuple[str, ...]:
    drains = [result.handovers.median_drain for result in row.results if result.handovers and result.handovers.left]
    return (
        *(f"{value:g}", f"{row.requests:,}", lost(row), spread(row.rates)),
        *(spread((o.p50_ms for o in row.outcomes), ",.1f"), spread((o.p99_ms for o in row.outcomes), ",.1f")),
        *(spread(row.slowest_ms), str(row.handovers or 0), spread(drains, ".1f") if drains else "-"),
    )


def _lines(sweep: _Sweep, rows: Sequence[Row]) -> list[Line]:
    series = {
        "half below": [median(outcome.p50_ms for outcome in row.outcomes) for row in rows],
        "99 % below": [median(outcome.p99_ms for outcome in row.outcomes) for row in rows],
        "slowest": [median(row.slowest_ms) for row in rows],
    }
    return [Line(name, list(sweep.values), heights) for name, heights in series.items()]


if __name__ == "__main__":
    sys.exit(main())
