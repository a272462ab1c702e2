"""Which areas had something to compare: a tick without a comparison would be a false promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from no502.doctor.facts import kind_of, number, value
from no502.doctor.links import links, proxied
from no502.doctor.model import AppServer, Deployment, ServiceKind

__all__ = ["compared"]

_STOPPED = {ServiceKind.COMPOSE, ServiceKind.SYSTEMD, ServiceKind.KUBERNETES, ServiceKind.SUPERVISOR}


def _faces(deployment: Deployment) -> list[AppServer]:
    """Return the servers with something in front of them that is known."""
    found = [link.server for link in links(deployment)]
    found += [server for _, _, servers in proxied(deployment) for server in servers]
    return found + (deployment.servers if deployment.front is not None else [])


def _address(deployment: Deployment) -> bool:
    pairs = [server for _, _, servers in proxied(deployment) for server in servers]
    return bool(links(deployment)) or any(value(server.settings.bind) for server in pairs)


def _keepalive(deployment: Deployment) -> bool:
    return any(kind_of(one) is not None and number(one.settings.keepalive) is not None for one in _faces(deployment))


def _timeouts(deployment: Deployment) -> bool:
    waits = any(
        number(link.location.settings.proxy_read_timeout) is not None
        and (link.server.program == "uvicorn" or number(link.server.settings.timeout) is not None)
        for link in links(deployment)
    )
    front = deployment.front is not None and any(nginx.locations for nginx in deployment.nginx)
    return waits or front


def _retries(deployment: Deployment) -> bool:
    return any(value(link.location.settings.proxy_next_upstream) is not None for link in links(deployment))


def _stop(deployment: Deployment) -> bool:
    for server in deployment.servers:
        runner = server.manager or deployment.runner(server)
        stops = runner is not None and runner.kind in _STOPPED and number(runner.settings.stop_grace) is not None
        if stops and (server.program == "uvicorn" or number(server.settings.graceful_timeout) is not None):
            return True
        if number(server.settings.max_requests) and number(server.settings.workers) is not None:
            return True
    return False


def _probes(deployment: Deployment) -> bool:
    runners = [deployment.runner(server) for server in deployment.servers]
    kinds = {ServiceKind.COMPOSE, ServiceKind.KUBERNETES}
    checked = any(one is not None and one.kind in kinds and one.healthchecks for one in runners)
    proxied_by = any(
        (runner := deployment.runner(link.server)) is not None and runner.kind in kinds for link in links(deployment)
    )
    return checked or proxied_by


def _limits(deployment: Deployment) -> bool:
    return any(number(server.settings.timeout) is not None for server in deployment.servers)


def _headers(deployment: Deployment) -> bool:
    return bool(links(deployment))


def _configuration(deployment: Deployment) -> bool:
    return bool(deployment.servers)


_TESTS: Mapping[str, Callable[[Deployment], bool]] = {
    "A": _address,
    "K": _keepalive,
    "T": _timeouts,
    "R": _retries,
    "S": _stop,
    "P": _probes,
    "B": _limits,
    "H": _headers,
    "C": _configuration,
}


def compared(deployment: Deployment) -> frozenset[str]:
    """Return the letters of the areas in which two sides, or a value and its bound, were compared."""
    return frozenset(letter for letter, test in _TESTS.items() if test(deployment))
