# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""Numbers for Prometheus at ``/metrics``, added up over all worker processes.

Each worker writes its own numbers into files of one directory, and the worker that is asked adds them up. The directory
belongs to one gunicorn master: workers derive its name from their parent process, so gunicorn needs no hooks for it. In
a single process, as in development, there are no files.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import socket
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_NAME = "metrics-"


def _start_of(pid: int) -> str | None:
    """Return when a process was started, in the kernel's ticks; None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _directory() -> str | None:
    """Return where the workers of this gunicorn share their numbers; None outside gunicorn.

    It is made by the first worker, and what masters that are gone have left is removed.

    Raises:
        SystemExit: The directory belongs to another user, or the application was loaded before the workers.
    """
    if chosen := os.environ.get(_DIRECTORY):
        Path(chosen).mkdir(parents=True, exist_ok=True)
        return chosen
    if not os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn"):
        return None
    master = os.getppid()
    place = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())  # noqa: S108  own, 0700
    own = place / f"{_NAME}{master}-{_start_of(master) or 0}"
    with contextlib.suppress(FileExistsError):
        own.mkdir(mode=0o700)
    found = own.lstat()
    if found.st_uid != os.geteuid() or not own.is_dir() or own.is_symlink():
        sys.stderr.write(f"metrics: {own}: belongs to another user; set {_DIRECTORY} to a directory of this service\n")
        raise SystemExit(3)
    for other in place.glob(f"{_NAME}[0-9]*-[0-9]*"):
        pid, _, start = other.name.removeprefix(_NAME).partition("-")
        if other != own and pid.isdecimal() and _start_of(int(pid)) != start:
            shutil.rmtree(other, ignore_errors=True)  # another user's stays
    os.environ[_DIRECTORY] = str(own)  # prometheus_client reads it when it is imported
    return str(own)


_SHARED = _directory()

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric  # noqa: E402
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: E402
from prometheus_client.exposition import choose_encoder  # noqa: E402
from prometheus_client.mmap_dict import MmapedDict  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402
from prometheus_client.registry import Collector  # noqa: E402
from starlette.datastructures import Headers  # noqa: E402
from starlette.responses import Response  # noqa: E402
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: E402

from .deadline import on_abandoned_threads, on_deadline  # noqa: E402
from .health import Health  # noqa: E402
from .problems import problem  # noqa: E402

__all__ = ["Metrics"]

_PATH = "/metrics"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_READ_ATTEMPTS = 5
_TICK_SECONDS = 0.25
_LATE_SECONDS = 0.02  # less is the timer's own inaccuracy
_ADDS_UP = {"counter", "histogram", "summary"}


class Metrics:
    """Pure ASGI middleware, outside all others: counts every request, answers ``/metrics``.

    Only callers inside get an answer: a request with ``X-Forwarded-For`` has come through a proxy and gets 404, also
    where that proxy forgot to refuse the path, as nginx here does. The Host header does not matter.

    Labels take few values: the template of the route (``/items/{id}``, never the path; ``none`` where no route fits),
    the known methods, the status (``none`` where there was no response).

    Args:
        app: The application.
        health: Its checks, which are numbers too.
    """

    def __init__(self, app: ASGIApp, *, health: Health | None = None) -> None:
        self._app = app
        self._health = health or Health()
        self._directory = _SHARED
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self._registry}
        shared = {**own, "multiprocess_mode": "livesum"}
        latest = {**own, "multiprocess_mode": "livemostrecent"}
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time from a request's head to the end of its response.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            **own,
        )
        self._in_flight = Gauge("http_requests_in_flight", "Requests without the end of their response.", **shared)
        self._workers = Gauge("app_workers", "Worker processes that run.", **shared)
        self._draining = Gauge("app_workers_draining", "Worker processes that drain.", **shared)
        self._handovers = Counter("app_handovers", "Workers that began to drain.", ["reason"], **own)
        self._threads = Gauge("app_abandoned_threads", "Threads whose request has got its 504.", **shared)
        on_abandoned_threads(self._threads.set)
        self._late = Counter("app_deadline_passed", "Requests whose deadline passed before their response.", **own)
        on_deadline(self._late.inc)
        self._busy = Counter(
            "app_event_loop_busy_seconds", "Seconds that the event loops were computing or blocked, at least.", **own
        )
        self._ready = Gauge("app_ready", "Whether /health/ready says 200.", **latest)
        self._stopping = Gauge("app_stopping", "Whether the whole instance is stopping.", **latest)
        self._checks = Gauge("app_health_check", "Whether a health check is ok.", ["check"], **latest)
        self._surroundings = _Surroundings()
        self._registry.register(self._surroundings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == _PATH:
            await (await self._answer(scope))(scope, receive, send)
        elif scope["type"] == "http":
            await self._count(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), "none"

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        self._in_flight.inc()
        try:
            await self._app(scope, receive, watched_send)
        finally:
            self._in_flight.dec()
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            self._seconds.labels(method, route, status).observe(time.perf_counter() - began)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application's lifespan, and see the worker drain."""
        if self._directory:
            with contextlib.suppress(BlockingIOError):  # a scrape is under way; the next worker tries again
                _keep_counts(Path(self._directory))
        handover = scope.get("state", {}).get("handover")
        tasks = [asyncio.create_task(self._measure())]
        if handover is not None:
            for reason in handover.reasons:
                self._handovers.labels(
                    reason
                )  # a counter that begins with its first event hides that event from rate()
            tasks.append(asyncio.create_task(self._watch(handover)))
        self._workers.set(1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._workers.set(0)
            self._draining.set(0)
            for task in tasks:
                task.cancel()

    async def _measure(self) -> None:
        """Add up how long the event loop is busy: its thread's CPU time, or how late a timer is, if that is more.

        CPU time misses a handler that blocks without computing; the timer sees that one.
        """
        while True:
            computed, until = time.thread_time(), time.perf_counter() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            late = time.perf_counter() - until
            self._busy.inc(max(time.thread_time() - computed, late if late > _LATE_SECONDS else 0.0))

    async def _watch(self, handover: Any) -> None:
        await handover.wait()
        self._draining.set(1)
        self._handovers.labels(handover.reason).inc()

    async def _answer(self, scope: Scope) -> Response:
        headers = Headers(scope=scope)
        if "x-forwarded-for" in headers:
            return problem(scope, HTTPStatus.NOT_FOUND)
        if scope["method"] not in {"GET", "HEAD"}:
            return problem(scope, HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
        handover = scope.get("state", {}).get("handover")
        stopping = handover is not None and handover.stopping
        report = await self._health.report()
        self._surroundings.handover = handover
        self._stopping.set(stopping)
        self._ready.set(report.ready and not stopping)
        for name, outcome in report.outcomes.items():
            self._checks.labels(name).set(outcome == "ok")
        body, media_type = await asyncio.to_thread(self._render, headers.get("accept", ""))
        return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    def _render(self, accept: str) -> tuple[bytes, str]:
        """Return the numbers of all workers, in the format that was asked for."""
        encode, media_type = choose_encoder(accept)
        if not self._directory:
            return encode(self._registry), media_type
        with contextlib.suppress(BlockingIOError):  # another scrape is under way
            _keep_counts(Path(self._directory))
        for attempt in range(_READ_ATTEMPTS):
            try:
                with _locked(self._directory, fcntl.LOCK_SH):
                    registry = CollectorRegistry()
                    MultiProcessCollector(registry, self._directory)
                    registry.register(self._surroundings)
                    return encode(registry), media_type
            except (RuntimeError, struct.error):  # a worker is just creating its files
                if attempt == _READ_ATTEMPTS - 1:
                    raise
                time.sleep(0.01)
        raise AssertionError


class _Surroundings(Collector):
    """What is not this worker's own, read at each scrape: the accept queue, the cgroup's CPU, the arbiter's counts."""

    handover: Any = None  # gunicorn_handover.Handover, where there is one

    def collect(self) -> Iterator[Metric]:
        """Yield each number that can be had here; a draining worker has closed its listener and has no queue."""
        waiting = GaugeMetricFamily("app_accept_queue", "Connections that no worker has accepted yet.", labels=["bind"])
        room = GaugeMetricFamily("app_accept_queue_limit", "Connections that fit into that queue.", labels=["bind"])
        for bind, depth, limit in _accept_queues():
            waiting.add_metric([bind], depth)
            room.add_metric([bind], limit)
        yield waiting
        yield room
        periods = CounterMetricFamily("app_cpu_periods", "Periods of the cgroup's CPU quota in which it ran.")
        throttled = CounterMetricFamily("app_cpu_throttled_periods", "Those in which it was throttled.")
        if found := _cpu_periods():
            periods.add_metric([], found[0])
            throttled.add_metric([], found[1])
        yield periods
        yield throttled
        boots = GaugeMetricFamily("app_failed_boots", "New workers in a row that could not boot; the old ones serve.")
        killed = CounterMetricFamily("app_workers_killed", "Workers killed by the arbiter: blocked, or not drained.")
        if self.handover is not None:
            boots.add_metric([], self.handover.failed_boots)
            killed.add_metric([], self.handover.killed)
        yield boots
        yield killed


def _accept_queues() -> Iterator[tuple[str, int, int]]:
    """Yield address, depth and limit of each listening stream socket of this process."""
    seen = set()
    for file in sorted(Path("/proc/self/fd").glob("*")):
        with contextlib.suppress(OSError, struct.error):  # closed meanwhile, or the kernel does not tell
            found = file.stat()
            if not stat.S_ISSOCK(found.st_mode) or found.st_ino in seen:
                continue
            with socket.socket(fileno=os.dup(int(file.name))) as sock:
                if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    continue
                seen.add(found.st_ino)
                if sock.family == socket.AF_UNIX:
                    yield f"unix:{os.fsdecode(sock.getsockname())}", *_unix_queue(found.st_ino)
                else:
                    host, port, *_ = sock.getsockname()
                    # tcpi_unacked and tcpi_sacked of a listener: https://man7.org/linux/man-pages/man7/tcp.7.html
                    numbers = struct.unpack("8B24I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104))
                    yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}", numbers[12], numbers[13]


def _unix_queue(inode: int) -> tuple[int, int]:
    """Return depth and limit of a listening unix socket.

    Raises:
        OSError: The kernel does not tell. https://man7.org/linux/man-pages/man7/sock_diag.7.html
        struct.error: Neither.
    """
    any_cookie, show_queue, queue_attribute = 0xFFFFFFFF, 0x10, 4
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, any_cookie, inode, show_queue, any_cookie, any_cookie)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as diag:
        diag.settimeout(1)
        diag.send(struct.pack("=IHHII", 16 + len(request), 20, 1, 0, 0) + request)
        answer = diag.recv(65536)
    at = 16 + 16
    while True:
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == queue_attribute:
            depth, limit = struct.unpack_from("=II", answer, at + 4)
            return int(depth), int(limit)
        at += max(4, (length + 3) & ~3)


def _cpu_periods() -> tuple[int, int] | None:
    """Return how many periods the nearest cgroup with a CPU quota has counted, and how many throttled it."""
    root = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError):
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()]
        for number, controllers, path in lines:
            if number != "0" and "cpu" not in controllers.split(","):
                continue
            own = (root if number == "0" else root / "cpu") / path.lstrip("/")
            for group in [own, *own.parents]:
                with contextlib.suppress(OSError, ValueError):
                    text = (group / "cpu.stat").read_text(encoding="ascii")
                    counts = {name: int(value) for name, value in (line.split() for line in text.splitlines())}
                    if counts.get("nr_periods"):
                        return counts["nr_periods"], counts["nr_throttled"]
    return None


def _keep_counts(directory: Path) -> None:
    """Add what dead workers have counted to the files of "worker 0", so that no count ever goes backwards.

    Each new worker does it. Left alone, those files would be read on every scrape, more of them with each recycle.

    Raises:
        BlockingIOError: Another process reads or moves the counts at this moment.
    """
    with _locked(str(directory), fcntl.LOCK_EX | fcntl.LOCK_NB):
        for file in directory.glob("*_[1-9]*.db"):
            kind, *_, pid = file.stem.split("_")
            if _is_alive(int(pid)):
                continue
            if kind in _ADDS_UP and file.stat().st_size:
                heir = MmapedDict(str(file.with_name(f"{kind}_0.db")))
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
                    heir.write_value(key, heir.read_value(key)[0] + value, 0.0)
                heir.close()
            if kind in _ADDS_UP or "_live" in file.name:
                file.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _locked(directory: str, how: int) -> Iterator[None]:
    """Hold a lock on the directory: a count is read either before or after it has moved to another file."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
