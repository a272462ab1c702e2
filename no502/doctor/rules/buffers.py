"""B: sizes and numbers that run out."""

from __future__ import annotations

import math
from collections.abc import Iterator

from no502.doctor.facts import kind_of, name_of, number, origin_of, uses_uvicorn, value, written
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import binds_of, links
from no502.doctor.model import Deployment, Source
from no502.doctor.registry import Rule

__all__ = ["RULES"]

_PAGE = 4096
_FEW_CONNECTIONS = 256
_SHORT_BACKLOG = 64
_FEW_REQUESTS = 50
_WORKERS_PER_CPU = 4  # the most that gunicorn's documentation recommends, and that is for sync workers


def _b701(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[str, int | None]] = set()
    for nginx in deployment.nginx:
        for location in nginx.locations:
            size = number(location.settings, "proxy_buffer_size")
            origin = origin_of(location.settings, "proxy_buffer_size", location.origin)
            if size is None or size >= _PAGE or not written(location.settings, "proxy_buffer_size"):
                continue
            if (origin.file, origin.line) in seen:
                continue
            seen.add((origin.file, origin.line))
            yield B701.finding(
                f"proxy_buffer_size {size:g} bytes: the headers of a response must fit into it, and session cookies or "
                "tokens often take more",
                origin,
                consequence='502; nginx logs "upstream sent too big header while reading response header from '
                'upstream"',
                fix="`proxy_buffer_size 16k;` with `proxy_buffers 8 16k;` (nginx refuses 16k alone).",
            )


def _few_at_a_time(deployment: Deployment) -> Iterator[Finding]:
    """Yield the applications that take few requests at a time, by a written number."""
    for server in deployment.servers:
        kind, workers = kind_of(server), number(server.settings, "workers")
        name = "worker_connections" if kind in {"gevent", "eventlet"} else "limit_concurrency"
        each = number(server.settings, name)
        if workers is None or not each or not written(server.settings, name) or each * workers >= _FEW_REQUESTS:
            continue
        together = f"{each * workers:g} requests at a time"
        yield B703.finding(
            f"{name_of(server)} takes {together} ({name} {each:g}, {workers:g} workers); the rest waits"
            if kind != "uvicorn"
            else f"{name_of(server)} takes {together} ({name} {each:g}, {workers:g} workers) and answers 503 "
            "to the rest",
            origin_of(server.settings, name, server.origin),
            consequence="slow answers, then 504 (or 503), while the machine idles",
            fix=f"Leave {name} at its default, or at least 100 for each worker.",
        )


def _b703(deployment: Deployment) -> Iterator[Finding]:
    yield from _few_at_a_time(deployment)
    for nginx in deployment.nginx:
        if not nginx.locations:
            continue
        connections = number(nginx.main, "worker_connections")
        files = number(nginx.main, "worker_rlimit_nofile")
        if connections is None:
            continue
        where = origin_of(nginx.main, "worker_connections", nginx.origin)
        if files is not None and written(nginx.main, "worker_rlimit_nofile") and files < connections:
            yield B703.finding(
                f"worker_connections {connections:g} is more than worker_rlimit_nofile {files:g} lets a worker open",
                where,
                related=[(nginx.main["worker_rlimit_nofile"].origin, f"worker_rlimit_nofile {files:g}")],
                consequence='under load "socket() failed (24: Too many open files) while connecting to upstream": 500',
                fix="worker_rlimit_nofile at least twice worker_connections.",
            )
        if connections < _FEW_CONNECTIONS and written(nginx.main, "worker_connections"):
            yield B703.finding(
                f"worker_connections {connections:g}: a proxied request takes two, so a worker serves "
                f"{int(connections) // 2} at a time",
                where,
                consequence='connections are reset; nginx logs "worker_connections are not enough"',
                fix="`worker_connections 1024;` or more.",
            )


def _b704(deployment: Deployment) -> Iterator[Finding]:
    unix = {id(link.server) for link in links(deployment) if (link.peer.address.value or _NOWHERE).socket}
    for server in deployment.servers:
        backlog = number(server.settings, "backlog")
        service = deployment.runner(server)
        limit = number(service.settings, "somaxconn") if service is not None else None
        if backlog is None or binds_of(server) is None:
            continue
        where = origin_of(server.settings, "backlog", server.origin)
        effect = (
            '502 at once under a burst; nginx logs "connect() to unix:... failed (11: Resource temporarily '
            'unavailable)"'
            if id(server) in unix
            else "connections wait or time out under a burst: 504 after proxy_connect_timeout"
        )
        if backlog < _SHORT_BACKLOG and where.source is Source.WRITTEN:
            yield B704.finding(
                f"{name_of(server)} lets only {backlog:g} connections wait to be accepted",
                where,
                consequence=effect,
                fix="Leave backlog at 2048.",
            )
        elif limit is not None and service is not None and limit < min(backlog, _SMALL_SOMAXCONN):
            yield B704.finding(
                f"net.core.somaxconn {limit:g} cuts the backlog of {name_of(server)} ({backlog:g})",
                origin_of(service.settings, "somaxconn", service.origin),
                related=[(where if where.line is not None else server.origin, f"backlog {backlog:g}")],
                consequence=effect,
                fix="Raise net.core.somaxconn to the backlog.",
            )


class _Nowhere:
    socket: str | None = None


_NOWHERE = _Nowhere()
_SMALL_SOMAXCONN = 1024


def _b705(deployment: Deployment) -> Iterator[Finding]:
    for server in deployment.servers:
        workers = server.settings.get("workers")
        service = deployment.runner(server)
        if workers is None or service is None or workers.known or "cpu_count" not in workers.origin.note:
            continue
        cpus, memory = value(service.settings, "cpus"), value(service.settings, "memory")
        if (cpus is None and memory is None) or "min(" in workers.origin.note:
            continue
        limit = f"{cpus:g} CPUs" if cpus is not None else f"{memory / 2**20:g} MiB"
        which = "cpus" if cpus is not None else "memory"
        yield B705.finding(
            f"{name_of(server)} starts workers for every CPU of the host, but {service.name} may use {limit}",
            workers.origin,
            related=[(origin_of(service.settings, which, service.origin), f"limit: {limit}")],
            consequence="on a large host the container runs out of memory: workers are killed in the middle of "
            "requests "
            '(502), gunicorn logs "was sent SIGKILL! Perhaps out of memory?"',
            fix="Set the number (WEB_CONCURRENCY); cpu_count() does not know a container's limits.",
        )


def _b707(deployment: Deployment) -> Iterator[Finding]:
    for server in deployment.servers:
        workers, service = number(server.settings, "workers"), deployment.runner(server)
        cpus = value(service.settings, "cpus") if service is not None else None
        if service is None or workers is None or cpus is None or not uses_uvicorn(server):
            continue
        if workers <= _WORKERS_PER_CPU * math.ceil(cpus):
            continue
        yield B707.finding(
            f"{name_of(server)} has {workers:g} workers, but {service.name} may use {cpus:g} of the CPUs",
            origin_of(server.settings, "workers", server.origin),
            related=[(origin_of(service.settings, "cpus", service.origin), f"limit: cpus {cpus:g}")],
            consequence="latency under load: the workers take turns, and the cgroup pauses all of them when the "
            "quota is spent; each has the whole application in memory",
            fix=f"One worker for each CPU: {math.ceil(cpus)}. An async worker does not wait for its requests.",
        )


B701 = Rule(
    id="B701",
    slug="header-buffer-small",
    severity=Severity.WARNING,
    summary="proxy_buffer_size is smaller than one page",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffer_size",
    check=_b701,
)
B703 = Rule(
    id="B703",
    slug="connections-run-out",
    severity=Severity.WARNING,
    summary="worker_connections do not fit the file limit, or are few",
    source="https://nginx.org/en/docs/ngx_core_module.html#worker_connections",
    check=_b703,
)
B704 = Rule(
    id="B704",
    slug="backlog-short",
    severity=Severity.WARNING,
    summary="few connections may wait to be accepted",
    source="https://gunicorn.org/reference/settings/#backlog",
    check=_b704,
)
B705 = Rule(
    id="B705",
    slug="workers-by-host-cpus",
    severity=Severity.WARNING,
    summary="workers are counted from the host's CPUs under a container's limit",
    source="https://docs.python.org/3/library/os.html#os.cpu_count",
    check=_b705,
)
B707 = Rule(
    id="B707",
    slug="more-workers-than-cpus",
    severity=Severity.INFO,
    summary="more than four async workers for each CPU that a container may use",
    source="https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files",
    check=_b707,
)
RULES = (B701, B703, B704, B705, B707)
