"""Numbers for Prometheus at ``/metrics``, added up over all worker processes. ``APP_METRICS=true`` switches them on.

Each worker writes its own numbers into files of one directory, and the worker that is asked adds them up.
``app/server.py``, gunicorn's configuration, makes that directory and takes care of workers that are gone. In a single
process, as in development, there are no files.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem

__all__ = ["Metrics", "layer"]

_PATH = "/metrics"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_READ_ATTEMPTS = 5


def layer() -> Middleware:
    """Return the middleware for ``create_app``.

    Ends the process, with one line and exit code 3, when gunicorn runs with a configuration that makes no directory:
    each worker would answer for itself, and every scrape would find another one.
    """
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not directory and os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn"):
        sys.stderr.write("settings: APP_METRICS: needs gunicorn -c app/server.py, or PROMETHEUS_MULTIPROC_DIR\n")
        raise SystemExit(3)
    return Middleware(Metrics, directory=directory)


class Metrics:
    """Pure ASGI middleware, outside of all others: counts every request, answers ``/metrics``.

    Only callers inside get an answer: a request with ``X-Forwarded-For`` has come through a proxy and gets 404, also
    where that proxy forgot to refuse the path, as nginx here does. The Host header does not matter.

    Labels take few values: the template of the route (``/items/{id}``, never the path; ``none`` where no route fits),
    the known methods, the status (``none`` where there was no response).

    Args:
        app: The application.
        directory: Where all workers' numbers are; None: this process's own only.
    """

    def __init__(self, app: ASGIApp, *, directory: str | None = None) -> None:
        self._app = app
        self._directory = directory
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
        self._draining = Gauge("app_workers_draining", "Worker processes that are leaving.", **shared)
        self._handovers = Counter("app_handovers", "Workers that began to leave.", ["reason"], **own)
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
        """Run the application's lifespan, and see the worker leave."""
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
        report = await scope["app"].state.health.report()
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
        for attempt in range(_READ_ATTEMPTS):
            try:
                with _locked(self._directory):
                    registry = CollectorRegistry()
                    MultiProcessCollector(registry, self._directory)
                    return encode(registry), media_type
            except (RuntimeError, struct.error):  # a worker is just creating its files
                if attempt == _READ_ATTEMPTS - 1:
                    raise
                time.sleep(0.01)
        raise AssertionError


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Keep the master from moving a dead worker's counts from one file to another meanwhile."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)
