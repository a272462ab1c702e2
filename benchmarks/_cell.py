"""One measurement: one or several instances of a peer, nginx in front of them, and a load."""

from __future__ import annotations

import re
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from _handovers import handovers
from _load import Load, Plan, run
from _neighbours import Neighbours
from _nginx import Nginx
from _peers import Setup
from _result import Result, Upstream, recycling
from _servers import Server, trouble

from no502.serve.ports import free_port

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from _peers import Peer

__all__ = ["WARM_UP_REQUESTS", "Bench", "LineUp"]

WARM_UP_REQUESTS = 100
"""What each measurement begins with, uncounted."""

_WARM_UP = Plan(port=0, seconds=10.0, rate=200.0, requests=WARM_UP_REQUESTS)
_SECONDS_PER_REPORT = 5.0
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class LineUp:
    """What is running while a load lasts."""

    servers: Sequence[Server]
    nginx: Nginx
    addresses: Sequence[str]


class Bench:
    """Takes measurements with the options that all of them share.

    Args:
        options: The parsed command line.
        directory: Where servers keep their logs.
    """

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self.options = options
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
        upstream: Upstream | None = None,
        meanwhile: Callable[[LineUp, Load], tuple[list[float], str]] | None = None,
    ) -> Result:
        """Start a peer and nginx, warm them up, run a load, stop everything.

        Args:
            peer: What to start.
            plan: The load; its port is filled in.
            max_requests: Requests after which a worker is replaced; 0 is never.
            upstream: What is between nginx and the peer; None is what the command line says, one instance.
            meanwhile: Called while the load runs; returns reload times and a note, after which the load is ended.

        Raises:
            RuntimeError: The peer or nginx did not start, or ended.
        """
        options, neighbours = self.options, Neighbours()
        upstream = upstream or Upstream(options.socket, options.pool == "on")
        mode = "full speed" if plan.rate is None else f"{plan.rate:,.0f}/s offered"
        _say(", ".join(filter(None, (peer.name, str(upstream), mode, recycling(max_requests)))))
        with self._line_up(peer, upstream, max_requests) as stage:
            boot_cpu_seconds = mean(server.boot_cpu_seconds() for server in stage.servers)
            warm_up = run(replace(_WARM_UP, port=stage.nginx.port))
            if not warm_up.answered:
                message = (
                    f"nothing was answered before the measurement: {warm_up.lost_by_reason}, {stage.nginx.errors()}"
                )
                raise RuntimeError(message)
            before = [len(server.log()) for server in stage.servers]
            cpu_seconds = -sum(server.cpu_seconds() for server in stage.servers)
            with Load(replace(plan, port=stage.nginx.port)) as load:
                reloads, note = _follow(stage, load) if meanwhile is None else meanwhile(stage, load)
                load.stop()
                outcome = load.wait()
            cpu_seconds += sum(server.cpu_seconds() for server in stage.servers)
            log = "".join(server.log()[start:] for server, start in zip(stage.servers, before, strict=True))
            for server in stage.servers:
                server.check()
        return Result(
            peer=peer.name,
            mode=mode,
            max_requests=max_requests,
            outcome=outcome,
            warm_up_lost=warm_up.lost,
            booted=len(re.findall(peer.boots, log)),
            handovers=handovers(log),
            nginx_errors=stage.nginx.errors(),
            server_trouble=trouble(log),
            neighbours=neighbours.cores(),
            upstream=upstream,
            cpu_seconds=cpu_seconds,
            boot_cpu_seconds=boot_cpu_seconds,
            reloads=reloads,
            note=note,
        )

    @contextmanager
    def _line_up(self, peer: Peer, upstream: Upstream, max_requests: int) -> Iterator[LineUp]:
        """Run the instances and nginx in front of them."""
        self._count += 1
        options, directory = self.options, self._directory / f"{self._count:03d}-{peer.name}-{max_requests}"
        pool_seconds = options.proxy_keepalive if upstream.pool else 0
        with ExitStack() as stack:
            # The path of a socket has at most 107 bytes, and that of the logs may be long.
            sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
            addresses = [
                f"unix:{sockets}/{number}" if upstream.socket == "unix" else f"127.0.0.1:{free_port()}"
                for number in range(upstream.instances)
            ]
            setups = [
                Setup(
                    bind=address,
                    workers=peer.workers,
                    app=f"_app_{options.app}:app",
                    max_requests=max_requests,
                    proxy_keepalive=options.proxy_keepalive,
                )
                for address in addresses
            ]
            servers = [
                stack.enter_context(Server(peer, setup, directory / str(number))) for number, setup in enumerate(setups)
            ]
            nginx = Nginx(
                options.nginx,
                directory / "nginx",
                upstreams=addresses,
                upstream_keepalive=pool_seconds,
                max_fails=upstream.max_fails,
            )
            yield LineUp(servers, stack.enter_context(nginx), addresses)


def _follow(stage: LineUp, load: Load) -> tuple[list[float], str]:
    """Wait for the load's end and report on the way."""
    began = reported = time.monotonic()
    while load.running:
        time.sleep(_PAUSE_SECONDS)
        if time.monotonic() - reported >= _SECONDS_PER_REPORT:
            reported = time.monotonic()
            _say(f"    {reported - began:4.0f} s: {load.answered:,} answered, {load.lost.total()} lost")
            for server in stage.servers:
                server.check()
    return [], ""


def _leave(number: int, _frame: FrameType | None) -> None:
    """SIGTERM: end by an exception, so that every server is stopped on the way out."""
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
