"""Which areas had something to compare: a tick without a comparison would be a false promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from no502.doctor.facts import kind_of, name_of, number, value
from no502.doctor.links import Link, binds_of, links, proxied
from no502.doctor.model import AppServer, Deployment, ServiceKind
from no502.doctor.pooling import pooling

__all__ = ["NOTHING", "compared", "gaps_of_areas"]

NOTHING = "nothing to compare"
"""Why an area has no tick, where there is no better reason."""
_STOPPED = {ServiceKind.COMPOSE, ServiceKind.SYSTEMD, ServiceKind.KUBERNETES, ServiceKind.SUPERVISOR}


def _address(deployment: Deployment) -> str:
    """Return why no address was compared with what listens there; empty where one was."""
    reached = [link.server for link in links(deployment)]
    known = [binds_of(server) is not None for server in reached]
    without_port = False
    for _proxy, target, servers in proxied(deployment):
        address = target.address.value
        port = address is not None and address.port is not None
        without_port = without_port or not port
        reached += servers
        known += [port and binds_of(server) is not None for server in servers]
    if any(known):
        return ""
    if not reached:
        return NOTHING
    unbound = next((server for server in reached if binds_of(server) is None), None)
    if unbound is None and without_port:
        return "the port to which the proxy connects is unknown"
    return f"the address on which {name_of(unbound or reached[0])} listens is unknown"


def _closes(server: AppServer) -> bool | None:
    """Whether a server keeps idle connections for a known time (True), or never (False); None where it is not known."""
    kind, keepalive = kind_of(server), number(server.settings.keepalive)
    if kind in {None, "other"}:
        return None
    if kind in {"sync", "tornado"} or (keepalive == 0 and kind != "uvicorn"):
        return False
    return None if keepalive is None else True


def _pools(link: Link) -> str:
    """Return what is not known of how nginx keeps connections at a location."""
    for version in link.nginx.versions:
        found = pooling(link.location, link.upstream, version)
        if found.pools is None:
            return f"whether nginx reuses connections at location {link.location.path} is unknown"
        if found.pools and found.idle is None:
            return f"how long nginx keeps connections of upstream {link.upstream.name} is unknown"
    return ""


def _keepalive(deployment: Deployment) -> str:
    """Return why no two sides of an idle connection were compared; empty where two were."""
    sides = [(link.server, _pools(link)) for link in links(deployment)]
    for proxy, target, servers in proxied(deployment):
        why = (
            ""
            if (target.idle or proxy.idle).value is not None
            else f"how long {proxy.name} reuses an idle connection is unknown"
        )
        sides += [(server, why) for server in servers]
    if deployment.front is not None and deployment.front.idle is not None:
        sides += [(server, "") for server in deployment.servers]
    reasons = []
    for server, why in sides:
        closes = _closes(server)
        if closes is False or (closes and not why):
            return ""
        reasons.append(why or f"how long {name_of(server)} keeps an idle connection is unknown")
    return reasons[0] if reasons else NOTHING


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


def _limits(deployment: Deployment) -> str:
    """Return which side's limits are not among the files; empty where both are."""
    limited = any(number(server.settings.timeout) is not None for server in deployment.servers)
    front = any(nginx.locations for nginx in deployment.nginx)
    if limited and front:
        return ""
    if limited:
        return "only the application's limits are among the files"
    return "only nginx's limits are among the files" if front and not deployment.servers else NOTHING


def _headers(deployment: Deployment) -> bool:
    return bool(links(deployment))


def _configuration(deployment: Deployment) -> str:
    """Return what of the two programs' configuration was not checked; empty where that of both was."""
    if deployment.unreadable:
        return f"{deployment.unreadable[0]} cannot be read"
    hidden = next((one for one in deployment.servers if one.conf_file is not None and _unread(one)), None)
    if hidden is not None:
        return f"the configuration file of {name_of(hidden)} is not known"
    front = any(nginx.locations for nginx in deployment.nginx)
    if deployment.servers and front:
        return ""
    if deployment.servers:
        return "only the application's configuration is among the files"
    return "only nginx's configuration is among the files" if front else NOTHING


def _unread(server: AppServer) -> bool:
    """Whether nothing is known of what a configuration file sets."""
    return kind_of(server) is None and number(server.settings.timeout) is None


_TESTS: Mapping[str, Callable[[Deployment], bool | str]] = {
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
"""By the area's letter: whether something was compared, or why not (empty where it was)."""


def gaps_of_areas(deployment: Deployment) -> dict[str, str]:
    """Return why an area has no tick, by its letter, for those in which no two sides, or a value and its bound, met."""
    found = {}
    for letter, test in _TESTS.items():
        answer = test(deployment)
        reason = answer if isinstance(answer, str) else "" if answer else NOTHING
        if reason:
            found[letter] = reason
    return found


def compared(deployment: Deployment) -> frozenset[str]:
    """Return the letters of the areas in which two sides, or a value and its bound, were compared."""
    return frozenset(_TESTS) - gaps_of_areas(deployment).keys()
