"""S: starting, stopping and recycling without a gap."""

from __future__ import annotations

import re
from collections.abc import Iterator

from no502.doctor.edits import replace_number, set_option
from no502.doctor.facts import (
    CONTAINERS,
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
from no502.doctor.registry import Rule

__all__ = ["RULES"]

_RESERVE = 10
_CLOSES = "one that leaves closes nginx's connections"


def _run_by(deployment: Deployment, *kinds: ServiceKind) -> Iterator[tuple[AppServer, Service]]:
    """Yield each server with what runs it; containers that share one command line count once."""
    seen: set[tuple[str, int | None, str, str]] = set()
    for server in deployment.servers:
        service = deployment.runner(server)
        if service is None or service.kind not in kinds or value(server.settings, "reload") is True:
            continue
        grace = str(value(service.settings, "stop_grace"))
        key = (server.origin.file, server.origin.line, server.program, grace)
        if server.origin.line is not None and key in seen:
            continue
        seen.add(key)
        yield server, service


def _names(deployment: Deployment, server: AppServer, service: Service) -> str:
    """Return the names of the services that share a command line."""
    same = [
        runner.name
        for one in deployment.servers
        if one.origin == server.origin and one.program == server.program
        if (runner := deployment.runner(one)) is not None and runner.kind is service.kind
    ]
    return ", ".join(dict.fromkeys(same)) or service.name


def _too_short(  # noqa: PLR0913 four rules share it
    rule: Rule,
    server: AppServer,
    service: Service,
    *,
    needs: str,
    extra: float = 0,
    edits: tuple[Edit, ...] = (),
    named: str = "",
) -> Iterator[Finding]:
    grace = number(service.settings, "stop_grace")
    graceful = number(server.settings, "graceful_timeout")
    if grace is None or graceful is None or grace > graceful + extra or (grace == graceful + extra and extra):
        return
    where = origin_of(service.settings, "stop_grace", service.origin)
    plus = f" after {seconds(extra)} of preStop" if extra else ""
    names = named or service.name
    yield rule.finding(
        f"{names} {'are' if ',' in names else 'is'} killed {seconds(grace)} after the order to "
        f"stop{shown(service.settings, 'stop_grace')}, but "
        f"{name_of(server)} may take {seconds(graceful)}{shown(server.settings, 'graceful_timeout')} to finish its "
        f"requests{plus}",
        where if where.line is not None else service.origin,
        related=[
            (origin_of(server.settings, "graceful_timeout", server.origin), f"graceful_timeout {seconds(graceful)}")
        ],
        consequence='requests that still run then are cut at every deployment: 502, nginx logs "upstream prematurely '
        'closed connection"',
        fix=f"{needs} {int(graceful + extra) + _RESERVE}s, or a shorter graceful_timeout.",
        edits=edits,
    )


def _s501(deployment: Deployment) -> Iterator[Finding]:
    for server, service in _run_by(deployment, ServiceKind.COMPOSE):
        named = _names(deployment, server, service)
        graceful = number(server.settings, "graceful_timeout") or 0
        new = f"{int(graceful) + _RESERVE}s"
        edits: tuple[Edit, ...] = ()
        if written(service.settings, "stop_grace"):
            edits = replace_number(service.settings["stop_grace"].origin, new, after="stop_grace_period")
        elif service.origin.line is not None:
            edits = (
                Edit(
                    file=service.origin.file,
                    line=service.origin.line,
                    insert=f"{{indent}}{{step}}stop_grace_period: {new}",
                ),
            )
        if server.program == "uvicorn" and "graceful_timeout" not in server.settings:
            yield from _endless(server, service, named)
            continue
        yield from _too_short(S501, server, service, needs="stop_grace_period:", edits=edits, named=named)


def _endless(server: AppServer, service: Service, named: str) -> Iterator[Finding]:
    """Yield a uvicorn that waits for its requests without end, under the time that Docker gives by itself."""
    grace = number(service.settings, "stop_grace")
    if grace is None or written(service.settings, "stop_grace"):
        return
    yield S501.finding(
        f"{named} {'are' if ',' in named else 'is'} killed {seconds(grace)} after SIGTERM (default), but "
        f"{name_of(server)} waits for its "
        "requests without "
        "end (no --timeout-graceful-shutdown)",
        service.origin,
        related=[(server.origin, "no --timeout-graceful-shutdown")],
        consequence='requests that still run then are cut at every deployment: 502, nginx logs "upstream prematurely '
        'closed connection"',
        fix="--timeout-graceful-shutdown 30 with `stop_grace_period: 40s`, or the longest request that may be "
        "finished.",
    )


def _s502(deployment: Deployment) -> Iterator[Finding]:
    for server, _service in _run_by(deployment, ServiceKind.COMPOSE, ServiceKind.DOCKERFILE, ServiceKind.KUBERNETES):
        if not server.shell:
            continue
        edits: tuple[Edit, ...] = ()
        if server.origin.line is not None and "script" in server.shell:
            pattern = rf"^(\s*){server.program}\b"
            edits = (
                Edit(
                    file=server.origin.file,
                    line=server.origin.line,
                    substitutions=((pattern, rf"\g<1>exec {server.program}"),),
                ),
            )
        elif server.origin.line is not None:
            pattern = rf"(&&\s*|;\s*|-c\W{{1,5}}|CMD\s+|command:\s*[\"']?){server.program}\b"
            edits = (
                Edit(
                    file=server.origin.file,
                    line=server.origin.line,
                    substitutions=((pattern, rf"\g<1>exec {server.program}"),),
                    within=12,
                ),
            )
        if server.background:
            yield S502.finding(
                f"a shell is process 1 and does not pass SIGTERM on to {name_of(server)}, which it starts with &",
                server.origin,
                consequence="every stop waits for the whole grace period, then SIGKILL cuts the requests in "
                "flight: 502",
                fix="One container for each of the two, or an init that passes SIGTERM on to all and waits "
                "(`tini -g`, supervisord, s6).",
            )
            continue
        yield S502.finding(
            f"a shell is process 1 and does not pass SIGTERM on to {name_of(server)} ({server.shell})",
            server.origin,
            consequence="every stop waits for the whole grace period, then SIGKILL cuts the requests in flight: 502",
            fix=f"`exec {server.program} ...` or the JSON form of CMD.",
            edits=edits,
        )


def _s503(deployment: Deployment) -> Iterator[Finding]:
    for server in deployment.servers:
        program = server.manager or deployment.runner(server)
        if program is None or program.kind is not ServiceKind.SUPERVISOR:
            continue
        graceful = number(server.settings, "graceful_timeout") or 0
        yield from _too_short(
            S503,
            server,
            program,
            needs="stopwaitsecs=",
            edits=replace_number(
                program.settings["stop_grace"].origin, str(int(graceful) + _RESERVE), after="stopwaitsecs"
            )
            if written(program.settings, "stop_grace")
            else (),
        )
    for server, service in _run_by(deployment, ServiceKind.SYSTEMD):
        graceful = number(server.settings, "graceful_timeout") or 0
        edits = (
            replace_number(
                service.settings["stop_grace"].origin, str(int(graceful) + _RESERVE), after="TimeoutStopSec|TimeoutSec"
            )
            if written(service.settings, "stop_grace")
            else ()
        )
        yield from _too_short(S503, server, service, needs="TimeoutStopSec=", edits=edits)


def _s504(deployment: Deployment) -> Iterator[Finding]:
    managed = [(one, one.manager) for one in deployment.servers if one.manager is not None]
    for server, service in [*_run_by(deployment, *CONTAINERS, ServiceKind.SYSTEMD, ServiceKind.SUPERVISOR), *managed]:
        signal = (text(service.settings, "stop_signal") or "").upper().removeprefix("SIG")
        if server.program != "gunicorn" or signal not in {"INT", "QUIT", "2", "3"}:
            continue
        where = origin_of(service.settings, "stop_signal", service.origin)
        yield S504.finding(
            f"{service.name} is stopped with SIG{signal}, which is gunicorn's quick shutdown",
            where,
            related=[(server.origin, name_of(server))],
            consequence="requests in flight are cut at every stop: 502",
            fix="SIGTERM is the graceful one.",
            edits=[
                Edit(
                    file=where.file, line=where.line, substitutions=((r"(?:SIG)?(?:INT|QUIT)\b", "SIGTERM"),), within=2
                )
            ]
            if where.line is not None and signal in {"INT", "QUIT"}
            else (),
        )


def _s505(deployment: Deployment) -> Iterator[Finding]:
    for server, service in _run_by(deployment, ServiceKind.KUBERNETES):
        before = number(service.settings, "pre_stop")
        fact = service.settings.get("pre_stop")
        graceful = number(server.settings, "graceful_timeout") or 0
        yield from _too_short(
            S505,
            server,
            service,
            needs="terminationGracePeriodSeconds:",
            extra=before or 0,
            edits=replace_number(
                service.settings["stop_grace"].origin,
                str(int(graceful + (before or 0)) + _RESERVE),
                after="terminationGracePeriodSeconds",
            )
            if written(service.settings, "stop_grace")
            else (),
        )
        unset = fact is None or (fact.value in {None, 0} and fact.origin.source is Source.DEFAULT)
        if unset and value(service.settings, "controller") not in {"Job", "CronJob", "Pod"}:
            yield S505.finding(
                f"{service.name} has no preStop: it stops accepting connections while others still send it requests",
                service.origin,
                related=[(server.origin, name_of(server))],
                consequence="502 for a moment at every rollout, connect() failed (111: Connection refused)",
                fix="`lifecycle: {preStop: {sleep: {seconds: 5}}}` (Kubernetes 1.30), within "
                "terminationGracePeriodSeconds.",
            )


def _s506(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[str, int | None, tuple[str, ...]]] = set()
    for server in deployment.servers:
        key = (server.origin.file, server.origin.line, tuple(server.command.value or ()))
        if key in seen and server.origin.line is not None:
            continue  # several services with one command
        seen.add(key)
        limit = number(server.settings, "max_requests")
        workers = number(server.settings, "workers")
        jitter = number(server.settings, "max_requests_jitter")
        if not limit or workers is None or hands_over(server):
            continue
        where = origin_of(server.settings, "max_requests", server.origin)
        if workers == 1:
            kind = kind_of(server)
            gone = (
                "uvicorn itself exits, and nothing listens until it is started again"
                if server.program == "uvicorn"
                else "nobody accepts until the new worker has loaded the application"
            )
            yield S506.finding(
                f"{name_of(server)} replaces its only worker after {limit:g} requests",
                where,
                consequence=f"{gone}: requests wait or get 502"
                + ("" if kind != "uvicorn" else "; accepted ones are reset"),
                fix="gunicorn -c python:gunicorn_conf (HandoverWorker with its hooks), at least two workers, or no "
                "max_requests.",
            )
        elif server.program == "gunicorn" and jitter == 0:
            new = max(1, int(limit) // 5)
            yield S506.finding(
                f"all {workers:g} workers of {name_of(server)} are replaced after the same {limit:g} requests, "
                "with no jitter",
                where,
                consequence="workers restart together: slow answers and 502 in regular bursts",
                fix=f"--max-requests-jitter {new}",
                edits=set_option(server, "max_requests_jitter", "--max-requests-jitter", str(new)),
            )


def _s507(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    served = {id(link.peer): link.server for link in links(deployment)}
    for location, _upstream, peer, _address in targets(deployment):
        nginx = deployment.runner(location.config)
        server = served.get(id(peer))
        app = deployment.runner(server) if server is not None else None
        if nginx is None or app is None or nginx is app or nginx.kind != ServiceKind.COMPOSE or nginx.kind != app.kind:
            continue
        if (nginx.name, app.name) in seen or nginx.origin.file.split("/")[:-1] != app.origin.file.split("/")[:-1]:
            continue
        seen.add((nginx.name, app.name))
        condition = nginx.depends_on.get(app.name)
        if condition is not None and (not condition.known or condition.value == "service_healthy"):
            continue
        says = f"waits only until {app.name} is started, not" if condition else "does not wait"
        yield S507.finding(
            f"{nginx.name} {says} until {'it' if condition else app.name} serves",
            condition.origin if condition is not None else nginx.origin,
            related=[(app.origin, f"{app.name} runs {server.program if server else ''}")],
            consequence="502 from `docker compose up` until the application has loaded"
            + ("" if condition else '; nginx does not start while the name is unknown ("host not found in upstream")'),
            fix=f"`depends_on: {{{app.name}: {{condition: service_healthy}}}}` and a healthcheck in {app.name}.",
        )


def _s509(deployment: Deployment) -> Iterator[Finding]:
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
        if link.nginx is nginx and (graceful := number(link.server.settings, "graceful_timeout")) is not None
    ]
    return max(found, key=lambda pair: pair[0], default=None)


def _pod_of_nginx(deployment: Deployment, nginx: NginxConfig, service: Service) -> Iterator[Finding]:
    fact = service.settings.get("pre_stop")
    command = str(value(service.settings, "pre_stop_command") or "")
    where = fact.origin if fact is not None and fact.origin.line is not None else service.origin
    waits = number(service.settings, "pre_stop")
    controlled = value(service.settings, "controller") not in {"Job", "CronJob", "Pod"}
    if re.search(r"nginx\s+-s\s+stop", command):
        yield S509.finding(
            f"the preStop of {service.name} is `nginx -s stop`, nginx's fast shutdown",
            where,
            consequence="requests in flight are cut at every rollout: clients see a reset connection or 502",
            fix="`lifecycle: {preStop: {sleep: {seconds: 5}}}`: the image stops with SIGQUIT, which is graceful.",
        )
    elif re.search(r"nginx\s+-s\s+quit", command) and not waits:
        yield S509.finding(
            f"the preStop of {service.name} is `nginx -s quit` without a wait: it stops accepting while its "
            "Service still "
            "sends it connections",
            where,
            consequence="connection refused for a moment at every rollout: 502 from the front proxy",
            fix='`command: ["sh", "-c", "sleep 5; nginx -s quit"]`.',
        )
    elif (fact is None or (fact.value in {None, 0} and fact.origin.source is Source.DEFAULT)) and controlled:
        yield S509.finding(
            f"{service.name} has no preStop: nginx stops accepting while its Service still sends it connections",
            service.origin,
            consequence="connection refused for a moment at every rollout: 502 from the front proxy",
            fix="`lifecycle: {preStop: {sleep: {seconds: 5}}}` (Kubernetes 1.30), within "
            "terminationGracePeriodSeconds.",
        )
    yield from _killed(deployment, nginx, service, "terminationGracePeriodSeconds:")


def _killed(deployment: Deployment, nginx: NginxConfig, service: Service, setting: str) -> Iterator[Finding]:
    """Yield an nginx that is killed before the application has finished the requests that came through it."""
    longest, grace = _longest(deployment, nginx), number(service.settings, "stop_grace")
    if longest is None or grace is None:
        return
    graceful, server = longest
    before = number(service.settings, "pre_stop") or 0
    meant = written(service.settings, "stop_grace") or written(server.settings, "graceful_timeout")
    if not meant or grace >= graceful + before:
        return
    where = origin_of(service.settings, "stop_grace", service.origin)
    yield S509.finding(
        f"{service.name} is killed {seconds(grace)} after SIGTERM{shown(service.settings, 'stop_grace')}, but "
        "requests to "
        f"{name_of(server)} may take {seconds(graceful)}{shown(server.settings, 'graceful_timeout')}",
        where if where.line is not None else service.origin,
        related=[
            (origin_of(server.settings, "graceful_timeout", server.origin), f"graceful_timeout {seconds(graceful)}")
        ],
        consequence="the proxy cuts requests that the application would still answer, at every deployment",
        fix=f"{setting} {int(graceful + before) + _RESERVE}s for nginx, too.",
    )


def _container_of_nginx(deployment: Deployment, nginx: NginxConfig, service: Service) -> Iterator[Finding]:
    signal = (text(service.settings, "stop_signal") or "").upper().removeprefix("SIG")
    if signal in {"TERM", "INT", "15", "2"}:
        yield S509.finding(
            f"{service.name} is stopped with SIG{signal}, nginx's fast shutdown",
            origin_of(service.settings, "stop_signal", service.origin),
            consequence="requests in flight are cut at every stop: clients see a reset connection or 502",
            fix="`stop_signal: SIGQUIT`, which the official image has by itself.",
        )
    yield from _killed(deployment, nginx, service, "stop_grace_period:")


def _s508(deployment: Deployment) -> Iterator[Finding]:
    for server in deployment.servers:
        limit, workers = number(server.settings, "max_requests"), number(server.settings, "workers")
        half = is_handover_worker(server)
        if not limit or workers == 1 or hands_over(server) or kind_of(server) not in {"uvicorn", "asgi"}:
            continue
        why = "HandoverWorker without its hooks leaves before its replacement is ready" if half else _CLOSES
        yield S508.finding(
            f"{name_of(server)} replaces workers after {limit:g} requests; {why}",
            origin_of(server.settings, "max_requests", server.origin),
            consequence="now and then 502 for a POST under load, however many workers and whatever jitter; nginx logs "
            '"recv() failed (104" or "upstream prematurely closed connection"',
            fix="gunicorn -c python:gunicorn_conf (HandoverWorker with its hooks), or no max_requests.",
        )


S501 = Rule(
    id="S501",
    slug="stop-grace-too-short",
    severity=Severity.WARNING,
    summary="Compose kills the container before gunicorn has finished its requests",
    source="https://docs.docker.com/reference/compose-file/services/#stop_grace_period",
    check=_s501,
)
S502 = Rule(
    id="S502",
    slug="shell-swallows-sigterm",
    severity=Severity.WARNING,
    summary="a shell is process 1, and SIGTERM ends there",
    source="https://docs.docker.com/reference/dockerfile/#shell-form-entrypoint-example",
    check=_s502,
)
S503 = Rule(
    id="S503",
    slug="timeoutstopsec-too-short",
    severity=Severity.WARNING,
    summary="systemd kills the service before gunicorn has finished its requests",
    source="https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#TimeoutStopSec=",
    check=_s503,
)
S504 = Rule(
    id="S504",
    slug="quick-stop-signal",
    severity=Severity.WARNING,
    summary="SIGINT and SIGQUIT are gunicorn's quick shutdown",
    source="https://gunicorn.org/signals/",
    check=_s504,
)
S505 = Rule(
    id="S505",
    slug="pod-stops-too-early",
    severity=Severity.WARNING,
    summary="a pod stops accepting or is killed while requests still come or run",
    source="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
    check=_s505,
)
S506 = Rule(
    id="S506",
    slug="workers-recycled-together",
    severity=Severity.WARNING,
    summary="max_requests with a single worker, or without jitter",
    source="https://gunicorn.org/reference/settings/#max_requests_jitter",
    check=_s506,
)
S507 = Rule(
    id="S507",
    slug="proxy-before-application",
    severity=Severity.WARNING,
    summary="nginx accepts requests before the application does",
    source="https://docs.docker.com/reference/compose-file/services/#depends_on",
    check=_s507,
)
S508 = Rule(
    id="S508",
    slug="recycled-without-handover",
    severity=Severity.WARNING,
    summary="max_requests with workers that drop connections when they leave",
    source="https://github.com/Kludex/uvicorn/pull/3124",
    check=_s508,
)
S509 = Rule(
    id="S509",
    slug="proxy-stops-too-fast",
    severity=Severity.WARNING,
    summary="nginx itself stops in a way that cuts requests",
    source="https://nginx.org/en/docs/control.html",
    check=_s509,
)
RULES = (S501, S502, S503, S504, S505, S506, S507, S508, S509)
