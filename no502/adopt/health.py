"""Health checks: who knows when the application serves."""

from __future__ import annotations

import json
import re

from no502.adopt.diagnosis import Diagnosis
from no502.adopt.starts import Start
from no502.adopt.stopping import waits_for
from no502.adopt.workspace import Workspace
from no502.adopt.yaml_edit import add_key, is_shared, mapping_at, services_of
from no502.doctor.model import ServiceKind

__all__ = ["adopt_health", "adopt_order", "health_path"]

_ROUTE = re.compile(
    r"""["'](/(?:api/)?(?:v\d+/)?(?:health/ready|healthz?|health/?|readyz?|ready|livez|live|ping|status|heartbeat))["']"""
)
_BEST = ("ready", "health", "live", "ping", "status", "heartbeat")
_MOST = 400


def health_path(space: Workspace, home: str) -> str | None:
    """Return the path that the application's own code seems to have for its health; None where it names none."""
    found = []
    for name in space.glob("*.py")[:_MOST]:
        if name.startswith(f"{home}/" if home else "") and "test" not in name:
            found += _ROUTE.findall(space.text(name))
    return min(found, key=lambda path: next(at for at, word in enumerate(_BEST) if word in path), default=None)


def adopt_health(space: Workspace, start: Start, seen: Diagnosis) -> list[str]:
    """Add a health check where doctor misses one; return what is left to a person."""
    service = start.service
    if service is None:
        return []
    kinds = {check.kind for check in service.healthchecks}
    missing = any(one.where == service.origin for one in seen.of("P601"))
    missing = missing or (service.kind is ServiceKind.KUBERNETES and "readinessProbe" not in kinds)
    if not missing:
        return []
    port = _port(start)
    if port is None:
        return [f"{start.where}: a health check, because {service.name} has none and its port is not known"]
    path = health_path(space, start.home)
    try:
        if service.kind is ServiceKind.COMPOSE:
            _compose(space, start, port, path)
        elif service.kind is ServiceKind.KUBERNETES:
            _pod(space, start, port, path)
    except ValueError as error:
        return [f"{start.where}: a health check for {service.name} ({error})"]
    return []


def adopt_order(space: Workspace, start: Start, seen: Diagnosis, fronts: list[str]) -> list[str]:
    """Have nginx wait for a healthy application where doctor says that it does not."""
    if start.service is None or start.service.kind is not ServiceKind.COMPOSE or not seen.of("S507"):
        return []
    file, application = start.service.origin.file, start.service.name
    left = [name for name in fronts if not waits_for(space, file, name, application)]
    return [f"{file}: {name} has to wait for a healthy {application} (depends_on)" for name in left]


def _port(start: Start) -> int | None:
    fact = start.server.settings.bind
    if fact is None or not fact.known:
        return None
    ports = [address.port for address in fact.value or () if address.port is not None]
    return ports[0] if ports else None


def _compose(space: Workspace, start: Start, port: int, path: str | None) -> None:
    assert start.service is not None  # noqa: S101  its kind was asked for
    file, name = start.service.origin.file, start.service.name
    mapping = services_of(space.text(file), name)
    if mapping is None:
        message = f"it is an alias, or not written in {file}"
        raise ValueError(message)
    if is_shared(space.text(file), mapping):
        message = "other services take over its keys"
        raise ValueError(message)
    limit = 400 if path is not None else 500
    code = (
        f"import http.client as h; c = h.HTTPConnection('127.0.0.1', {port}, timeout=3); "
        f"c.request('GET', '{path or '/'}'); exit(c.getresponse().status >= {limit})"
    )
    asked = path or "/, any answer below 500"
    lines = [
        "healthcheck:",
        f"  test: {json.dumps(['CMD', 'python', '-c', code])}",
        "  interval: 5s",
        "  timeout: 5s",
        "  retries: 6",
        "  start_period: 30s",
    ]
    why = f"{name} is healthy when it answers ({asked}): what depends on it can wait for that"
    space.put(file, add_key(space.text(file), mapping, lines), why)


def _pod(space: Workspace, start: Start, port: int, path: str | None) -> None:
    assert start.service is not None  # noqa: S101
    file, line = start.service.origin.file, start.service.origin.line or 1
    found = mapping_at(space.text(file), line)
    if found is None:
        message = "its container is not found"
        raise ValueError(message)
    how = (
        ["  httpGet:", f"    path: {path}", f"    port: {port}"]
        if path is not None
        else ["  tcpSocket:", f"    port: {port}"]
    )
    lines = ["readinessProbe:", *how, "  periodSeconds: 5", "  timeoutSeconds: 3"]
    why = "the pod gets requests when the application serves, not when its container has started"
    space.put(file, add_key(space.text(file), found[0], lines, after="image"), why)
