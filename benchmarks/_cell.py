"""One measurement: a peer, nginx in front of it, and a load."""

from __future__ import annotations

import re
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from _handovers import Handovers, handovers
from _load import Load, Plan, run
from _neighbours import Neighbours
from _nginx import Nginx, find_nginx
from _outcome import Outcome
from _peers import Setup
from _process import free_port
from _servers import Server, trouble

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from types import FrameType

    from _peers import Peer

__all__ = ["Bench", "Result"]

_WARM_UP = Plan(port=0, seconds=10.0, rate=200.0, requests=100)
_SECONDS_PER_REPORT = 5.0
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Result:
    """What one measurement gave.

    Attributes:
        peer: Its name.
        mode: How the load was offered.
        max_requests: Requests after which a worker was to be replaced; 0 is never.
        outcome: What became of the requests.
        warm_up_lost: Requests lost before the measurement, which are not part of it.
        booted: Workers booted while it lasted.
        handovers: What the log says about handovers while it lasted; None if there were none.
        nginx_errors: nginx's error log, lines by kind.
        server_trouble: The peer's log, lines above ``info`` by kind.
        neighbours: Processors that were kept busy by others meanwhile; None if unknown.
        reloads: Seconds from each SIGHUP until the log said that the old workers were gone.
        note: Why it is not complete.
    """

    peer: str
    mode: str
    max_requests: int
    outcome: Outcome
    warm_up_lost: int
    booted: int
    handovers: Handovers | None
    nginx_errors: dict[str, int]
    server_trouble: dict[str, int]
    neighbours: float | None
    reloads: list[float] = field(default_factory=list)
    note: str = ""


class Bench:
    """Takes measurements with the options that all of them share.

    Args:
        options: The parsed command line.
        directory: Where servers keep their logs.
    """

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self.options = options
        self.nginx = find_nginx(options.nginx)
        self._directory = directory
        self._count = 0

    @classmethod
    @contextmanager
    def open(cls, options: argparse.Namespace) -> Iterator[Bench]:
        """Yield a bench whose logs are kept where ``--logs`` says, or nowhere."""
        signal.signal(signal.SIGTERM, _leave)
        with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
            yield cls(options, options.logs.resolve() if options.logs else Path(temporary))

    def plan(self, rate: float | None) -> Plan:
        """Return the load of the command line: at a fixed rate, or at full speed for None."""
        options = self.options
        plan = Plan(port=0, seconds=options.seconds, rate=rate, connections=options.connections)
        return replace(plan, requests=options.requests, processes=options.processes)

    def measure(
        self,
        peer: Peer,
        plan: Plan,
        *,
        max_requests: int,
        meanwhile: Callable[[Server, Load], tuple[list[float], str]] | None = None,
    ) -> Result:
        """Start a peer and nginx, warm them up, run a load, stop everything.

        Args:
            peer: What to start.
            plan: The load; its port is filled in.
            max_requests: Requests after which a worker is replaced; 0 is never.
            meanwhile: Called while the load runs; returns reload times and a note, after which the load is ended.

        Raises:
            RuntimeError: The peer or nginx did not start, or ended.
        """
        self._count, neighbours = self._count + 1, Neighbours()
        mode = "full speed" if plan.rate is None else f"{plan.rate:,.0f}/s offered"
        label = f"{self._count:03d}-{peer.name}-{max_requests}-{'full' if plan.rate is None else 'rate'}"
        _say(f"{peer.name}, {mode}, " + (f"recycling every {max_requests}" if max_requests else "no recycling"))
        options, directory = self.options, self._directory / label
        setup = Setup(
            port=free_port(),
            workers=peer.workers,
            app=f"_app_{options.app}:app",
            max_requests=max_requests,
            proxy_keepalive=options.proxy_keepalive,
        )
        with (
            Server(peer, setup, directory) as server,
            Nginx(
                self.nginx,
                directory / "nginx",
                upstream_port=setup.port,
                upstream_keepalive=options.proxy_keepalive,
            ) as nginx,
        ):
            warm_up = run(replace(_WARM_UP, port=nginx.port))
            before = len(server.log())
            with Load(replace(plan, port=nginx.port)) as load:
                reloads, note = _follow(server, load) if meanwhile is None else meanwhile(server, load)
                load.stop()
                outcome = load.wait()
            log = server.log()[before:]
            server.check()
        return Result(
            peer=peer.name,
            mode=mode,
            max_requests=max_requests,
            outcome=outcome,
            warm_up_lost=warm_up.lost,
            booted=len(re.findall(peer.boots, log)),
            handovers=handovers(log),
            nginx_errors=nginx.errors(),
            server_trouble=trouble(log),
            neighbours=neighbours.cores(),
            reloads=reloads,
            note=note,
        )


def _follow(server: Server, load: Load) -> tuple[list[float], str]:
    """Wait for the load's end and report on the way."""
    began = reported = time.monotonic()
    while load.running:
        time.sleep(_PAUSE_SECONDS)
        if time.monotonic() - reported >= _SECONDS_PER_REPORT:
            reported = time.monotonic()
            _say(f"    {reported - began:4.0f} s: {load.answered:,} answered, {load.lost.total()} lost")
            server.check()
    return [], ""


def _leave(number: int, _frame: FrameType | None) -> None:
    """SIGTERM: end by an exception, so that every server is stopped on the way out."""
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
