"""Two instances behind one nginx, restarted one after the other under load: a deploy without any orchestrator.

Each server is restarted in two ways. *As it is*: SIGTERM, wait for the end, start; nginx finds out by itself. *Taken
out first*, as the generated service's ``ops/rolling-restart`` does: nginx is told to send nothing to the instance,
and only then it is restarted.

    python benchmarks/rolling.py --peers handover-w2,uvicorn-worker-w2 --rounds 3
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from _cell import Bench, LineUp
from _options import parser, whole_number
from _peers import choose
from _report import Report, table
from _result import Result, Upstream
from _tables import details, lost, pool, results_table, spread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from _load import Load

__all__ = ["main"]

_SECONDS_PER_RESTART = 90.0  # at most
_SETTLE_SECONDS = 1.0  # until nginx's old worker processes send nothing any more
_FAIL_TIMEOUT_SECONDS = 1.0  # as in _nginx.py
_WAYS = {"as it is": False, "marked `down` first": True}


def main() -> int:
    """Measure, write the report, and return 0 if HandoverWorker, marked `down` first, has lost nothing."""
    options = _options()
    results: list[Result] = []
    errors: list[str] = []
    with Bench.open(options) as bench:
        report = Report("rolling", options)
        upstream = Upstream(options.socket, options.pool == "on", instances=2)
        plan = replace(bench.plan(options.rate), seconds=options.rounds * 2 * _SECONDS_PER_RESTART)
        for number in range(options.repeats):
            cells = [(peer, way) for peer in choose(options.peers) for way in _WAYS]
            for peer, way in cells if number % 2 == 0 else cells[::-1]:
                meanwhile = partial(_restart_all, rounds=options.rounds, way=way)
                try:
                    results.append(bench.measure(peer, plan, max_requests=0, upstream=upstream, meanwhile=meanwhile))
                except RuntimeError as error:
                    print(f"    {error}", file=sys.stderr, flush=True)
                    errors.append(f"{peer.name}, {way}: {error}")
    sections = [
        ("What a rolling restart costs", _per_restart(results)),
        ("Measurements", results_table(pool(results))),
        ("Details", details(results)),
        *([("Not measured", "\n".join(f"- {error}" for error in errors))] if errors else []),
    ]
    path = report.write(sections=sections, figures={"not_measured": errors}, results=results)
    print(path.read_text(encoding="utf-8"))
    ours = [result for result in results if result.peer.startswith("handover") and _WAYS[result.note]]
    return 1 if errors or any(result.outcome.lost for result in ours) else 0


def _options() -> argparse.Namespace:
    arguments = parser("Two instances restarted one after the other.", seconds=_SECONDS_PER_RESTART, rate=500.0)
    arguments.add_argument("--rounds", type=whole_number, default=3, help="how often both instances are restarted")
    return arguments.parse_args()


def _restart_all(stage: LineUp, load: Load, *, rounds: int, way: str) -> tuple[list[float], str]:
    """Restart every instance; return how long each took, from SIGTERM until it served again."""
    times: list[float] = []
    time.sleep(_SETTLE_SECONDS)
    for _ in range(rounds):
        for server, address in zip(stage.servers, stage.addresses, strict=True):
            if _WAYS[way]:
                stage.nginx.take_out(address)
                time.sleep(_SETTLE_SECONDS)
            began = time.monotonic()
            server.restart()
            times.append(time.monotonic() - began)
            if _WAYS[way]:
                stage.nginx.take_out()
            time.sleep(_FAIL_TIMEOUT_SECONDS + _SETTLE_SECONDS)
            if not load.running:
                message = f"the load ended after {len(times)} restarts"
                raise RuntimeError(message)
    return times, way


def _per_restart(results: Iterable[Result]) -> str:
    header = ("server", "restarts", "lost", "of", "lost per restart", "slowest ms", "median s per restart")
    rows = []
    everything = list(results)
    for row in pool(everything):
        times = [
            seconds
            for result in everything
            if (result.peer, result.note) == (row.first.peer, row.first.note)
            for seconds in result.reloads
        ]
        cells = (row.server, str(len(times)), lost(row), f"{row.requests:,}", f"{row.lost / max(1, len(times)):.2f}")
        rows.append((*cells, spread(row.slowest_ms), f"{median(times or [0.0]):.1f}"))
    return table(header, rows)


if __name__ == "__main__":
    sys.exit(main())
