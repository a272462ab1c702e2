"""How each peer is started, and which lines of its log say what.

All of them run the same application without an access log, keep idle connections longer than nginx does (so the idle
race is not what is measured), listen with the same backlog, and use uvloop.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PEERS", "Peer", "Setup", "choose"]

_KEEPALIVE = "75"  # seconds
_BACKLOG = "2048"
_BOOT = "BENCH_BOOT_SECONDS"


@dataclass(frozen=True)
class Setup:
    """What a run wants of a peer.

    Attributes:
        bind: Where it listens: ``127.0.0.1:PORT``, or ``unix:PATH`` of a socket.
        workers: How many worker processes.
        app: The application, ``module:name``.
        max_requests: Requests after which a worker is replaced; 0 is never.
        proxy_keepalive: How long nginx keeps an idle connection, in seconds.
    """

    bind: str
    workers: int
    app: str
    max_requests: int
    proxy_keepalive: int

    @property
    def unix_socket(self) -> str:
        """The path of the unix socket; empty for TCP."""
        return self.bind.removeprefix("unix:") if self.bind.startswith("unix:") else ""

    @property
    def port(self) -> str:
        """The TCP port."""
        return self.bind.rpartition(":")[2]

    @property
    def jitter(self) -> int:
        """The same spread for everybody: what ``gunicorn_conf`` computes."""
        return self.max_requests * min(50, 5 * self.workers) // 100


@dataclass(frozen=True)
class Peer:
    """A server with a number of workers.

    Attributes:
        name: How it is chosen and reported.
        workers: How many worker processes.
        command: Its command line.
        environment: Variables of its own.
        boots: A line that each worker causes when it is started (regular expression).
        ready: A line that each worker causes when it serves.
        gone: A line that each worker causes when it is gone after a reload; None if there is none.
        recycles: Whether it can replace workers after a number of requests.
    """

    name: str
    workers: int
    command: Callable[[Setup], list[str]]
    boots: str
    ready: str
    gone: str | None
    environment: Callable[[Setup], dict[str, str]] = lambda _: {}
    recycles: bool = True

    def booting(self, seconds: float) -> Peer:
        """Return the same peer with an application that takes so long to boot, besides its imports."""
        return replace(self, environment=lambda setup: self.environment(setup) | {_BOOT: str(seconds)})


def _handover(setup: Setup) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "-c", "python:_gunicorn_conf", setup.app]


def _handover_environment(setup: Setup) -> dict[str, str]:
    return {
        "GUNICORN_BIND": setup.bind,
        "GUNICORN_MAX_REQUESTS": str(setup.max_requests),
        "PROXY_KEEPALIVE_TIMEOUT": str(setup.proxy_keepalive),
        "WEB_CONCURRENCY": str(setup.workers),
    }


def _gunicorn(worker_class: str) -> Callable[[Setup], list[str]]:
    def command(setup: Setup) -> list[str]:
        return [
            *(sys.executable, "-m", "gunicorn", "--worker-class", worker_class, "--workers", str(setup.workers)),
            *("--bind", setup.bind, "--keep-alive", _KEEPALIVE, "--backlog", _BACKLOG),
            *("--timeout", "120", "--graceful-timeout", "120"),  # as computed for the handover
            *("--max-requests", str(setup.max_requests), "--max-requests-jitter", str(setup.jitter)),
            setup.app,
        ]

    return command


def _uvicorn(setup: Setup) -> list[str]:
    limit = ["--limit-max-requests", str(setup.max_requests), "--limit-max-requests-jitter", str(setup.jitter)]
    return [
        *(sys.executable, "-m", "uvicorn", "--workers", str(setup.workers)),
        *(("--uds", setup.unix_socket) if setup.unix_socket else ("--port", setup.port)),
        *("--timeout-keep-alive", _KEEPALIVE, "--backlog", _BACKLOG, "--no-access-log"),
        *(limit if setup.max_requests else []),
        setup.app,
    ]


def _hypercorn(setup: Setup) -> list[str]:
    limit = ["--max-requests", str(setup.max_requests), "--max-requests-jitter", str(setup.jitter)]
    return [
        *(sys.executable, "-m", "hypercorn", "--workers", str(setup.workers), "--bind", setup.bind),
        *("--worker-class", "uvloop", "--keep-alive", _KEEPALIVE, "--backlog", _BACKLOG),
        *(limit if setup.max_requests else []),
        setup.app,
    ]


def _granian(setup: Setup) -> list[str]:
    return [
        *(sys.executable, "-m", "granian", "--interface", "asgi", "--workers", str(setup.workers)),
        *(("--uds", setup.unix_socket) if setup.unix_socket else ("--port", setup.port)),
        *("--loop", "uvloop", "--backlog", _BACKLOG),
        setup.app,
    ]


def _gunicorn_peer(name: str, worker_class: str, workers: int, *, ready: str, gone: str) -> Peer:
    return Peer(f"{name}-w{workers}", workers, _gunicorn(worker_class), r"Booting worker with pid", ready, gone)


_READY = r"Application startup complete"
_GONE = r"Finished server process"

PEERS: tuple[Peer, ...] = (
    *(
        Peer(
            f"handover-w{workers}",
            workers,
            _handover,
            boots=r"Booting worker with pid",
            ready=r"handover: worker \d+ is ready",
            gone=r"handover: worker \d+ gone \(reload\)",
            environment=_handover_environment,
        )
        for workers in (1, 2)
    ),
    *(
        _gunicorn_peer("uvicorn-worker", "uvicorn_worker.UvicornWorker", workers, ready=_READY, gone=_GONE)
        for workers in (1, 2)
    ),
    _gunicorn_peer("gunicorn-asgi", "asgi", 2, ready=r"ASGI server listening", gone=r"Worker exiting \(pid"),
    Peer("uvicorn-w2", 2, _uvicorn, r"Started server process", _READY, _GONE),
    Peer("hypercorn-w2", 2, _hypercorn, r"Running on http", r"Running on http", None),
    Peer("granian-w2", 2, _granian, r"Spawning worker-", r"Started worker-", r"Stopped old worker-", recycles=False),
)


def choose(names: Sequence[str]) -> list[Peer]:
    """Return the peers with these names, in the order of ``PEERS``; all of them for no name.

    Raises:
        SystemExit: A name is unknown.
    """
    known = {peer.name for peer in PEERS}
    unknown = [name for name in names if name not in known]
    if unknown:
        message = f"--peers {','.join(unknown)}: unknown; choose from {', '.join(peer.name for peer in PEERS)}"
        raise SystemExit(message)
    return [peer for peer in PEERS if not names or peer.name in names]
