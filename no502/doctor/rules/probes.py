"""P: who notices that the application serves, or does not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from no502.doctor.facts import bind_at, name_of, seconds, value
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import binds_of
from no502.doctor.model import Deployment, Healthcheck, Service, ServiceKind
from no502.doctor.registry import rule
from no502.doctor.scopes import Proxied

__all__ = []

_SLOW = 30.0


@rule(
    "P601",
    "no-health-check",
    Severity.INFO,
    "the application behind nginx has no health check or readinessProbe",
    source="https://docs.docker.com/reference/compose-file/services/#healthcheck",
    per=Proxied,
)
def _no_health_check(proxied: Proxied, deployment: Deployment) -> Iterator[Finding]:
    service, name = proxied.service, proxied.name
    kinds = {check.kind for check in service.healthchecks}
    pod = value(service.settings.pod)
    beside = [one for one in deployment.services if pod is not None and value(one.settings.pod) == pod]
    kinds |= {check.kind for one in beside for check in one.healthchecks if check.kind == "readinessProbe"}
    if service.kind is ServiceKind.KUBERNETES and "readinessProbe" not in kinds:
        yield _no_health_check.finding(
            f"{service.name} has no readinessProbe: it gets requests as soon as its container has started",
            service.origin,
            severity=Severity.WARNING,
            consequence="at every rollout, requests get 502 until the application has loaded",
            fix="Add a readinessProbe with httpGet on a path that answers 200 only when the application can serve "
            "requests.",
        )
    elif service.kind is ServiceKind.COMPOSE and not kinds and service not in proxied.fronts:
        if value(service.settings.image) is not None and value(service.settings.build) is None:
            return  # the image may have one
        yield _no_health_check.finding(
            f"{service.name} ({name}) has no healthcheck: nginx cannot wait until it is ready, and Compose "
            "does not notice when it hangs",
            service.origin,
            consequence="requests get 502 while the application starts, and for as long as it hangs",
            fix="Add a `healthcheck:` that requests a readiness path, with `start_period` and `interval: 5s`.",
        )


def _first_check(check: Healthcheck) -> float | None:
    if not check.interval.known or check.interval.value is None:
        return None
    return check.interval.value


@rule(
    "P602",
    "slow-health-check",
    Severity.INFO,
    "the first Docker health check runs 30 s after the start, and nginx waits for it",
    source="https://docs.docker.com/reference/dockerfile/#healthcheck",
    per=Proxied,
)
def _slow_health_check(proxied: Proxied, _: Deployment) -> Iterator[Finding]:
    service = proxied.service
    for check in service.healthchecks:
        wait = _first_check(check)
        waiting = [front for front in proxied.fronts if _waits(front, service)]
        fast_start = check.start_period.known and (check.start_period.value or 0) > 0
        if check.kind != "healthcheck" or wait is None or wait < _SLOW or fast_start or not waiting:
            continue
        yield _slow_health_check.finding(
            f"the first check of {service.name} comes {seconds(wait)} after its start, and {waiting[0].name} "
            "waits for it",
            check.origin,
            related=[(waiting[0].origin, f"{waiting[0].name} depends on {service.name} being healthy")],
            consequence=f"at every start the service is down for {seconds(wait)}, even if the application starts "
            "in a second",
            fix="Set `start_period: 30s` with `start_interval: 1s` (Docker 25), or `interval: 5s`.",
        )


def _waits(front: Service, service: Service) -> bool:
    condition = front.depends_on.get(service.name)
    return condition is not None and condition.known and condition.value == "service_healthy"


_URL = re.compile(r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d{1,5})\b")
_CONNECT = re.compile(
    r"\b(?:nc|ncat)\b[^|;&]*\s(?:localhost|127\.0\.0\.1)\s+(\d{1,5})\b|/dev/tcp/(?:localhost|127\.0\.0\.1)/(\d{1,5})"
)


def _asked(check: Healthcheck) -> int | None:
    """Return the port of this container that a check asks; None where it does not say."""
    if check.port is not None:
        return check.port
    text = " ".join(check.test.value or ())
    found = _URL.search(text)
    if found is not None:
        return int(found[2])
    connect = _CONNECT.search(text)
    return int(connect[1] or connect[2]) if connect is not None else None


_OWN_PORT = re.compile(r"(?:(?:APP|HTTP|SERVER|WEB|UVICORN|GUNICORN|LISTEN|SERVICE|CONTAINER)_?)*PORT")
"""Variables that name the port of the application itself."""


def _is_another(asked: int, ports: Collection[int | None], service: Service) -> bool:
    """Whether the files name a port beside the server's own: another part of the application listens there."""
    declared = {port.value for port in service.ports}
    if asked in declared and declared & set(ports):
        return True
    named = [name for name, fact in service.environment.items() if fact.value == str(asked)]
    return any(not _OWN_PORT.fullmatch(name) for name in named)


def _shares_network(service: Service, deployment: Deployment) -> bool:
    """Whether ``localhost`` of a service is another one's, too."""
    mode = str(value(service.settings.network_mode) or "")
    if mode == "host" or mode.partition(":")[0] in {"service", "container"}:
        return True
    return any(value(one.settings.network_mode) == f"service:{service.name}" for one in deployment.services)


@rule(
    "P603",
    "health-check-wrong-port",
    Severity.ERROR,
    "the health check connects to a port on which the application does not listen",
    source="https://docs.docker.com/reference/compose-file/services/#healthcheck",
    per=Service,
)
def _health_check_wrong_port(service: Service, deployment: Deployment) -> Iterator[Finding]:
    servers = [one for one in deployment.servers if deployment.runner(one) is service]
    pod = value(service.settings.pod)
    beside = [one for one in deployment.services if pod is not None and value(one.settings.pod) == pod]
    nginx = any(deployment.runner(one) is service for one in deployment.nginx)
    binds = [binds_of(one) for one in servers]
    if not servers or nginx or len(beside) > 1 or any(bind is None for bind in binds):
        return
    if any(one.manager is not None or one.background or one.beside for one in servers):
        return  # others run beside it
    if _shares_network(service, deployment):
        return
    ports = {bind.port for bound in binds for bind in bound or ()}
    for check in service.healthchecks:
        asked = _asked(check)
        if asked is None or asked in ports or not ports - {None} or _is_another(asked, ports, service):
            continue
        # The application may serve its liveness, not its readiness, on a port of its own that is declared.
        declared = check.kind not in {"healthcheck", "readinessProbe"} and any(
            port.value == asked for port in service.ports
        )
        listens = ", ".join(str(port) for port in sorted(port for port in ports if port is not None))
        yield _health_check_wrong_port.finding(
            f"the {check.kind} of {service.name} asks port {asked}, but {name_of(servers[0])} listens on {listens}",
            check.origin,
            severity=Severity.WARNING if declared else Severity.ERROR,
            related=[(bind_at(servers[0]), f"listens on {listens}")],
            consequence="the container never becomes healthy: services that wait for it do not start, or the "
            "orchestrator restarts it again and again",
            fix=f"Change the port in the health check to {listens}.",
        )
