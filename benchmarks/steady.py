"""What the handover costs when nothing leaves: throughput against uvicorn-worker's, and the price of the import.

The servers take turns, and every second round goes through them backwards, so that a machine which grows slower treats
them alike. Reported is the ratio of the medians.

    python benchmarks/steady.py --repeats 5 --seconds 8
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from _cell import Bench
from _options import parser
from _peers import PEERS, Peer, choose
from _report import Report, table
from _tables import details, pool, results_table, spread

if TYPE_CHECKING:
    import argparse

    from _result import Result

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parent.parent
_PAIRS = (("handover-w1", "uvicorn-worker-w1"), ("handover-w2", "uvicorn-worker-w2"))
_IMPORTS = ("pass", "import pydantic_settings", "import gunicorn_conf")


def main() -> int:
    """Measure, write the report, and return 0."""
    options = _options()
    names = [name for pair in _PAIRS[: 2 if options.two else 1] for name in pair]
    peers = choose(options.peers or names)
    with Bench.open(options) as bench:
        report = Report("steady", options)
        results = _rounds(bench, peers)
    ratios = _ratios(results)
    imports = _import_costs(options.import_repeats)
    sections = [
        ("Throughput at full speed, ratio of medians", _ratio_table(ratios)),
        ("Processor time of an import", _import_table(imports)),
        ("Measurements", results_table(pool(results))),
        ("Details", details(results)),
    ]
    figures = {
        "ratios": ratios,
        "import_cpu_ms": {code: [round(ms, 1) for ms in all_] for code, all_ in imports.items()},
    }
    print(report.write(sections=sections, figures=figures, results=results).read_text(encoding="utf-8"))
    return 0


def _options() -> argparse.Namespace:
    arguments = parser("Steady-state throughput and the cost of the import.", seconds=8.0, rate=1000.0, repeats=5)
    arguments.set_defaults(app="plain")
    arguments.add_argument("--two", action="store_true", help="measure two workers as well")
    arguments.add_argument("--import-repeats", type=int, default=15, help="how often each import is run")
    return arguments.parse_args()


def _rounds(bench: Bench, peers: list[Peer]) -> list[Result]:
    results: list[Result] = []
    for number in range(bench.options.repeats):
        order = peers if number % 2 == 0 else peers[::-1]
        results += [bench.measure(peer, bench.plan(rate=None), max_requests=0) for peer in order]
    return results


def _ratios(results: list[Result]) -> list[dict[str, Any]]:
    rates = {peer.name: [result.outcome.rate for result in results if result.peer == peer.name] for peer in PEERS}
    return [
        {
            "servers": f"{ours} / {theirs}",
            "ratio": round(median(rates[ours]) / median(rates[theirs]), 3),
            "rates": {name: [round(rate) for rate in rates[name]] for name in (ours, theirs)},
        }
        for ours, theirs in _PAIRS
        if rates[ours] and rates[theirs]
    ]


def _ratio_table(ratios: list[dict[str, Any]]) -> str:
    header = ("servers", "ratio", "answered/s of the first", "of the second")
    rows = ([ratio["servers"], f"{ratio['ratio']:.3f}", *map(spread, ratio["rates"].values())] for ratio in ratios)
    return table(header, rows)


def _import_costs(repeats: int) -> dict[str, list[float]]:
    """Return milliseconds of processor time, user and system, of new interpreters that run each statement."""
    costs: dict[str, list[float]] = {code: [] for code in _IMPORTS}
    with tempfile.TemporaryDirectory(prefix="bench-") as empty:
        for number in range(repeats + 1):
            for code in _IMPORTS:
                cost = _cpu_ms([sys.executable, "-c", code], Path(empty))
                if number:  # the first one may have compiled
                    costs[code].append(cost)
    return costs


def _cpu_ms(argv: list[str], directory: Path) -> float:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), "PYTHONPATH": str(_ROOT)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=directory, env=environment, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000


def _import_table(costs: dict[str, list[float]]) -> str:
    bare = median(costs["pass"])
    rows = ((f"`{code}`", f"{median(all_):.0f}", f"{median(all_) - bare:.0f}") for code, all_ in costs.items())
    ratio = (median(costs["import gunicorn_conf"]) - bare) / (median(costs["import pydantic_settings"]) - bare)
    text = f"`gunicorn_conf` costs {ratio:.2f} times `pydantic_settings`, the bare interpreter taken off both."
    return table(("statement", "ms", "ms above a bare interpreter"), rows) + "\n\n" + text


if __name__ == "__main__":
    sys.exit(main())
