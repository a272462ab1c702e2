"""P: who notices that the application serves, or does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from no502.doctor.facts import name_of, seconds, value
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import binds_of, links
from no502.doctor.model import Deployment, Healthcheck, Service, ServiceKind
from no502.doctor.registry import Rule

__all__ = ["RULES"]

_SLOW = 30.0


def _proxied(deployment: Deployment) -> Iterator[tuple[Service, str, list[Service]]]:
    """Yield each service behind nginx with what it runs and the nginx services before it."""
    found: dict[str, tuple[Service, str, list[Service]]] = {}
    for link in links(deployment):
        service = deployment.runner(link.server)
        nginx = deployment.runner(link.nginx)
        if service is None:
            continue
        entry = found.setdefault(service.name, (service, name_of(link.server), []))
        if nginx is not None and nginx not in entry[2]:
            entry[2].append(nginx)
    yield from found.values()


def _p601(deployment: Deployment) -> Iterator[Finding]:
    for service, name, fronts in _proxied(deployment):
        kinds = {check.kind for check in service.healthchecks}
        pod = value(service.settings, "pod")
        beside = [one for one in deployment.services if pod is not None and value(one.settings, "pod") == pod]
        kinds |= {check.kind for one in beside for check in one.healthchecks if check.kind == "readinessProbe"}
        if service.kind is ServiceKind.KUBERNETES and "readinessProbe" not in kinds:
            yield P601.finding(
                f"{service.name} has no readinessProbe: it gets requests as soon as its container has started",
                service.origin,
                severity=Severity.WARNING,
                consequence="502 at every rollout until the application has loaded",
                fix="A readinessProbe with httpGet on a path that answers 200 only when the application can serve.",
            )
        elif service.kind is ServiceKind.COMPOSE and not kinds and service not in fronts:
            if value(service.settings, "image") is not None and value(service.settings, "build") is None:
                continue  # the image may have one
            yield P601.finding(
                f"{service.name} ({name}) has no healthcheck: nothing can wait until it serves, or notices that "
                "it does not",
                service.origin,
                consequence="502 while it starts, and for as long as it hangs",
                fix="`healthcheck:` with a request to a readiness path, `start_period` and `interval: 5s`.",
            )


def _first_check(check: Healthcheck) -> float | None:
    if not check.interval.known or check.interval.value is None:
        return None
    return check.interval.value


def _p602(deployment: Deployment) -> Iterator[Finding]:
    for service, _name, fronts in _proxied(deployment):
        for check in service.healthchecks:
            wait = _first_check(check)
            waiting = [front for front in fronts if _waits(front, service)]
            fast_start = check.start_period.known and (check.start_period.value or 0) > 0
            if check.kind != "healthcheck" or wait is None or wait < _SLOW or fast_start or not waiting:
                continue
            yield P602.finding(
                f"the first check of {service.name} comes {seconds(wait)} after its start, and {waiting[0].name} "
                "waits for it",
                check.origin,
                related=[(waiting[0].origin, f"{waiting[0].name} depends on {service.name} being healthy")],
                consequence=f"the service is down for {seconds(wait)} at every start, however fast the application is",
                fix="`start_period: 30s` with `start_interval: 1s` (Docker 25), or `interval: 5s`.",
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


def _p603(deployment: Deployment) -> Iterator[Finding]:
    for service in deployment.services:
        servers = [one for one in deployment.servers if deployment.runner(one) is service]
        pod = value(service.settings, "pod")
        beside = [one for one in deployment.services if pod is not None and value(one.settings, "pod") == pod]
        nginx = any(deployment.runner(one) is service for one in deployment.nginx)
        binds = [binds_of(one) for one in servers]
        if not servers or nginx or len(beside) > 1 or any(bind is None for bind in binds):
            continue
        if any(one.manager is not None or one.background for one in servers):
            continue  # others run beside it
        ports = {bind.port for bound in binds for bind in bound or ()}
        for check in service.healthchecks:
            asked = _asked(check)
            if asked is None or asked in ports or not ports - {None}:
                continue
            listens = ", ".join(str(port) for port in sorted(port for port in ports if port is not None))
            yield P603.finding(
                f"the {check.kind} of {service.name} asks port {asked}, but {name_of(servers[0])} listens on {listens}",
                check.origin,
                related=[(servers[0].settings["bind"].origin, f"listens on {listens}")],
                consequence="the container never becomes healthy: what waits for it does not start, or it is restarted "
                "again and again",
                fix=f"Ask port {listens}.",
            )


P601 = Rule(
    id="P601",
    slug="no-health-check",
    severity=Severity.INFO,
    summary="nothing knows when the application behind nginx can serve",
    source="https://docs.docker.com/reference/compose-file/services/#healthcheck",
    check=_p601,
)
P602 = Rule(
    id="P602",
    slug="slow-health-check",
    severity=Severity.INFO,
    summary="nginx waits for a health check that comes late",
    source="https://docs.docker.com/reference/dockerfile/#healthcheck",
    check=_p602,
)
P603 = Rule(
    id="P603",
    slug="health-check-wrong-port",
    severity=Severity.ERROR,
    summary="a health check asks a port on which nothing listens",
    source="https://docs.docker.com/reference/compose-file/services/#healthcheck",
    check=_p603,
)
RULES = (P601, P602, P603)
