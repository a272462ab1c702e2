"""H: what the application learns about the client."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from no502.doctor.edits import set_option
from no502.doctor.facts import in_container, name_of, origin_of, text, uses_uvicorn, value
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import Link
from no502.doctor.model import Deployment, Location, Source
from no502.doctor.registry import rule

__all__ = []

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


def _dropped(location: Location) -> list[str]:
    """Return the needed headers that an outer level sets and this location's own proxy_set_header drops."""
    return [name for key, name in _NEEDED.items() if key in location.dropped_headers and name in _missing(location)]


def _absent(location: Location) -> list[str]:
    """Return the needed headers that no level sets."""
    dropped = _dropped(location)
    return [name for name in _missing(location) if name not in dropped]


@rule(
    "H801",
    "forwarded-headers-missing",
    Severity.INFO,
    "a location does not set Host, X-Forwarded-For or X-Forwarded-Proto",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_set_header",
    per=Link,
    once=lambda link: (link.location.origin.file, tuple(_absent(link.location))),
)
def _forwarded_headers_missing(link: Link, _: Deployment) -> Iterator[Finding]:
    missing = _absent(link.location)
    if not missing:
        return
    yield _forwarded_headers_missing.finding(
        f"location {link.location.path} does not set {', '.join(missing)}",
        link.location.origin,
        confidence=link.confidence,
        related=[(link.server.origin, f"{name_of(link.server)} answers there")],
        consequence="the application takes nginx for the client: its logs have the wrong addresses, and it redirects "
        "to http://",
        fix=f"Add {' '.join(f'`proxy_set_header {name} {_VALUES[name]};`' for name in missing)} to the location.",
    )


_VALUES = {
    "Host": "$host",
    "X-Forwarded-For": "$remote_addr",
    "X-Forwarded-Proto": "$scheme",
}


@rule(
    "H802",
    "headers-dropped",
    Severity.WARNING,
    "proxy_set_header in a location drops the inherited proxy_set_header lines",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_set_header",
    per=Link,
    once=lambda link: id(link.location),
)
def _headers_dropped(link: Link, _: Deployment) -> Iterator[Finding]:
    dropped = _dropped(link.location)
    if not dropped:
        return
    key = next(key for key, name in _NEEDED.items() if name == dropped[0])
    own = [fact.origin for fact in link.location.headers.values() if fact.origin.source is Source.WRITTEN]
    yield _headers_dropped.finding(
        f"the proxy_set_header lines of location {link.location.path} replace all outer ones: "
        f"{', '.join(dropped)} {'is' if len(dropped) == 1 else 'are'} lost",
        own[0] if own else link.location.origin,
        confidence=link.confidence,
        related=[(link.location.dropped_headers[key].origin, f"{dropped[0]} is set here")],
        consequence="in this location the application takes nginx for the client: it sees the wrong scheme, and users "
        "get redirect loops",
        fix="Repeat the outer lines in this location, or include one file in both places.",
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


@rule(
    "H803",
    "forwarded-headers-not-trusted",
    Severity.WARNING,
    "uvicorn's forwarded_allow_ips does not include nginx, so X-Forwarded-* headers are ignored",
    source="https://uvicorn.dev/settings/#http",
    per=Link,
    once=lambda link: id(link.server),
)
def _forwarded_headers_not_trusted(link: Link, deployment: Deployment) -> Iterator[Finding]:
    allowed = text(link.server.settings.forwarded_allow_ips)
    if allowed is None or not uses_uvicorn(link.server):
        return
    if value(link.server.settings.proxy_headers) is False:
        return
    if "x-forwarded-for" not in link.location.headers and "x-forwarded-proto" not in link.location.headers:
        return
    socket = link.peer.address.known and link.peer.address.value is not None and link.peer.address.value.socket
    here, there = deployment.runner(link.nginx), deployment.runner(link.server)
    apart = here is not None and there is not None and here is not there and in_container(here) and in_container(there)
    shared = str(value(there.settings.network_mode) or "") if there is not None else ""
    if not socket and (not apart or shared.startswith("service:") or _same_pod(deployment, link)):
        return
    if _trusts(allowed, needs_star=bool(socket)):
        return
    where = origin_of(link.server.settings.forwarded_allow_ips, link.server.origin)
    new = '"*"' if where.file.endswith(".py") or link.server.origin.file.endswith(".py") else "*"
    why = "a unix socket has no client address" if socket else "nginx comes from another address"
    yield _forwarded_headers_not_trusted.finding(
        f"{name_of(link.server)} trusts X-Forwarded-* from {allowed} only; {why}",
        where if where.source is Source.WRITTEN else link.server.origin,
        confidence=link.confidence,
        related=[(link.location.origin, "nginx sets them here")],
        consequence="the application ignores the headers: it sees the scheme http and nginx's address, and redirects "
        "to http://",
        fix="Set --forwarded-allow-ips to nginx's network, or to '*' if only nginx can connect.",
        edits=set_option(link.server, "forwarded_allow_ips", "--forwarded-allow-ips", new)
        if where.source is not Source.WRITTEN and new != "*"
        else (),
    )


def _same_pod(deployment: Deployment, link: Link) -> bool:
    here, there = deployment.runner(link.nginx), deployment.runner(link.server)
    pods = [value(s.settings.pod) if s is not None else None for s in (here, there)]
    return pods[0] is not None and pods[0] == pods[1]
