"""Reloads under load: what each server loses on SIGHUP.

Each SIGHUP is sent when the log says that the workers of the generation before are gone: 100 times to HandoverWorker,
4 times to the others, with a load of 500 requests per second all the while. Nothing recycles here.

    python benchmarks/reload.py --peers handover-w2 --reloads 10
"""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from _cell import Bench, LineUp
from _options import parser
from _peers import choose
from _report import Report, table
from _tables import details, pool, results_table

from no502.serve.waiting import wait_until

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from _load import Load
    from _result import Result
    from _servers import Server

__all__ = ["main"]

_SECONDS_PER_RELOAD = 90.0  # at most
_SECONDS_PER_REPORT = 5.0


def main() -> int:
    """Measure, write the report, and return the exit status: 0 if HandoverWorker has lost nothing."""
    options = _options()
    peers = choose(options.peers)
    results: list[Result] = []
    errors: list[str] = []
    with Bench.open(options) as bench:
        report = Report("reload", options)
        for _ in range(options.repeats):
            for peer in peers:
                count = options.reloads if peer.name.startswith("handover") else options.peer_reloads
                plan = replace(bench.plan(options.rate), seconds=count * (_SECONDS_PER_RELOAD + options.pause))
                meanwhile = partial(_reload, count=count, pause=options.pause)
                try:
                    results.append(bench.measure(peer, plan, max_requests=0, meanwhile=meanwhile))
                except RuntimeError as error:
                    print(f"    {error}", file=sys.stderr, flush=True)
                    errors.append(f"{peer.name}: {error}")
    sections = [
        ("What a reload costs", _per_reload(results)),
        ("Measurements", results_table(pool(results))),
        ("Details", details(results)),
        *([("Not measured", "\n".join(f"- {error}" for error in errors))] if errors else []),
    ]
    path = report.write(sections=sections, figures={"not_measured": errors}, results=results)
    print(path.read_text(encoding="utf-8"))
    ours = [result for result in results if result.peer.startswith("handover")]
    return 1 if errors or any(result.outcome.lost or result.note for result in ours) else 0


def _options() -> argparse.Namespace:
    arguments = parser("Reloads (SIGHUP) under load, side by side.", seconds=_SECONDS_PER_RELOAD, rate=500.0)
    arguments.add_argument("--reloads", type=int, default=100, help="how many SIGHUPs HandoverWorker gets")
    arguments.add_argument("--peer-reloads", type=int, default=4, help="how many SIGHUPs every other server gets")
    arguments.add_argument("--pause", type=float, default=1.0, help="seconds between a reload's end and the next one")
    return arguments.parse_args()


def _reload(stage: LineUp, load: Load, *, count: int, pause: float) -> tuple[list[float], str]:
    """Send the signals; return how long each generation took to go, and why there were fewer."""
    [server] = stage.servers
    times: list[float] = []
    reported = time.monotonic()
    time.sleep(pause)
    for number in range(1, count + 1):
        began = time.monotonic()
        server.signal(signal.SIGHUP)
        try:
            wait_until(
                partial(_gone, server, number), seconds=_SECONDS_PER_RELOAD - 10, what=f"the end of generation {number}"
            )
        except RuntimeError as error:
            return times, f"{len(times)} of {count} reloads: {error}"
        times.append(time.monotonic() - began)
        if not load.running:
            return times, f"{len(times)} of {count} reloads: the load has ended"
        if time.monotonic() - reported >= _SECONDS_PER_REPORT:
            reported = time.monotonic()
            progress = f"{number} reloads, {load.answered:,} answered, {load.lost.total()} lost"
            print(f"    {progress}", file=sys.stderr, flush=True)
        time.sleep(pause)
    return times, ""


def _gone(server: Server, generation: int) -> bool:
    server.check()
    ready, gone = server.generations()
    return ready > generation and gone >= generation


def _per_reload(results: Iterable[Result]) -> str:
    header = ("server", "reloads", "lost", "of", "lost per reload", "slowest ms", "median s until the old are gone")
    return table(
        header,
        (
            (
                *(result.peer, str(len(result.reloads)), f"**{lost:,}**" if lost else "0"),
                *(f"{result.outcome.requests:,}", f"{lost / max(1, len(result.reloads)):.2f}"),
                *(f"{result.outcome.slowest_ms:,.0f}", f"{median(result.reloads or [0.0]):.1f}"),
            )
            for result in results
            for lost in [result.outcome.lost]
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
