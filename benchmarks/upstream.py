"""What is between nginx and the server: TCP or a unix socket, kept connections or a new one for each request.

Workers are recycled all the while, so that "lost" counts in each of the four ways. Every repeat goes through all of
them before the next begins, and every second one backwards.

    python benchmarks/upstream.py --repeats 3 --seconds 6
"""

from __future__ import annotations

import sys
from statistics import median
from typing import TYPE_CHECKING, Any

from _cell import Bench
from _options import parser
from _peers import choose
from _report import Report, table
from _result import Result, Upstream
from _tables import Row, details, lost, pool, results_table, spread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

__all__ = ["main"]

_WAYS = tuple(Upstream(socket, pool) for socket in ("tcp", "unix") for pool in (True, False))
_PEERS = ["handover-w2", "uvicorn-worker-w2", "gunicorn-asgi-w2", "uvicorn-w2", "hypercorn-w2"]


def main() -> int:
    """Measure, write the report, and return the exit status: 0 if HandoverWorker has lost nothing."""
    options = _options()
    with Bench.open(options) as bench:
        report = Report("upstream", options)
        results, errors = _rounds(bench)
    rows = pool(results)
    modes = dict.fromkeys(row.first.mode for row in rows)
    sections = [
        (
            "Full speed, against kept TCP connections",
            _comparison([row for row in rows if row.first.mode == "full speed"]),
        ),
        *((f"Measurements, {mode}", results_table(row for row in rows if row.first.mode == mode)) for mode in modes),
        ("Details", details(results)),
        *([("Not measured", "\n".join(f"- {error}" for error in errors))] if errors else []),
    ]
    figures: dict[str, Any] = {"not_measured": errors}
    print(report.write(sections=sections, figures=figures, results=results).read_text(encoding="utf-8"))
    ours = [row for row in rows if row.first.peer.startswith("handover")]
    return 1 if errors or any(row.lost for row in ours) else 0


def _options() -> argparse.Namespace:
    arguments = parser("TCP or unix socket, kept connections or none.", seconds=6.0, rate=1000.0, repeats=3)
    arguments.add_argument("--max-requests", type=int, default=1000, help="requests after which a worker is replaced")
    arguments.set_defaults(peers=_PEERS)
    return arguments.parse_args()


def _rounds(bench: Bench) -> tuple[list[Result], list[str]]:
    results: list[Result] = []
    errors: list[str] = []
    cells = [
        (peer, rate, way)
        for peer in choose(bench.options.peers)
        for rate in (bench.options.rate, None)
        for way in _WAYS
    ]
    for number in range(bench.options.repeats):
        for peer, rate, way in cells if number % 2 == 0 else cells[::-1]:
            max_requests = bench.options.max_requests if peer.recycles else 0
            try:
                results.append(bench.measure(peer, bench.plan(rate), max_requests=max_requests, upstream=way))
            except RuntimeError as error:
                print(f"    {error}", file=sys.stderr, flush=True)
                errors.append(f"{peer.name}, {way}: {error}")
    return sorted(results, key=lambda result: (result.peer, result.mode, _WAYS.index(result.upstream))), errors


def _comparison(rows: Iterable[Row]) -> str:
    rows = list(rows)
    plain = {row.first.peer: median(row.rates) for row in rows if row.first.upstream == Upstream()}
    header = ("server", "socket", "pool", "rate against TCP with pool", "answered/s", "lost", "of")
    body = []
    for row in rows:
        way, base = row.first.upstream, plain.get(row.first.peer)
        against = f"{median(row.rates) / base:.2f}" if base else "-"
        pooled = "on" if way.pool else "off"
        body.append((row.first.peer, way.socket, pooled, against, spread(row.rates), lost(row), f"{row.requests:,}"))
    return table(header, body)


if __name__ == "__main__":
    sys.exit(main())
