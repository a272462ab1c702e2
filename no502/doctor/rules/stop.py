"""S: starting, stopping and recycling without a gap."""

from __future__ import annotations

import re
from collections.abc import Iterator

from no502.doctor.edits import replace_number, set_option, substitute
from no502.doctor.facts import (
    CONTAINERS,
    grace_at,
    hands_over,
    is_handover_worker,
    kind_of,
    name_of,
    number,
    origin_of,
    seconds,
    shown,
    text,
    value,
    written,
)
from no502.doctor.finding import Edit, Finding, Severity
from no502.doctor.links import links, targets
from no502.doctor.model import AppServer, Deployment, NginxConfig, Service, ServiceKind, Source
from no502.doctor.registry import Rule, rule
from no502.doctor.scopes import Process, line_of, subjects
from no502.ladder.rungs import computed
from no502.messages.quoted import logs

__all__ = []

_SHORT, _LONG = 30, 60
"""Seconds below which a grace period is short for requests without a limit: one that was chosen, and a default one."""
_CLOSES = "a recycled worker closes connections that nginx is using"


def _grace(graceful: float, before: float = 0) -> int:
    """Return the stop grace in seconds that leaves room for what gunicorn may take, and for what comes before it."""
    return computed("stop_grace", stop_delay=before, G=graceful)


def _run_by(deployment: Deployment, *kinds: ServiceKind) -> Iterator[tuple[AppServer, Service]]:
    """Yield each server with what runs it, where that is of one of the kinds."""
    for process in subjects(deployment, Process):
        if process.service.kind in kinds:
            yield process.server, process.service


def _too_short(
    rule: Rule,
    server: AppServer,
    service: Service,
    *,
    needs: str,
    extra: float = 0,
    edits: tuple[Edit, ...] = (),
    named: str = "",
) -> Iterator[Finding]:
    grace = number(service.settings.stop_grace)
    graceful = number(server.settings.graceful_timeout)
    if grace is None or graceful is None or grace > graceful + extra or (grace == graceful + extra and extra):
        return
    where = grace_at(service)
    plus = f" after {seconds(extra)} of preStop" if extra else ""
    names = named or service.name
    yield rule.finding(
        f"{names} {'are' if ',' in names else 'is'} killed {seconds(grace)} after "
        f"SIGTERM{shown(service.settings.stop_grace)}, but "
        f"{name_of(server)} may take {seconds(graceful)}{shown(server.settings.graceful_timeout)} to finish its "
        f"requests{plus}",
        where if where.line is not None else service.origin,
        related=[(origin_of(server.settings.graceful_timeout, server.origin), f"graceful_timeout {seconds(graceful)}")],
        consequence="at every deployment SIGKILL cuts the requests that still run, and they get 502; "
        f"{logs('recv-failed-104-reading-response-header', 1)}",
        fix=f"Set {needs.format(_grace(graceful, extra))}, or lower graceful_timeout.",
        edits=edits,
    )


@rule(
    "S501",
    "stop-grace-too-short",
    Severity.WARNING,
    "Compose's stop_grace_period is shorter than gunicorn's graceful_timeout",
    source="https://docs.docker.com/reference/compose-file/services/#stop_grace_period",
    per=Process,
)
def _stop_grace_too_short(process: Process, _: Deployment) -> Iterator[Finding]:
    server, service, named = process.server, process.service, process.names
    if service.kind is not ServiceKind.COMPOSE:
        return
    graceful = number(server.settings.graceful_timeout) or 0
    new = f"{_grace(graceful)}s"
    edits: tuple[Edit, ...] = ()
    if written(service.settings.stop_grace):
        edits = replace_number(grace_at(service), new, after="stop_grace_period")
    elif service.origin.line is not None:
        edits = (
            Edit(
                file=service.origin.file,
                line=service.origin.line,
                insert=f"{{indent}}{{step}}stop_grace_period: {new}",
            ),
        )
    if server.settings.graceful_timeout is None:
        yield from _endless(_stop_grace_too_short, server, service, needs="`stop_grace_period: {}s`", named=named)
        return
    yield from _too_short(
        _stop_grace_too_short, server, service, needs="stop_grace_period: {}s", edits=edits, named=named
    )


def _endless(
    rule: Rule, server: AppServer, service: Service, *, needs: str, extra: float = 0, named: str = ""
) -> Iterator[Finding]:
    """Yield a uvicorn that waits for its requests without end, under a time in which a request may still run.

    Args:
        rule: Whose finding it is.
        server: The uvicorn.
        service: What stops it.
        needs: The setting with a place for its seconds.
        extra: Seconds of the time that pass before uvicorn gets SIGTERM.
        named: The services, where one command is that of several.
    """
    grace = number(service.settings.stop_grace)
    meant = written(service.settings.stop_grace)
    if server.program != "uvicorn" or grace is None or grace - extra >= (_SHORT if meant else _LONG):
        return
    names, where = named or service.name, grace_at(service)
    default = shown(service.settings.stop_grace)
    after = f"after preStop of {seconds(extra)} begins" if extra else "after SIGTERM"
    yield rule.finding(
        f"{names} {'are' if ',' in names else 'is'} killed {seconds(grace)}{default} {after}, but {name_of(server)} "
        "waits for its requests without end (no --timeout-graceful-shutdown)",
        where if meant and where.line is not None else service.origin,
        related=[(server.origin, "no --timeout-graceful-shutdown")],
        consequence="at every deployment SIGKILL cuts the requests that still run, and they get 502; "
        f"{logs('recv-failed-104-reading-response-header', 1)}",
        fix=f"Set --timeout-graceful-shutdown 30 and {needs.format(_grace(_SHORT, extra))}, or values above "
        "the duration of your longest request.",
    )


def _command_line(process: Process) -> tuple[object, ...] | None:
    """Return what services of any kind with one command line have in common; None where it stands in no line."""
    server = process.server
    return None if server.origin.line is None else (*line_of(server.origin), server.program)


@rule(
    "S502",
    "shell-swallows-sigterm",
    Severity.WARNING,
    "a shell is PID 1 in the container and does not forward SIGTERM to gunicorn or uvicorn",
    source="https://docs.docker.com/reference/dockerfile/#shell-form-entrypoint-example",
    per=Process,
    once=_command_line,
)
def _shell_swallows_sigterm(process: Process, _: Deployment) -> Iterator[Finding]:
    server = process.server
    if not server.shell or process.service.kind not in CONTAINERS:
        return
    in_script = "script" in server.shell
    before = r"^(\s*)" if in_script else r"(&&\s*|;\s*|-c\W{1,5}|CMD\s+|command:\s*[\"']?)"
    edits = substitute(
        server.origin,
        (rf"{before}{server.program}\b", rf"\g<1>exec {server.program}"),
        within=1 if in_script else 12,
    )
    left = "with &" if server.background else _daemon(server)
    if left:
        yield _shell_swallows_sigterm.finding(
            f"a shell is process 1 and does not pass SIGTERM on to {name_of(server)}, which it starts {left}",
            server.origin,
            consequence="every stop takes the full grace period; then SIGKILL cuts the in-flight requests, and "
            "they get 502",
            fix="Run each of the two in its own container, or use an init that forwards SIGTERM to both and waits "
            "(`tini -g`, supervisord, s6).",
        )
        return
    yield _shell_swallows_sigterm.finding(
        f"a shell is process 1 and does not pass SIGTERM on to {name_of(server)} ({server.shell})",
        server.origin,
        consequence="every stop takes the full grace period; then SIGKILL cuts the in-flight requests, and they "
        "get 502",
        fix="Replace the pipe: a shell with `exec` cannot be a part of one. Write "
        f"`exec {server.program} ... --access-logfile -`, and let the container's log driver keep the lines."
        if server.piped
        else f"Write `exec {server.program} ...`, or use the JSON form of CMD.",
        edits=() if server.piped else edits,
    )


def _daemon(server: AppServer) -> str:
    """Return the option with which gunicorn leaves what started it; empty if there is none."""
    words = value(server.command) or ()
    return next((f"with {word}" for word in words if server.program == "gunicorn" and word in {"-D", "--daemon"}), "")


@rule(
    "S503",
    "timeoutstopsec-too-short",
    Severity.WARNING,
    "systemd's TimeoutStopSec is shorter than gunicorn's graceful_timeout",
    source="https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#TimeoutStopSec=",
)
def _timeoutstopsec_too_short(deployment: Deployment) -> Iterator[Finding]:
    for server in deployment.servers:
        program = server.manager or deployment.runner(server)
        if program is None or program.kind is not ServiceKind.SUPERVISOR:
            continue
        graceful = number(server.settings.graceful_timeout) or 0
        if server.settings.graceful_timeout is None:
            yield from _endless(_timeoutstopsec_too_short, server, program, needs="stopwaitsecs={}")
        yield from _too_short(
            _timeoutstopsec_too_short,
            server,
            program,
            needs="stopwaitsecs={}",
            edits=replace_number(
                grace_at(program),
                str(_grace(graceful)),
                after="stopwaitsecs",
            )
            if written(program.settings.stop_grace)
            else (),
        )
    for server, service in _run_by(deployment, ServiceKind.SYSTEMD):
        graceful = number(server.settings.graceful_timeout) or 0
        edits = (
            replace_number(
                grace_at(service),
                str(_grace(graceful)),
                after="TimeoutStopSec|TimeoutSec",
            )
            if written(service.settings.stop_grace)
            else ()
        )
        if server.settings.graceful_timeout is None:
            yield from _endless(_timeoutstopsec_too_short, server, service, needs="TimeoutStopSec={}s")
        yield from _too_short(_timeoutstopsec_too_short, server, service, needs="TimeoutStopSec={}s", edits=edits)


@rule(
    "S504",
    "quick-stop-signal",
    Severity.WARNING,
    "the stop signal is SIGINT, SIGQUIT or SIGKILL, which ends requests at once",
    source="https://gunicorn.org/signals/",
)
def _quick_stop_signal(deployment: Deployment) -> Iterator[Finding]:
    managed = [(one, one.manager) for one in deployment.servers if one.manager is not None]
    for server, service in [*_run_by(deployment, *CONTAINERS, ServiceKind.SYSTEMD, ServiceKind.SUPERVISOR), *managed]:
        signal = (text(service.settings.stop_signal) or "").upper().removeprefix("SIG")
        killed = signal in {"KILL", "9"}
        if not killed and (server.program != "gunicorn" or signal not in {"INT", "QUIT", "2", "3"}):
            continue
        where = origin_of(service.settings.stop_signal, service.origin)
        means = "which no process can catch" if killed else "which is gunicorn's quick shutdown"
        yield _quick_stop_signal.finding(
            f"{service.name} is stopped with SIG{signal}, {means}",
            where,
            related=[(server.origin, name_of(server))],
            consequence="at every stop all in-flight requests get 502",
            fix=f"Change the stop signal to SIGTERM, {server.program}'s graceful shutdown.",
            edits=substitute(where, (r"(?:SIG)?(?:INT|QUIT|KILL)\b", "SIGTERM"), within=2)
            if signal in {"INT", "QUIT", "KILL"}
            else (),
        )


@rule(
    "S505",
    "pod-stops-too-early",
    Severity.WARNING,
    "the pod has no preStop or a terminationGracePeriodSeconds that is too short",
    source="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
    per=Process,
)
def _pod_stops_too_early(process: Process, _: Deployment) -> Iterator[Finding]:
    server, service = process.server, process.service
    if service.kind is not ServiceKind.KUBERNETES:
        return
    before = number(service.settings.pre_stop)
    fact = service.settings.pre_stop
    graceful = number(server.settings.graceful_timeout) or 0
    if server.settings.graceful_timeout is None:
        needs = "terminationGracePeriodSeconds: {}"
        yield from _endless(_pod_stops_too_early, server, service, needs=needs, extra=before or 0)
    yield from _too_short(
        _pod_stops_too_early,
        server,
        service,
        needs="terminationGracePeriodSeconds: {}",
        extra=before or 0,
        edits=replace_number(
            grace_at(service),
            str(_grace(graceful, before or 0)),
            after="terminationGracePeriodSeconds",
        )
        if written(service.settings.stop_grace)
        else (),
    )
    unset = fact is None or (fact.value in {None, 0} and fact.origin.source is Source.DEFAULT)
    if unset and value(service.settings.controller) not in {"Job", "CronJob", "Pod"}:
        yield _pod_stops_too_early.finding(
            f"{service.name} has no preStop: it stops accepting connections while others still send it requests",
            service.origin,
            related=[(server.origin, name_of(server))],
            consequence="at every rollout, requests get 502 for a moment: connect() failed (111: Connection refused)",
            fix="Add `lifecycle: {preStop: {sleep: {seconds: 5}}}` (Kubernetes 1.30); its time counts towards "
            "terminationGracePeriodSeconds.",
        )


def _started_by(server: AppServer) -> tuple[object, ...]:
    """Return what several services with one command have in common."""
    if server.origin.line is None:
        return (id(server),)
    return (server.origin.file, server.origin.line, server.command.value)


@rule(
    "S506",
    "workers-recycled-together",
    Severity.WARNING,
    "max_requests with a single worker or without max_requests_jitter",
    source="https://gunicorn.org/reference/settings/#max_requests_jitter",
    per=AppServer,
    once=_started_by,
)
def _workers_recycled_together(server: AppServer, _: Deployment) -> Iterator[Finding]:
    limit = number(server.settings.max_requests)
    workers = number(server.settings.workers)
    jitter = number(server.settings.max_requests_jitter)
    if not limit or workers is None or hands_over(server):
        return
    where = origin_of(server.settings.max_requests, server.origin)
    if workers == 1:
        kind = kind_of(server)
        gone = (
            "uvicorn itself exits, and nothing listens until it is started again"
            if server.program == "uvicorn"
            else "no worker accepts connections until the new one has loaded the application"
        )
        yield _workers_recycled_together.finding(
            f"{name_of(server)} replaces its only worker after {limit:g} requests",
            where,
            consequence=f"{gone}: requests wait or get 502"
            + ("" if kind != "uvicorn" else "; requests on accepted connections are reset"),
            fix="Run gunicorn -c python:gunicorn_conf (HandoverWorker with its hooks), start at least two workers, or "
            "remove max_requests.",
        )
    elif server.program == "gunicorn" and jitter == 0:
        new = max(1, int(limit) // 5)
        yield _workers_recycled_together.finding(
            f"all {workers:g} workers of {name_of(server)} are replaced after the same {limit:g} requests, "
            "with no jitter",
            where,
            consequence="all workers restart together: at regular intervals responses are slow and requests get 502",
            fix=f"Set --max-requests-jitter {new}.",
            edits=set_option(server, "max_requests_jitter", "--max-requests-jitter", str(new)),
        )


@rule(
    "S507",
    "proxy-before-application",
    Severity.WARNING,
    "depends_on does not wait for service_healthy, so nginx starts before the application",
    source="https://docs.docker.com/reference/compose-file/services/#depends_on",
)
def _proxy_before_application(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    served = {id(link.peer): link.server for link in links(deployment)}
    for location, _upstream, peer, address in targets(deployment):
        nginx = deployment.runner(location.config)
        server = served.get(id(peer))
        app = deployment.runner(server) if server is not None else None
        if nginx is None or app is None or nginx is app or nginx.kind != ServiceKind.COMPOSE or nginx.kind != app.kind:
            continue
        if value(nginx.settings.swarm):
            continue  # docker stack deploy ignores depends_on
        if (nginx.name, app.name) in seen or nginx.origin.file.split("/")[:-1] != app.origin.file.split("/")[:-1]:
            continue
        seen.add((nginx.name, app.name))
        condition = nginx.depends_on.get(app.name)
        if condition is not None and (not condition.known or condition.value == "service_healthy"):
            continue
        says = f"waits only until {app.name} is started, not" if condition else "does not wait"
        yield _proxy_before_application.finding(
            f"{nginx.name} {says} until {'it' if condition else app.name} serves",
            condition.origin if condition is not None else nginx.origin,
            related=[(app.origin, f"{app.name} runs {server.program if server else ''}")],
            consequence="after `docker compose up`, requests get 502 until the application has loaded"
            + (
                ""
                if condition or address.socket is not None
                else '; nginx does not start while it cannot resolve the name ("host not found in upstream")'
            ),
            fix=f"Add `depends_on: {{{app.name}: {{condition: service_healthy}}}}` to {nginx.name} and a healthcheck "
            f"to {app.name}.",
        )


@rule(
    "S509",
    "proxy-stops-too-fast",
    Severity.WARNING,
    "nginx is stopped with its fast shutdown, or is killed before requests have finished",
    source="https://nginx.org/en/docs/control.html",
)
def _proxy_stops_too_fast(deployment: Deployment) -> Iterator[Finding]:
    seen: set[int] = set()
    for nginx in deployment.nginx:
        service = deployment.runner(nginx)
        if service is None or id(service) in seen or not nginx.locations:
            continue
        seen.add(id(service))
        if any(deployment.runner(one) is service for one in deployment.servers):
            continue  # nginx is not what the container runs first
        if service.kind is ServiceKind.KUBERNETES:
            yield from _pod_of_nginx(deployment, nginx, service)
        elif service.kind is ServiceKind.COMPOSE:
            yield from _container_of_nginx(deployment, nginx, service)


def _longest(deployment: Deployment, nginx: NginxConfig) -> tuple[float, AppServer] | None:
    """Return the longest time that an application behind an nginx may take to finish its requests."""
    found = [
        (graceful, link.server)
        for link in links(deployment)
        if link.nginx is nginx and (graceful := number(link.server.settings.graceful_timeout)) is not None
    ]
    return max(found, key=lambda pair: pair[0], default=None)


def _pod_of_nginx(deployment: Deployment, nginx: NginxConfig, service: Service) -> Iterator[Finding]:
    fact = service.settings.pre_stop
    command = str(value(service.settings.pre_stop_command) or "")
    where = fact.origin if fact is not None and fact.origin.line is not None else service.origin
    waits = number(service.settings.pre_stop)
    controlled = value(service.settings.controller) not in {"Job", "CronJob", "Pod"}
    if re.search(r"nginx\s+-s\s+stop", command):
        yield _proxy_stops_too_fast.finding(
            f"the preStop of {service.name} is `nginx -s stop`, nginx's fast shutdown",
            where,
            consequence="at every rollout in-flight requests are cut: clients see a reset connection or 502",
            fix="Replace it with `lifecycle: {preStop: {sleep: {seconds: 5}}}`: the image stops with SIGQUIT, which "
            "is graceful.",
        )
    elif re.search(r"nginx\s+-s\s+quit", command) and not waits:
        yield _proxy_stops_too_fast.finding(
            f"the preStop of {service.name} is `nginx -s quit` without a wait: it stops accepting while its "
            "Service still "
            "sends it connections",
            where,
            consequence="at every rollout connections are refused for a moment: requests get 502 from the front proxy",
            fix='Set `command: ["sh", "-c", "sleep 5; nginx -s quit"]` in the preStop.',
        )
    elif (fact is None or (fact.value in {None, 0} and fact.origin.source is Source.DEFAULT)) and controlled:
        yield _proxy_stops_too_fast.finding(
            f"{service.name} has no preStop: nginx stops accepting while its Service still sends it connections",
            service.origin,
            consequence="at every rollout connections are refused for a moment: requests get 502 from the front proxy",
            fix="Add `lifecycle: {preStop: {sleep: {seconds: 5}}}` (Kubernetes 1.30); its time counts towards "
            "terminationGracePeriodSeconds.",
        )
    yield from _killed(deployment, nginx, service, "terminationGracePeriodSeconds: {}")


def _killed(deployment: Deployment, nginx: NginxConfig, service: Service, setting: str) -> Iterator[Finding]:
    """Yield an nginx that is killed before the application has finished the requests that came through it."""
    longest, grace = _longest(deployment, nginx), number(service.settings.stop_grace)
    if longest is None or grace is None:
        return
    graceful, server = longest
    before = number(service.settings.pre_stop) or 0
    meant = written(service.settings.stop_grace) or written(server.settings.graceful_timeout)
    if not meant or grace >= graceful + before:
        return
    where = grace_at(service)
    yield _proxy_stops_too_fast.finding(
        f"{service.name} is killed {seconds(grace)} after SIGTERM{shown(service.settings.stop_grace)}, but "
        "requests to "
        f"{name_of(server)} may take {seconds(graceful)}{shown(server.settings.graceful_timeout)}",
        where if where.line is not None else service.origin,
        related=[(origin_of(server.settings.graceful_timeout, server.origin), f"graceful_timeout {seconds(graceful)}")],
        consequence="at every deployment nginx cuts requests that the application would still answer",
        fix=f"Set {setting.format(_grace(graceful, before))} for nginx, too.",
    )


def _container_of_nginx(deployment: Deployment, nginx: NginxConfig, service: Service) -> Iterator[Finding]:
    signal = (text(service.settings.stop_signal) or "").upper().removeprefix("SIG")
    if signal in {"TERM", "INT", "15", "2"}:
        yield _proxy_stops_too_fast.finding(
            f"{service.name} is stopped with SIG{signal}, nginx's fast shutdown",
            origin_of(service.settings.stop_signal, service.origin),
            consequence="at every stop in-flight requests are cut: clients see a reset connection or 502",
            fix="Set `stop_signal: SIGQUIT`, or remove the line: SIGQUIT is the official image's default.",
        )
    yield from _killed(deployment, nginx, service, "stop_grace_period: {}s")


@rule(
    "S508",
    "recycled-without-handover",
    Severity.WARNING,
    "max_requests without HandoverWorker: recycled workers close connections that nginx is using",
    source="https://github.com/Kludex/uvicorn/pull/3124",
    per=AppServer,
)
def _recycled_without_handover(server: AppServer, _: Deployment) -> Iterator[Finding]:
    limit, workers = number(server.settings.max_requests), number(server.settings.workers)
    half = is_handover_worker(server)
    if not limit or workers == 1 or hands_over(server) or kind_of(server) not in {"uvicorn", "asgi"}:
        return
    why = "HandoverWorker without its hooks shuts down before its replacement is ready" if half else _CLOSES
    yield _recycled_without_handover.finding(
        f"{name_of(server)} replaces workers after {limit:g} requests; {why}",
        origin_of(server.settings.max_requests, server.origin),
        consequence="under load some POST requests get 502, with any number of workers and any jitter; "
        f"{logs('recv-failed-104-reading-response-header')}",
        fix="Run gunicorn -c python:gunicorn_conf (HandoverWorker with its hooks), or remove max_requests.",
    )
