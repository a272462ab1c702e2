"""What each server does with several times the load that its application can serve, when nothing bounds it.

The application has a known capacity (_app_places.py); a client gives up after five seconds. uvicorn is run with its own
``--limit-concurrency`` as well. What the generated service does, which has bounds, is measured by overload.py.

    python benchmarks/overload_peers.py --factor 4 --seconds 15
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from _app_places import PLACES, SECONDS
from _cell import Bench
from _options import number, parser
from _peers import PEERS, Peer, choose
from _report import Report, table
from _tables import Row, details, pool, spread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from _peers import Setup
    from _result import Result

__all__ = ["main"]

_PATIENCE_SECONDS = 5.0
_LIMIT = "100"


def main() -> int:
    """Measure, write the report, and return 0."""
    options = _options()
    results: list[Result] = []
    peers = [*choose(options.peers), _limited(next(peer for peer in PEERS if peer.name == "uvicorn-w2"))]
    with Bench.open(options) as bench:
        report = Report("overload-peers", options)
        for repeat in range(options.repeats):
            for peer in peers if repeat % 2 == 0 else peers[::-1]:
                plan = replace(bench.plan(_capacity(peer) * options.factor), answer_seconds=_PATIENCE_SECONDS)
                results.append(bench.measure(peer, plan, max_requests=0))
    rows = pool(results)
    text = (
        f"A client waits for {_PATIENCE_SECONDS:g} s. Capacity: {PLACES / SECONDS:g} requests a second for each "
        f"worker; {options.factor:g} times as many are offered."
    )
    sections = [
        ("Overload without a bound", f"{text}\n\n{_table(rows, {peer.name: _capacity(peer) for peer in peers})}"),
        ("Details", details(results)),
    ]
    print(report.write(sections=sections, figures={}, results=results).read_text(encoding="utf-8"))
    return 0


def _options() -> argparse.Namespace:
    arguments = parser("Several times what each server can serve.", seconds=15.0, rate=1.0, repeats=3)
    arguments.add_argument("--factor", type=number, default=4.0, help="offered load, in capacities")
    arguments.set_defaults(app="places")
    return arguments.parse_args()


def _capacity(peer: Peer) -> float:
    return peer.workers * PLACES / SECONDS


def _limited(uvicorn: Peer) -> Peer:
    def command(setup: Setup) -> list[str]:
        return [*uvicorn.command(setup), "--limit-concurrency", _LIMIT]

    return replace(uvicorn, name=f"{uvicorn.name}, --limit-concurrency {_LIMIT}", command=command)


def _table(rows: Sequence[Row], capacities: dict[str, float]) -> str:
    header = ("server", "offered/s", "answered/s", "of capacity", "p99 ms", "503", "gave up", "others lost", "of")
    return table(header, (_cells(row, capacities[row.first.peer]) for row in rows))


def _cells(row: Row, capacity: float) -> tuple[str, ...]:
    reasons: dict[str, int] = {}
    for outcome in row.outcomes:
        for reason, count in outcome.lost_by_reason.items():
            reasons[reason] = reasons.get(reason, 0) + count
    refused = reasons.pop("status 503", 0)
    gave_up = sum(reasons.pop(reason) for reason in list(reasons) if "no answer" in reason)
    return (
        *(row.server, row.first.mode.removesuffix("/s offered"), spread(row.rates)),
        spread((min(rate, capacity) / capacity for rate in row.rates), ".0%"),
        spread(outcome.p99_ms for outcome in row.outcomes),
        *(f"{refused:,}", f"{gave_up:,}", f"{sum(reasons.values()):,}", f"{row.requests:,}"),
    )


if __name__ == "__main__":
    sys.exit(main())
