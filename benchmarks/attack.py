"""What a generated service answers to everybody else while clients hold places in nginx with uploads that do not end.

The service is generated for this run (_generated.py). The load of the others is under its capacity, from one address;
the attackers come from addresses of their own. Each attack is measured with the bounds that the service ships with, and
without the bound on one client.

    python benchmarks/attack.py --seconds 15
"""

from __future__ import annotations

import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from _attackers import Attack, Attackers
from _generated import Bounds, add_options, generate, proxy, service
from _load import Plan, run
from _options import number, parser
from _report import Report, table

from no502.nginx.render import CLIENTS_SHARE
from no502.serve.ports import free_port

if TYPE_CHECKING:
    import argparse

    from _outcome import Outcome

__all__ = ["main"]

_ATTACKS = (
    Attack("none"),
    Attack("one client, 2,000 slow uploads", 1, 2000),
    Attack("one client, 16 HTTP/2 connections with 128 slow uploads each", 1, 16, http2=True),
    Attack("eight clients, 250 slow uploads each", 8, 250),
)


@dataclass(frozen=True)
class Attacked:
    """What became of the others' requests during one attack.

    Attributes:
        attack: Its title.
        client_bound: Whether one client had a bound of its own.
        outcome: What became of the requests of the others.
    """

    attack: str
    client_bound: bool
    outcome: Outcome


def main() -> int:
    """Measure, write the report, and return 0."""
    options = _options()
    rate = options.workers * options.places / options.service_seconds * options.factor
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report, results = Report("attack", options), []
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        private = Path(temporary)
        private.chmod(0o755)
        project = generate(private / "service")
        for index, attack in enumerate(_ATTACKS):
            for bound in (True, False):
                print(f"{attack.title}, {'with' if bound else 'without'} a bound on one client", file=sys.stderr)
                where = private / f"{index}-{bound}"
                results.append(_measure(options, project, where, attack, rate, bound=bound))
    shares = [round(one.outcome.answered / max(1, one.outcome.requests), 3) for one in results]
    text = (
        f"{rate:g} POST/s of others, {options.factor:.0%} of the capacity. nginx takes {options.nginx_bound:,} "
        f"requests at a time, of one client {options.nginx_bound // CLIENTS_SHARE}."
    )
    sections = [("Slow uploads", f"{text}\n\n{_table(results)}")]
    print(report.write(sections=sections, figures={"answered": shares}, results=results).read_text(encoding="utf-8"))
    return 0


def _options() -> argparse.Namespace:
    arguments = parser("A service whose places in nginx are taken by slow uploads.", seconds=15.0, rate=0.0)
    arguments.add_argument("--factor", type=number, default=0.5, help="load of the others, in capacities")
    add_options(arguments)
    return arguments.parse_args()


def _measure(
    options: argparse.Namespace, project: Path, where: Path, attack: Attack, rate: float, *, bound: bool
) -> Attacked:
    where.mkdir(mode=0o755)
    port, upstream = free_port(), free_port()
    client = options.nginx_bound // CLIENTS_SHARE if bound else options.nginx_bound
    limits = Bounds(options.app_bound, options.nginx_bound, client)
    with ExitStack() as stack:
        stack.enter_context(service(options, project, where, upstream, limits))
        stack.enter_context(proxy(options, where, (port, upstream), limits, http2=attack.http2))
        stack.enter_context(Attackers(attack, port))
        run(Plan(port=port, seconds=2.0, rate=rate, processes=options.processes))  # until the attack is at its height
        outcome = run(Plan(port=port, seconds=options.seconds, rate=rate, processes=options.processes))
    return Attacked(attack.title, bound, outcome)


def _table(results: list[Attacked]) -> str:
    header = ("attack", "bound on one client", "answered", "503", "other", "p99 ms")
    rows = []
    for one in results:
        outcome, refused = one.outcome, one.outcome.lost_by_reason.get("status 503", 0)
        rows.append(
            (
                *(one.attack, "yes" if one.client_bound else "no"),
                *(f"{outcome.answered:,} of {outcome.requests:,}", f"{refused:,}"),
                *(f"{outcome.lost - refused:,}", f"{outcome.p99_ms:.0f}" if outcome.answered else "-"),
            )
        )
    return table(header, rows)


if __name__ == "__main__":
    sys.exit(main())
