"""Recycling under load: what each server loses when it replaces a worker every 1,000 requests.

Every server is measured twice in each way of offering load, with and without recycling, one right after the other: the
ratio of their slowest requests is what recycling costs. ``--million`` sends 1,000,000 POSTs to HandoverWorker alone, at
full speed, or with ``--modes rate`` at ``--rate``: then a worker really is replaced about every 1,000 requests.

    python benchmarks/recycle.py --peers handover-w2,uvicorn-worker-w2 --seconds 15
    python benchmarks/recycle.py --million
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from _cell import Bench
from _options import parser
from _peers import PEERS, Peer, choose
from _report import Report, table
from _tables import Row, details, pool, results_table, spread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _result import Result

__all__ = ["main"]

_MILLION = 1_000_000
_SECONDS_FOR_A_MILLION = 3600.0


@dataclass(frozen=True)
class _Ratio:
    """What recycling costs one server under one kind of load; each list has a value for each repeat."""

    server: str
    mode: str
    lost: int
    requests: int
    slowest_ms: list[float]
    slowest_without_ms: list[float]
    ratio: list[float]


def main() -> int:
    """Measure, write the report, and return the exit status: 0 if HandoverWorker has lost nothing."""
    options = _options()
    peers = choose(options.peers)
    with Bench.open(options) as bench:
        name = "recycle" if not options.million else f"recycle-million-{'rate' if options.modes == 'rate' else 'full'}"
        report = Report(name, options)
        results, errors = _million(bench) if options.million else _rounds(bench, peers)
    rows = pool(results)
    ratios = _ratios(rows)
    sections = [
        *([("What recycling costs", _ratio_table(ratios))] if ratios else []),
        *(
            (f"Measurements, {mode}", results_table(_of(rows, mode)))
            for mode in dict.fromkeys(row.first.mode for row in rows)
        ),
        ("Details", details(results)),
        *([("Not measured", "\n".join(f"- {error}" for error in errors))] if errors else []),
    ]
    figures = {"ratios": [asdict(ratio) for ratio in ratios], "not_measured": errors}
    path = report.write(sections=sections, figures=figures, results=results)
    print(path.read_text(encoding="utf-8"))
    ours = [row for row in rows if row.first.peer.startswith("handover")]
    return 1 if errors or any(row.lost for row in ours) else 0


def _options() -> argparse.Namespace:
    arguments = parser("Recycling under load, side by side.", seconds=15.0, rate=1000.0)
    arguments.add_argument("--max-requests", type=int, default=1000, help="requests after which a worker is replaced")
    arguments.add_argument("--modes", choices=("both", "rate", "full"), default="both", help="how load is offered")
    arguments.add_argument("--no-baseline", action="store_true", help="leave out the runs without recycling")
    arguments.add_argument("--million", action="store_true", help="1,000,000 POSTs to handover-w2 alone")
    return arguments.parse_args()


def _million(bench: Bench) -> tuple[list[Result], list[str]]:
    plan = bench.plan(rate=bench.options.rate if bench.options.modes == "rate" else None)
    plan = replace(plan, requests=plan.requests or _MILLION, seconds=max(plan.seconds, _SECONDS_FOR_A_MILLION))
    peer = next(peer for peer in PEERS if peer.name == "handover-w2")
    return [bench.measure(peer, plan, max_requests=bench.options.max_requests)], []


def _rounds(bench: Bench, peers: list[Peer]) -> tuple[list[Result], list[str]]:
    options = bench.options
    rates = {"both": (options.rate, None), "rate": (options.rate,), "full": (None,)}[options.modes]
    results: list[Result] = []
    errors: list[str] = []
    for _ in range(options.repeats):
        for rate in rates:
            for peer in peers:
                for max_requests in (options.max_requests, 0):
                    if (max_requests and not peer.recycles) or (not max_requests and options.no_baseline):
                        continue
                    try:
                        results.append(bench.measure(peer, bench.plan(rate), max_requests=max_requests))
                    except RuntimeError as error:
                        print(f"    {error}", file=sys.stderr, flush=True)
                        errors.append(f"{peer.name}: {error}")
    return results, errors


def _of(rows: Iterable[Row], mode: str) -> list[Row]:
    return [row for row in rows if row.first.mode == mode]


def _ratios(rows: Iterable[Row]) -> list[_Ratio]:
    found = {(row.first.mode, row.server, bool(row.first.max_requests)): row for row in rows}
    pairs = ((row, found.get((mode, server, False))) for (mode, server, recycles), row in found.items() if recycles)
    return [
        _Ratio(
            server=row.server,
            mode=row.first.mode,
            lost=row.lost,
            requests=row.requests,
            slowest_ms=row.slowest_ms,
            slowest_without_ms=without.slowest_ms,
            ratio=[with_ / none for with_, none in zip(row.slowest_ms, without.slowest_ms, strict=False) if none],
        )
        for row, without in pairs
        if without is not None
    ]


def _ratio_table(ratios: Iterable[_Ratio]) -> str:
    header = ("server", "load", "lost", "of", "slowest ms, recycling", "slowest ms, not", "ratio")
    return table(
        header,
        (
            (
                *(ratio.server, ratio.mode, f"**{ratio.lost:,}**" if ratio.lost else "0", f"{ratio.requests:,}"),
                *(spread(ratio.slowest_ms), spread(ratio.slowest_without_ms), spread(ratio.ratio, ".2f")),
            )
            for ratio in ratios
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
