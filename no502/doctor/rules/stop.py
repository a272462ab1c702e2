"""S: starting, stopping and recycling without a gap."""

from __future__ import annotations

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
from no502.doctor.model import AppServer, Deployment, Service, ServiceKind
from no502.doctor.registry import Rule

__all__ = ["RULES"]

_RESERVE = 10
_CLOSES = "one that leaves closes nginx's connections"


def _run_by(deployment: Deployment, *kinds: ServiceKind) -> Iterator[tuple[AppServer, Service]]:
    for server in deployment.servers:
        service = deployment.runner(server)
        if service is not None and service.kind in kinds and value(server.settings, "reload") is not True:
            yield server, service


def _too_short(  # noqa: PLR0913 three rules share it
    rule: Rule, server: AppServer, service: Service, *, needs: str, extra: float = 0, edits: tuple[Edit, ...] = ()
) -> Iterator[Finding]:
    grace = number(service.settings, "stop_grace")
    graceful = number(server.settings, "graceful_timeout")
    if grace is None or graceful is None or grace > graceful + extra or (grace == graceful + extra and extra):
        return
    where = origin_of(service.settings, "stop_grace", service.origin)
    plus = f" after {seconds(extra)} of preStop" if extra else ""
    yield rule.finding(
        f"{service.name} is killed {seconds(grace)} after the order to "
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
        yield from _too_short(S501, server, service, needs="stop_grace_period:", edits=edits)


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
        yield S502.finding(
            f"a shell is process 1 and does not pass SIGTERM on to {name_of(server)} ({server.shell})",
            server.origin,
            consequence="every stop waits for the whole grace period, then SIGKILL cuts the requests in flight: 502",
            fix=f"`exec {server.program} ...` or the JSON form of CMD.",
            edits=edits,
        )


def _s503(deployment: Deployment) -> Iterator[Finding]:
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
    for server, service in _run_by(deployment, *CONTAINERS, ServiceKind.SYSTEMD):
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
        unset = fact is None or (fact.value in {None, 0} and fact.origin.source == "default")
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
    for server in deployment.servers:
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
RULES = (S501, S502, S503, S504, S505, S506, S507, S508)
