"""B: sizes and numbers that run out."""

from __future__ import annotations

import math
from collections.abc import Iterator

from no502.doctor.facts import kind_of, name_of, number, origin_of, uses_uvicorn, value, written
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import binds_of, links
from no502.doctor.model import AppServer, Deployment, Location, Source
from no502.doctor.registry import rule
from no502.doctor.scopes import line_of
from no502.messages.quoted import logs

__all__ = []

_PAGE = 4096
_FEW_CONNECTIONS = 256
_SHORT_BACKLOG = 64
_FEW_REQUESTS = 50
_WORKERS_PER_CPU = 4  # the most that gunicorn's documentation recommends, and that is for sync workers


@rule(
    "B701",
    "header-buffer-small",
    Severity.WARNING,
    "proxy_buffer_size is smaller than a memory page, so nginx rejects large response headers",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffer_size",
    per=Location,
    once=lambda location: line_of(origin_of(location.settings.proxy_buffer_size, location.origin)),
)
def _header_buffer_small(location: Location, _: Deployment) -> Iterator[Finding]:
    size = number(location.settings.proxy_buffer_size)
    origin = origin_of(location.settings.proxy_buffer_size, location.origin)
    if size is None or size >= _PAGE or not written(location.settings.proxy_buffer_size):
        return
    yield _header_buffer_small.finding(
        f"proxy_buffer_size {size:g} bytes: the headers of a response must fit into it, and session cookies or "
        "tokens often take more",
        origin,
        consequence=f"requests get 502; {logs('upstream-sent-too-big-header')}",
        fix="Set `proxy_buffer_size 16k;` and `proxy_buffers 8 16k;` (nginx refuses to start with the first alone).",
    )


def _few_at_a_time(deployment: Deployment) -> Iterator[Finding]:
    """Yield the applications that take few requests at a time, by a written number."""
    for server in deployment.servers:
        kind, workers = kind_of(server), number(server.settings.workers)
        name = "worker_connections" if kind in {"gevent", "eventlet"} else "limit_concurrency"
        each = number(server.settings.fact(name))
        if workers is None or not each or not written(server.settings.fact(name)) or each * workers >= _FEW_REQUESTS:
            continue
        together = f"{each * workers:g} requests at a time"
        yield _connections_run_out.finding(
            f"{name_of(server)} takes {together} ({name} {each:g}, {workers:g} workers); the rest waits"
            if kind != "uvicorn"
            else f"{name_of(server)} takes {together} ({name} {each:g}, {workers:g} workers) and answers 503 "
            "to the rest",
            origin_of(server.settings.fact(name), server.origin),
            consequence="responses are slow, then requests get 504 (or 503), although the machine is idle",
            fix=f"Remove {name}, or set it to at least 100 per worker.",
        )


@rule(
    "B703",
    "connections-run-out",
    Severity.WARNING,
    "worker_connections is too low, or exceeds the open file limit",
    source="https://nginx.org/en/docs/ngx_core_module.html#worker_connections",
)
def _connections_run_out(deployment: Deployment) -> Iterator[Finding]:
    yield from _few_at_a_time(deployment)
    for nginx in deployment.nginx:
        if not nginx.locations:
            continue
        connections = number(nginx.main.worker_connections)
        files = number(nginx.main.worker_rlimit_nofile)
        if connections is None:
            continue
        where = origin_of(nginx.main.worker_connections, nginx.origin)
        if files is not None and written(nginx.main.worker_rlimit_nofile) and files < connections:
            yield _connections_run_out.finding(
                f"worker_connections {connections:g} is more than worker_rlimit_nofile {files:g} lets a worker open",
                where,
                related=[(origin_of(nginx.main.worker_rlimit_nofile, nginx.origin), f"worker_rlimit_nofile {files:g}")],
                consequence=f"under load requests get 500; {logs('accept-failed-24-too-many-open-files', 1)}",
                fix="Set worker_rlimit_nofile to at least twice worker_connections.",
            )
        if connections < _FEW_CONNECTIONS and written(nginx.main.worker_connections):
            yield _connections_run_out.finding(
                f"worker_connections {connections:g}: a proxied request takes two, so a worker serves "
                f"{int(connections) // 2} at a time",
                where,
                consequence=f"connections are reset; {logs('worker-connections-are-not-enough')}",
                fix="Set `worker_connections 1024;` or more.",
            )


@rule(
    "B704",
    "backlog-short",
    Severity.WARNING,
    "the listen backlog is too short, so bursts of connections get 502 or 504",
    source="https://gunicorn.org/reference/settings/#backlog",
    per=AppServer,
)
def _backlog_short(server: AppServer, deployment: Deployment) -> Iterator[Finding]:
    backlog = number(server.settings.backlog)
    service = deployment.runner(server)
    limit = number(service.settings.somaxconn) if service is not None else None
    if backlog is None or binds_of(server) is None:
        return
    where = origin_of(server.settings.backlog, server.origin)
    effect = (
        "in a burst, requests get 502 at once; "
        f"{logs('connect-to-unix-socket-failed-11-resource-temporarily-unavailable')}"
        if any(link.server is server and (link.peer.address.value or _NOWHERE).socket for link in links(deployment))
        else "in a burst, connections wait or time out: requests get 504 after proxy_connect_timeout"
    )
    if backlog < _SHORT_BACKLOG and where.source is Source.WRITTEN:
        yield _backlog_short.finding(
            f"{name_of(server)} has an accept queue for only {backlog:g} connections",
            where,
            consequence=effect,
            fix="Remove the setting, or set backlog to gunicorn's default of 2048.",
        )
    elif limit is not None and service is not None and limit < min(backlog, _SMALL_SOMAXCONN):
        yield _backlog_short.finding(
            f"net.core.somaxconn {limit:g} caps the backlog of {name_of(server)} ({backlog:g})",
            origin_of(service.settings.somaxconn, service.origin),
            related=[(where if where.line is not None else server.origin, f"backlog {backlog:g}")],
            consequence=effect,
            fix=f"Raise net.core.somaxconn to {backlog:g}.",
        )


class _Nowhere:
    socket: str | None = None


_NOWHERE = _Nowhere()
_SMALL_SOMAXCONN = 1024


@rule(
    "B705",
    "workers-by-host-cpus",
    Severity.WARNING,
    "cpu_count() ignores the container's CPU and memory limits and starts too many workers",
    source="https://docs.python.org/3/library/os.html#os.cpu_count",
    per=AppServer,
)
def _workers_by_host_cpus(server: AppServer, deployment: Deployment) -> Iterator[Finding]:
    workers = server.settings.workers
    service = deployment.runner(server)
    if workers is None or service is None or workers.known or "cpu_count" not in workers.origin.expression:
        return
    cpus, memory = value(service.settings.cpus), value(service.settings.memory)
    if (cpus is None and memory is None) or "min(" in workers.origin.expression:
        return
    limit = f"{cpus:g} CPUs" if cpus is not None else f"{(memory or 0) / 2**20:g} MiB"
    which = "cpus" if cpus is not None else "memory"
    yield _workers_by_host_cpus.finding(
        f"{name_of(server)} starts workers for every CPU of the host, but {service.name} may use {limit}",
        workers.origin,
        related=[(origin_of(service.settings.fact(which), service.origin), f"limit: {limit}")],
        consequence="on a large host the container runs out of memory: workers are OOM-killed and their requests get "
        f"502; {logs('worker-was-sent-sigkill-perhaps-out-of-memory')}",
        fix="Set the number of workers with WEB_CONCURRENCY: cpu_count() ignores a container's limits.",
    )


@rule(
    "B707",
    "more-workers-than-cpus",
    Severity.INFO,
    "the container runs more than four async workers per CPU of its limit",
    source="https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files",
    per=AppServer,
)
def _more_workers_than_cpus(server: AppServer, deployment: Deployment) -> Iterator[Finding]:
    workers, service = number(server.settings.workers), deployment.runner(server)
    cpus = value(service.settings.cpus) if service is not None else None
    if service is None or workers is None or cpus is None or not uses_uvicorn(server):
        return
    if workers <= _WORKERS_PER_CPU * math.ceil(cpus):
        return
    yield _more_workers_than_cpus.finding(
        f"{name_of(server)} has {workers:g} workers, but {service.name} is limited to {cpus:g} CPUs",
        origin_of(server.settings.workers, server.origin),
        related=[(origin_of(service.settings.cpus, service.origin), f"limit: cpus {cpus:g}")],
        consequence="under load latency grows: the workers compete for the CPUs, and the cgroup throttles all of them "
        "once the quota is used up; each holds the whole application in memory",
        fix=f"Start one worker per CPU: {math.ceil(cpus)}. An async worker handles many requests at a time.",
    )
