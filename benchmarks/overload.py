"""What a generated service does with several times the load that it can serve, with and without its two bounds.

The service is generated for this run (_generated.py); its capacity is known and does not depend on the machine.

    python benchmarks/overload.py --factor 4 --seconds 20
"""

from __future__ import annotations

import re
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from _cpu import children
from _generated import Bounds, add_options, generate, proxy, service
from _load import Plan, run
from _neighbours import Neighbours
from _options import number, parser
from _report import Report, table
from _tables import spread

from no502.serve.ports import free_port

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from _outcome import Outcome

__all__ = ["main"]


@dataclass(frozen=True)
class Overload:
    """What one load gave.

    Attributes:
        bounds: Whether the service had its bounds.
        offered: Requests per second.
        outcome: What became of them.
        workers_mib: The most memory that all workers together have had.
        nginx_mib: The same of nginx.
        neighbours: Processors that others kept busy meanwhile; None if unknown.
    """

    bounds: bool
    offered: float
    outcome: Outcome
    workers_mib: float
    nginx_mib: float
    neighbours: float | None

    def count(self, status: int) -> int:
        """Return how many requests ended with this status."""
        return self.outcome.lost_by_reason.get(f"status {status}", 0)


def main() -> int:
    """Measure, write the report, and return 0."""
    options = _options()
    capacity = options.workers * options.places / options.service_seconds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        private = Path(temporary)
        private.chmod(0o755)
        project = generate(private / "service")
        report = Report("overload", options)
        results = []
        for repeat in range(options.repeats):
            for bounds in (True, False):
                for factor in (0.8, options.factor):
                    where = private / f"{repeat}-{bounds}-{factor}"
                    print(f"{factor:g} times the capacity, {'with' if bounds else 'without'} bounds", file=sys.stderr)
                    results.append(_measure(options, project, where, bounds=bounds, offered=capacity * factor))
    figures = {"capacity": capacity, "goodput": [round(result.outcome.rate / capacity, 3) for result in results]}
    text = f"Capacity: {capacity:g} requests a second ({options.places} places of {options.service_seconds:g} s)."
    sections = [("Goodput under overload", f"{text}\n\n{_table(results, capacity)}")]
    print(report.write(sections=sections, figures=figures, results=results).read_text(encoding="utf-8"))
    return 0


def _options() -> argparse.Namespace:
    arguments = parser("Several times the load that a service can serve.", seconds=20.0, rate=0.0)
    add = arguments.add_argument
    add("--factor", type=number, default=4.0, help="offered load, in capacities")
    add_options(arguments)
    return arguments.parse_args()


def _measure(options: argparse.Namespace, project: Path, where: Path, *, bounds: bool, offered: float) -> Overload:
    """Start the service and nginx, run one load, stop them."""
    where.mkdir(mode=0o755)
    port, upstream, neighbours = free_port(), free_port(), Neighbours()
    with ExitStack() as stack:
        limits = Bounds(options.app_bound, options.nginx_bound, options.nginx_bound) if bounds else Bounds()
        server = stack.enter_context(service(options, project, where, upstream, limits))
        front = stack.enter_context(proxy(options, where, (port, upstream), limits))
        outcome = run(Plan(port=port, seconds=options.seconds, rate=offered, processes=options.processes))
        workers_mib, nginx_mib = _peak_mib(server.pid), _peak_mib(front.pid)
    return Overload(bounds, offered, outcome, workers_mib, nginx_mib, neighbours.cores())


def _peak_mib(master: int) -> float:
    """Return the sum of the peaks of the resident memory of a process's children."""
    pids = children(master)
    peaks = (re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8")) for pid in pids)
    return sum(int(peak[1]) for peak in peaks if peak) / 1024


def _table(results: Sequence[Overload], capacity: float) -> str:
    header = (
        *("bounds", "offered/s", "answered/s", "of capacity", "p99 ms", "503", "503 p99 ms", "504", "502", "others"),
        *("workers MiB", "nginx MiB"),
    )
    groups: dict[tuple[bool, float], list[Overload]] = {}
    for result in results:
        groups.setdefault((result.bounds, result.offered), []).append(result)
    return table(header, (_row(group, capacity) for group in groups.values()))


def _row(group: Sequence[Overload], capacity: float) -> tuple[str, ...]:
    """Return the line of a measurement's repeats: counts of all together, the others with their spread."""
    first, outcomes = group[0], [result.outcome for result in group]
    counts = {status: sum(result.count(status) for result in group) for status in (502, 503, 504)}
    refusals = [outcome.lost_p99_ms["status 503"] for outcome in outcomes if "status 503" in outcome.lost_p99_ms]
    others = sum(outcome.lost for outcome in outcomes) - sum(counts.values())
    return (
        *("with" if first.bounds else "without", f"{first.offered:,.0f}", spread(outcome.rate for outcome in outcomes)),
        spread((min(outcome.rate, capacity) / capacity for outcome in outcomes), ".0%"),
        *(spread(outcome.p99_ms for outcome in outcomes), f"{counts[503]:,}"),
        *(spread(refusals) if refusals else "-", f"{counts[504]:,}", f"{counts[502]:,}", f"{others:,}"),
        *(spread(result.workers_mib for result in group), spread(result.nginx_mib for result in group)),
    )


if __name__ == "__main__":
    sys.exit(main())
