"""H: what the application learns about the client."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from no502.doctor.edits import set_option
from no502.doctor.facts import in_container, name_of, origin_of, text, uses_uvicorn, value
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import Link, links
from no502.doctor.model import Deployment, Location, Source
from no502.doctor.registry import Rule

__all__ = ["RULES"]

_NEEDED = {
    "host": "Host",
    "x-forwarded-for": "X-Forwarded-For",
    "x-forwarded-proto": "X-Forwarded-Proto",
}


def _missing(location: Location) -> list[str]:
    """Return the needed headers that a location does not set."""
    found = []
    for key, name in _NEEDED.items():
        fact = location.headers.get(key)
        if fact is None or (key == "host" and fact.origin.source is Source.DEFAULT):
            found.append(name)
    return found


def _locations(deployment: Deployment) -> Iterator[Link]:
    """Yield each location before a server once."""
    seen: set[int] = set()
    for link in links(deployment):
        if id(link.location) not in seen:
            seen.add(id(link.location))
            yield link


def _dropped(location: Location) -> list[str]:
    """Return the needed headers that an outer level sets and this location's own proxy_set_header drops."""
    return [name for key, name in _NEEDED.items() if key in location.dropped_headers and name in _missing(location)]


def _h801(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for link in _locations(deployment):
        dropped = _dropped(link.location)
        missing = [name for name in _missing(link.location) if name not in dropped]
        key = (link.location.origin.file, tuple(missing))
        if not missing or key in seen:
            continue
        seen.add(key)
        yield H801.finding(
            f"location {link.location.path} does not set {', '.join(missing)}",
            link.location.origin,
            confidence=link.confidence,
            related=[(link.server.origin, f"{name_of(link.server)} answers there")],
            consequence="the application sees nginx instead of the client: wrong addresses in logs, http:// in "
            "redirects",
            fix=" ".join(f"`proxy_set_header {name} {_VALUES[name]};`" for name in missing),
        )


_VALUES = {
    "Host": "$host",
    "X-Forwarded-For": "$remote_addr",
    "X-Forwarded-Proto": "$scheme",
}


def _h802(deployment: Deployment) -> Iterator[Finding]:
    for link in _locations(deployment):
        dropped = _dropped(link.location)
        if not dropped:
            continue
        key = next(key for key, name in _NEEDED.items() if name == dropped[0])
        own = [fact.origin for fact in link.location.headers.values() if fact.origin.source is Source.WRITTEN]
        yield H802.finding(
            f"the proxy_set_header lines of location {link.location.path} replace all outer ones: "
            f"{', '.join(dropped)} {'is' if len(dropped) == 1 else 'are'} lost",
            own[0] if own else link.location.origin,
            confidence=link.confidence,
            related=[(link.location.dropped_headers[key].origin, f"{dropped[0]} is set here")],
            consequence="the application sees nginx instead of the client there: wrong scheme, redirect loops",
            fix="Repeat the outer lines in this location, or include one file in both.",
        )


def _trusts(allowed: str, *, needs_star: bool) -> bool:
    """Whether addresses of other containers are trusted (any network that is not loopback counts)."""
    for item in (part.strip() for part in allowed.split(",")):
        if item == "*":
            return True
        try:
            network = ipaddress.ip_network(item, strict=False)
        except ValueError:
            return not needs_star and bool(item) and item != "localhost"
        if not needs_star and not network.is_loopback:
            return True
    return False


def _h803(deployment: Deployment) -> Iterator[Finding]:
    seen: set[int] = set()
    for link in links(deployment):
        allowed = text(link.server.settings, "forwarded_allow_ips")
        if allowed is None or id(link.server) in seen or not uses_uvicorn(link.server):
            continue
        if value(link.server.settings, "proxy_headers") is False:
            continue
        if "x-forwarded-for" not in link.location.headers and "x-forwarded-proto" not in link.location.headers:
            continue
        socket = link.peer.address.known and link.peer.address.value is not None and link.peer.address.value.socket
        here, there = deployment.runner(link.nginx), deployment.runner(link.server)
        apart = (
            here is not None and there is not None and here is not there and in_container(here) and in_container(there)
        )
        shared = str(value(there.settings, "network_mode") or "") if there is not None else ""
        if not socket and (not apart or shared.startswith("service:") or _same_pod(deployment, link)):
            continue
        if _trusts(allowed, needs_star=bool(socket)):
            continue
        seen.add(id(link.server))
        where = origin_of(link.server.settings, "forwarded_allow_ips", link.server.origin)
        new = '"*"' if where.file.endswith(".py") or link.server.origin.file.endswith(".py") else "*"
        why = "a unix socket has no client address" if socket else "nginx comes from another address"
        yield H803.finding(
            f"{name_of(link.server)} trusts X-Forwarded-* from {allowed} only; {why}",
            where if where.source is Source.WRITTEN else link.server.origin,
            confidence=link.confidence,
            related=[(link.location.origin, "nginx sets them here")],
            consequence="the headers are ignored: scheme http, nginx's address as the client's, redirects to http://",
            fix="--forwarded-allow-ips with nginx's network, or '*' where only nginx can connect.",
            edits=set_option(link.server, "forwarded_allow_ips", "--forwarded-allow-ips", new)
            if where.source is not Source.WRITTEN and new != "*"
            else (),
        )


def _same_pod(deployment: Deployment, link: Link) -> bool:
    here, there = deployment.runner(link.nginx), deployment.runner(link.server)
    pods = [value(s.settings, "pod") if s is not None else None for s in (here, there)]
    return pods[0] is not None and pods[0] == pods[1]


H801 = Rule(
    id="H801",
    slug="forwarded-headers-missing",
    severity=Severity.INFO,
    summary="a location does not say who the client is",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_set_header",
    check=_h801,
)
H802 = Rule(
    id="H802",
    slug="headers-dropped",
    severity=Severity.WARNING,
    summary="a location's own proxy_set_header drops the inherited ones",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_set_header",
    check=_h802,
)
H803 = Rule(
    id="H803",
    slug="forwarded-headers-not-trusted",
    severity=Severity.WARNING,
    summary="the application does not trust nginx's X-Forwarded-* headers",
    source="https://uvicorn.dev/settings/#http",
    check=_h803,
)
RULES = (H801, H802, H803)
