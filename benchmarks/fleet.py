"""Recycling on several machines: the model of _model.py against measurements.

Instances on loopback stand for the machines; the processors are shared, so what is compared is counts, not throughput.
Each instance has one worker, and the application takes half a second to boot besides its imports. The model counts what
workers lose, so nginx leaves no instance out (``max_fails=0``); the last rows show what ``max_fails=1`` makes of it.

    python benchmarks/fleet.py --repeats 3 --seconds 12
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median

from _cell import WARM_UP_REQUESTS, Bench
from _model import Fleet
from _options import number, parser
from _peers import choose
from _report import Report, table
from _result import Result, Upstream
from _tables import Row, details, pool, results_table

__all__ = ["main"]

_MACHINES = (1, 2, 4)
_PEERS = ["handover-w1", "uvicorn-worker-w1"]
_JITTER = 0.05  # of max_requests, with one worker


@dataclass(frozen=True)
class _Check:
    """One prediction beside what was measured, all repeats together."""

    server: str
    machines: int
    load: str
    what: str
    predicted: float
    measured: float


def main() -> int:
    """Measure, write the report, and return the exit status: 0 if HandoverWorker has lost nothing."""
    options = _options()
    with Bench.open(options) as bench:
        report = Report("fleet", options)
        results = _rounds(bench)
    rows = pool(results)
    held = [row for row in rows if row.first.max_requests and not row.first.upstream.max_fails]
    checks = [check for row in held for check in _checks(row, rows, options)]
    sections = [
        ("Predicted and measured", _check_table(checks)),
        ("Measurements", results_table(rows)),
        ("Details", details(results)),
    ]
    figures = {"checks": [asdict(check) for check in checks]}
    print(report.write(sections=sections, figures=figures, results=results).read_text(encoding="utf-8"))
    return 1 if any(row.lost for row in rows if row.first.peer.startswith("handover")) else 0


def _options() -> argparse.Namespace:
    arguments = parser("Recycling on several machines, against the model.", seconds=12.0, rate=600.0, repeats=3)
    arguments.add_argument("--max-requests", type=int, default=600, help="requests after which a worker is replaced")
    arguments.add_argument("--boot-seconds", type=number, default=0.5, help="how long the application takes to boot")
    arguments.set_defaults(connections=48, peers=_PEERS)
    return arguments.parse_args()


def _rounds(bench: Bench) -> list[Result]:
    options = bench.options
    peers = [peer.booting(options.boot_seconds) for peer in choose(options.peers)]
    calm, busy = options.rate, None
    loads = [(calm, options.max_requests, 0), (calm, 0, 0), (busy, options.max_requests, 0)]
    cells = [(machines, peer, *load) for machines in _MACHINES for peer in peers for load in loads]
    cells += [(machines, peer, busy, options.max_requests, 1) for machines in _MACHINES[1:] for peer in peers]
    results: dict[tuple[object, ...], list[Result]] = {cell: [] for cell in cells}
    for repeat in range(options.repeats):
        for cell in cells if repeat % 2 == 0 else cells[::-1]:
            machines, peer, rate, max_requests, max_fails = cell
            upstream = Upstream(options.socket, options.pool == "on", machines, max_fails)
            results[cell].append(bench.measure(peer, bench.plan(rate), max_requests=max_requests, upstream=upstream))
    return [result for group in results.values() for result in group]


def _checks(row: Row, rows: Sequence[Row], options: argparse.Namespace) -> list[_Check]:
    """Hold the model against one row, with what it needs to know taken from the row without recycling."""
    first, full = row.first, row.first.mode == "full speed"
    machines = first.upstream.instances
    without = next(
        other
        for other in rows
        if (other.first.peer, other.first.upstream, other.first.max_requests) == (first.peer, first.upstream, 0)
    )
    hands_over = first.peer.startswith("handover")
    fleet = Fleet(
        machines=machines,
        workers=1,
        rate=median(row.rates),
        max_requests=options.max_requests * (1 + _JITTER / 2),
        boot_seconds=options.boot_seconds + first.boot_cpu_seconds,
        boot_cpu_seconds=mean(result.boot_cpu_seconds for result in row.results),
        in_flight=options.connections if full else options.rate * mean(o.mean_ms for o in without.outcomes) / 1000,
        successor_first=hands_over,
    )

    def check(what: str, predicted: float, measured: float) -> _Check:
        return _Check(first.peer, machines, first.mode, what, round(predicted, 2), round(measured, 2))

    boots = sum(fleet.boots(outcome.answered + WARM_UP_REQUESTS) for outcome in row.outcomes)
    found = [
        check("replacements booted", boots, row.booted),
        check("lost per replacement", fleet.lost_per_replacement, row.lost / max(1, row.booted)),
    ]
    if not full:
        spent = sum(now.cpu_seconds - base.cpu_seconds for now, base in zip(row.results, without.results, strict=True))
        slowest = median(without.slowest_ms) / 1000 if hands_over else fleet.boot_seconds
        found += [
            check("processor seconds per replacement", fleet.boot_cpu_seconds, spent / max(1, row.booted)),
            check("slowest request, seconds", slowest, median(row.slowest_ms) / 1000),
        ]
    return found


def _check_table(checks: Sequence[_Check]) -> str:
    header = ("server", "machines", "load", "what", "predicted", "measured")
    return table(
        header,
        (
            (
                check.server,
                str(check.machines),
                check.load,
                check.what,
                f"{check.predicted:g}",
                f"{check.measured:g}",
            )
            for check in checks
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
