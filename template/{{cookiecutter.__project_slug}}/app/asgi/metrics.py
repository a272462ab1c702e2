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

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: E402
from prometheus_client.exposition import choose_encoder  # noqa: E402
from prometheus_client.mmap_dict import MmapedDict  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402
from starlette.datastructures import Headers  # noqa: E402
from starlette.responses import Response  # noqa: E402
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: E402

from .deadline import on_abandoned_threads  # noqa: E402
from .health import Health  # noqa: E402
from .problems import problem  # noqa: E402

__all__ = ["Metrics"]

_PATH = "/metrics"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_READ_ATTEMPTS = 5
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
        self._ready = Gauge("app_ready", "Whether /health/ready says 200.", **latest)
        self._stopping = Gauge("app_stopping", "Whether the whole instance is stopping.", **latest)
        self._checks = Gauge("app_health_check", "Whether a health check is ok.", ["check"], **latest)

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
        watch = None if handover is None else asyncio.create_task(self._watch(handover))
        self._workers.set(1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._workers.set(0)
            self._draining.set(0)
            if watch is not None:
                watch.cancel()

    async def _watch(self, handover: Any) -> None:  # noqa: ANN401  gunicorn_handover.Handover, where there is one
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
                    return encode(registry), media_type
            except (RuntimeError, struct.error):  # a worker is just creating its files
                if attempt == _READ_ATTEMPTS - 1:
                    raise
                time.sleep(0.01)
        raise AssertionError


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
