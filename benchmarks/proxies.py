"""The same workers behind other proxies: what is lost while they are recycled.

Each proxy has the lines that ``no502 explain --proxy`` prints. ``make proxies-test`` installs the programs; one that is
not installed is listed as not measured.

    python benchmarks/proxies.py --peers handover-w2 --seconds 20
"""

from __future__ import annotations

import re
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _load import Plan, run
from _options import parser
from _peers import Setup, choose
from _proxies import OtherProxy, program_version
from _report import Report, table
from _servers import Server

from no502.ladder.proxies import Numbers, Proxy
from no502.serve.ports import free_port
from no502.serve.waiting import wait_until

if TYPE_CHECKING:
    import argparse

    from _outcome import Outcome
    from _peers import Peer

__all__ = ["main"]

_PEERS = ["handover-w2", "uvicorn-worker-w2"]
_WARM_UP = Plan(port=0, seconds=5.0, rate=50.0, requests=20)


@dataclass(frozen=True)
class _Result:
    """One server behind one proxy."""

    peer: str
    proxy: str
    version: str
    recycled: int
    outcome: Outcome


def main() -> int:
    """Measure, write the report, and return the exit status: 0 if HandoverWorker has lost nothing."""
    options = _options()
    report = Report("proxies", options)
    results: list[_Result] = []
    errors: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        for peer in choose(options.peers):
            for proxy in Proxy:
                print(f"{peer.name} behind {proxy}", file=sys.stderr, flush=True)
                try:
                    results.append(_measure(peer, proxy, options, Path(directory) / f"{peer.name}-{proxy}"))
                    print(f"    {_lost(results[-1])}", file=sys.stderr, flush=True)
                except RuntimeError as error:
                    errors.append(f"{peer.name} behind {proxy}: {error}")
                    print(f"    {error}", file=sys.stderr, flush=True)
    load = f"{options.rate:,.0f} POST/s for {options.seconds:g} s"
    recycling = f"a worker is replaced every {options.max_requests} requests."
    sections = [
        ("What is lost behind each proxy", f"{load}; {recycling}\n\n{_table(results)}"),
        *([("Not measured", "\n".join(f"- {error}" for error in errors))] if errors else []),
    ]
    figures: dict[str, Any] = {"not_measured": errors}
    print(report.write(sections=sections, figures=figures, results=results).read_text(encoding="utf-8"))
    ours = [result for result in results if result.peer.startswith("handover")]
    return 1 if errors or any(result.outcome.lost for result in ours) else 0


def _options() -> argparse.Namespace:
    arguments = parser("The same workers behind other proxies.", seconds=20.0, rate=500.0)
    arguments.add_argument("--max-requests", type=int, default=500, help="requests after which a worker is replaced")
    default = Path.home() / ".cache" / "no502" / "proxies" / "bin"
    arguments.add_argument("--programs", default=str(default), help="directory that programs are looked for in first")
    arguments.set_defaults(peers=_PEERS)
    return arguments.parse_args()


def _measure(peer: Peer, proxy: Proxy, options: argparse.Namespace, directory: Path) -> _Result:
    version = program_version(proxy, options.programs)
    port = free_port()
    setup = Setup(
        f"127.0.0.1:{port}", peer.workers, f"_app_{options.app}:app", options.max_requests, options.proxy_keepalive
    )
    directory.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(Server(peer, setup, directory / "server"))
        front = OtherProxy(
            proxy,
            Numbers(read=10, idle=options.proxy_keepalive, connect=2, port=port),
            directory / "proxy",
            directories=options.programs,
        )
        stack.enter_context(front)
        # Traefik answers 404 until it has read its routes.
        wait_until(
            lambda: not run(replace(_WARM_UP, port=front.port)).lost, seconds=30, what=f"an answer through {proxy}"
        )
        before = len(re.findall(peer.boots, server.log()))
        outcome = run(Plan(port=front.port, seconds=options.seconds, rate=options.rate))
        server.check()
        recycled = len(re.findall(peer.boots, server.log())) - before
    return _Result(peer.name, proxy.value, version, recycled, outcome)


def _lost(result: _Result) -> str:
    outcome = result.outcome
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(outcome.lost_by_reason.items()))
    return f"{outcome.lost} of {outcome.requests:,}{f' ({reasons})' if reasons else ''}"


def _table(results: list[_Result]) -> str:
    header = ("server", "proxy", "version", "workers replaced", "lost", "slowest, ms")
    body = [
        (one.peer, one.proxy, one.version, str(one.recycled), _lost(one), f"{one.outcome.slowest_ms:,.0f}")
        for one in results
    ]
    return table(header, body)


if __name__ == "__main__":
    sys.exit(main())
