"""K: who closes an idle connection first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from no502.doctor.edits import set_option, substitute
from no502.doctor.faces import directly_behind
from no502.doctor.facts import (
    is_computed,
    is_handover_worker,
    kind_of,
    name_of,
    number,
    origin_of,
    seconds,
    shown,
    text,
    written,
)
from no502.doctor.facts import value as value_of
from no502.doctor.finding import Confidence, Finding, Severity
from no502.doctor.links import Link, links, proxied
from no502.doctor.model import AppServer, Deployment, Fact, Location, Origin, Source
from no502.doctor.pooling import Pooling, pooling
from no502.doctor.registry import rule
from no502.doctor.scopes import line_of
from no502.ladder.rungs import computed
from no502.messages.quoted import logs
from no502.nginx.versions import HTTP2_TO_UPSTREAM, POOL_BY_DEFAULT, default_seconds

__all__ = ["races"]

_MOST_IDLE = 600
"""Seconds: the highest PROXY_KEEPALIVE_TIMEOUT that gunicorn_conf accepts."""
_WEBSOCKET_WORDS = (
    "ws",
    "socket",
    "hmr",
    "live",
    "cable",
    "stream",
    "hub",
    "sse",
    "events",
    "jupyter",
    "notif",
    "chat",
)


def _closes_after(server: AppServer) -> float | None:
    """Return the seconds after which the application closes an idle connection; None: not known or never idle."""
    kind = kind_of(server)
    keepalive = number(server.settings.keepalive)
    if kind in {None, "other", "sync", "tornado"} or keepalive is None:
        return None  # sync closes after every response and says so: no race
    return None if keepalive == 0 and kind != "uvicorn" else keepalive


def _first_of_each(deployment: Deployment) -> Iterator[tuple[Link, list[tuple[bool, Pooling]]]]:
    """Yield each upstream and server once, preferring a location that pools; with (new nginx?, what it does)."""
    best: dict[tuple[int, int], tuple[Link, list[tuple[bool, Pooling]]]] = {}
    for link in links(deployment):
        found = [(v >= POOL_BY_DEFAULT, pooling(link.location, link.upstream, v)) for v in link.nginx.versions]
        key = (id(link.nginx), hash((link.upstream.name, id(link.server))))
        old = best.get(key)
        if old is None or sum(p.pools is True for _, p in found) > sum(p.pools is True for _, p in old[1]):
            best[key] = (link, found)
    yield from best.values()


def races(deployment: Deployment) -> Iterator[tuple[Link, bool, bool]]:
    """Yield each pair where the application closes first; whether every judged version does it; whether by default."""
    for link, found in _first_of_each(deployment):
        limit = _closes_after(link.server)
        if limit is None:
            continue
        racing = [p for _, p in found if p.pools and p.idle is not None and limit <= p.idle]
        if racing:
            yield link, len(racing) == len(found), any(p.by_default for p in racing)


def _race(deployment: Deployment, *, certain: bool) -> Iterator[Finding]:
    for link, always, by_default in races(deployment):
        if always is not certain:
            continue
        server = link.server
        limit = _closes_after(server)
        pool = link.upstream.settings
        idle = number(pool.keepalive_timeout) or default_seconds("keepalive_timeout", "upstream")
        value = max(computed("B", U=idle), 20)
        flag = _flag(server)
        idle_at = origin_of(pool.keepalive_timeout, link.upstream.origin)
        other = _at_block(idle_at, link.upstream.origin)
        why = " (nginx >= 1.29.7 pools connections of every upstream{})" if by_default else ""
        rule = _keepalive_shorter_than_proxy if certain else _keepalive_race_after_upgrade
        yield rule.finding(
            f"{name_of(server)} closes idle connections after "
            f"{seconds(limit or 0)}{shown(server.settings.keepalive)}, "
            f"nginx keeps them in upstream {link.upstream.name} for {seconds(idle)}"
            f"{shown(pool.keepalive_timeout)}{why}",
            _own(server, "keepalive"),
            confidence=link.confidence if certain else Confidence.VERSION,
            related=[(other, f"upstream {link.upstream.name}: keepalive_timeout {seconds(idle)}")],
            consequence="a POST gets 502 if the connection closes while the request arrives; "
            f"{logs('recv-failed-104-reading-response-header')}; nginx silently retries GET",
            fix=f"Set the application's keep-alive above nginx's: {_longer(server, idle, value)}. Or lower "
            "`keepalive_timeout` inside upstream{}.",
            edits=set_option(server, "keepalive", flag, str(value)),
        )


def _flag(server: AppServer) -> str:
    return "--timeout-keep-alive" if server.program == "uvicorn" else "--keep-alive"


def _longer(server: AppServer, idle: float, value: int) -> str:
    """Return what has a server keep connections longer: an option, or the variable from which the ladder computes it.

    Args:
        server: The server.
        idle: Seconds for which the other side keeps them.
        value: Seconds that the option would get.
    """
    if not is_computed(server.settings.keepalive):
        return f"{_flag(server)} {value}"
    if idle > _MOST_IDLE:
        return f"lower the proxy's keep-alive to at most {_MOST_IDLE} s and set PROXY_KEEPALIVE_TIMEOUT={_MOST_IDLE}"
    return f"PROXY_KEEPALIVE_TIMEOUT={math.ceil(idle)}"


def _own(server: AppServer, setting: str) -> Origin:
    """Return where the application's side is written, else where the server is started."""
    fact: Fact[object] | None = server.settings.fact(setting)
    return fact.origin if fact is not None and fact.origin.source is Source.WRITTEN else server.origin


def _at_block(origin: Origin, block: Origin) -> Origin:
    return origin if origin.source is Source.WRITTEN else block


@rule(
    "K201",
    "keepalive-shorter-than-proxy",
    Severity.ERROR,
    "gunicorn's or uvicorn's keep-alive is shorter than nginx's keepalive_timeout",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout",
)
def _keepalive_shorter_than_proxy(deployment: Deployment) -> Iterator[Finding]:
    yield from _race(deployment, certain=True)


@rule(
    "K202",
    "keepalive-race-after-upgrade",
    Severity.WARNING,
    "nginx 1.29.7 and later keep upstream connections longer than gunicorn or uvicorn does",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
)
def _keepalive_race_after_upgrade(deployment: Deployment) -> Iterator[Finding]:
    yield from _race(deployment, certain=False)


@rule(
    "K203",
    "keepalive-inert",
    Severity.INFO,
    "keepalive has no effect, because nginx uses HTTP/1.0 or sends Connection: close to the upstream",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
)
def _keepalive_inert(deployment: Deployment) -> Iterator[Finding]:
    for nginx in deployment.nginx:
        users: dict[str, list[Location]] = {}
        for location in nginx.locations:
            if location.upstream is not None:
                users.setdefault(location.upstream.name, []).append(location)
        for name, locations in users.items():
            upstream = locations[0].upstream
            if upstream is None or not written(upstream.settings.keepalive):
                continue
            judged = [pooling(one, upstream, version) for one in locations for version in nginx.versions]
            if not number(upstream.settings.keepalive) or any(p.pools is not False for p in judged):
                continue
            yield _keepalive_inert.finding(
                f"keepalive in upstream {name} has no effect: nginx sends {judged[0].reason}",
                origin_of(upstream.settings.keepalive, upstream.origin),
                related=[(locations[0].origin, f"location {locations[0].path} proxies to it")],
                consequence="nginx opens a new connection for every request; under load it runs out of ports "
                "(TIME_WAIT)",
                fix='Set `proxy_http_version 1.1;` and `proxy_set_header Connection "";` in the location, then check '
                "K201.",
            )


@rule(
    "K204",
    "keepalive-of-clients",
    Severity.WARNING,
    "keepalive_timeout is set for clients; inside upstream{} it still has the default of 60 s",
    source="https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_timeout",
)
def _keepalive_of_clients(deployment: Deployment) -> Iterator[Finding]:
    for link, _always, _default in races(deployment):
        limit = _closes_after(link.server)
        client = number(link.location.settings.keepalive_timeout)
        own = written(link.upstream.settings.keepalive_timeout)
        if own or client is None or limit is None or not written(link.location.settings.keepalive_timeout):
            continue
        if 0 < client < limit:
            yield _keepalive_of_clients.finding(
                f"keepalive_timeout {seconds(client)} applies to clients; upstream {link.upstream.name} keeps "
                "connections to the application for 60 s",
                origin_of(link.location.settings.keepalive_timeout, link.location.origin),
                related=[(link.upstream.origin, "only keepalive_timeout inside upstream{} applies to the application")],
                consequence="some POST requests get 502 (K201), although the configuration looks correct",
                fix="Add `keepalive_timeout` inside upstream{}, below the application's keep-alive.",
            )


@rule(
    "K205",
    "connection-upgrade-everywhere",
    Severity.INFO,
    "nginx sends Connection: upgrade with every request, not only with WebSockets",
    source="https://nginx.org/en/docs/http/websocket.html",
    per=Location,
    once=lambda location: line_of(location.headers["connection"].origin) if "connection" in location.headers else None,
)
def _connection_upgrade_everywhere(location: Location, _: Deployment) -> Iterator[Finding]:
    header = location.headers.get("connection")
    if header is None or not header.known or (header.value or "").strip().lower() != "upgrade":
        return
    if any(word in location.path.lower() for word in _WEBSOCKET_WORDS) or not _is_wide(location):
        return
    yield _connection_upgrade_everywhere.finding(
        f'location {location.path} sends "Connection: upgrade" with every request, not only with WebSockets',
        header.origin,
        related=[(location.origin, f"location {location.path}")],
        consequence="some servers answer 400 or 426 to ordinary requests; "
        f"{logs('unsupported-upgrade-request-no-websocket-library')}",
        fix='Send the value of a map instead: `map $http_upgrade $connection_upgrade { default upgrade; "" ""; }`.',
    )


def _is_wide(location: Location) -> bool:
    """Whether a location takes ordinary requests as well: the root, or a named one."""
    return location.path in {"/", "/api", "/api/", "= /", "^~ /", "~ ^/", "~ /"} or location.path.startswith("@")


@rule(
    "K206",
    "front-keeps-longer-than-nginx",
    Severity.ERROR,
    "the load balancer reuses idle connections that nginx or the application has already closed",
    source="https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_timeout",
)
def _front_keeps_longer_than_nginx(deployment: Deployment) -> Iterator[Finding]:
    yield from _before_nginx(deployment)
    for server, name, times, origin, note in directly_behind(deployment):
        limit, idle = _closes_after(server), times.idle
        if limit is None or idle is None or limit > idle:
            continue
        value = computed("B", U=idle)
        yield _front_keeps_longer_than_nginx.finding(
            f"{name_of(server)} closes idle connections after {seconds(limit)}{shown(server.settings.keepalive)}, "
            f"{name} reuses them for up to {seconds(idle)}",
            _own(server, "keepalive"),
            confidence=Confidence.LIKELY if server.likely else Confidence.CERTAIN,
            related=[(origin, note)],
            consequence=f"some requests get 502 from {name}, most of them after idle times; the application logs "
            "nothing",
            fix=f"Set the application's keep-alive above that of {name}: {_longer(server, idle, value)}.",
            edits=set_option(server, "keepalive", _flag(server), str(value)),
        )


def _before_nginx(deployment: Deployment) -> Iterator[Finding]:
    front = deployment.front
    if front is None or front.idle is None:
        return
    seen: set[int] = set()
    for nginx in deployment.nginx:
        for location in nginx.locations:
            client = number(location.settings.keepalive_timeout)
            if client is None or id(nginx) in seen or client > front.idle or location.path.startswith("@"):
                continue
            seen.add(id(nginx))
            where = origin_of(location.settings.keepalive_timeout, location.origin)
            yield _front_keeps_longer_than_nginx.finding(
                f"nginx closes idle connections of {front.name} after {seconds(client)}"
                f"{shown(location.settings.keepalive_timeout)}, {front.name} reuses them for {seconds(front.idle)}",
                where if where.source is Source.WRITTEN else location.origin,
                related=[(front.origin, front.note)],
                consequence=f"some requests get 502 from {front.name}; nginx logs nothing",
                fix=f"Set `keepalive_timeout {int(front.idle) + 20}s;` in http{{}}.",
            )


_UVICORN_MODULES = {"uvicorn.workers", "uvicorn_worker"}


def _http2(server: AppServer, *, secure: bool) -> bool | None:
    """Whether a server speaks HTTP/2 to nginx; None where its settings are not known."""
    kind = kind_of(server)
    if kind in {None, "other"}:
        return None
    if kind == "uvicorn" and server.program == "gunicorn":
        # gunicorn's http_protocols is none of uvicorn's settings; a class of one's own may pass http2 to uvicorn.
        module = (text(server.settings.worker_class) or "").rpartition(".")[0]
        return False if module in _UVICORN_MODULES or is_handover_worker(server) else None
    names = ("http_protocols",) if secure else ("http_protocols", "http2_cleartext")
    for name in names:
        fact = server.settings.fact(name)
        if fact is not None and not fact.known:
            return None
    if "h2" not in str(value_of(server.settings.http_protocols) or ""):
        return False
    return secure or str(value_of(server.settings.http2_cleartext) or "off") in {"prior-knowledge", "both"}


@rule(
    "K207",
    "http2-to-http1-application",
    Severity.ERROR,
    "nginx uses HTTP/2 towards an application server that supports only HTTP/1.1",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_http_version",
)
def _http2_to_http1_application(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[object, int]] = set()
    for link in links(deployment):
        version = link.location.settings.proxy_http_version
        key = (line_of(version.origin) if version is not None else None, id(link.server))
        for finding in _nginx_http2(link) if key not in seen else ():
            seen.add(key)
            yield finding
    for proxy, target, servers in proxied(deployment):
        for server in servers if target.http2 else ():
            if _http2(server, secure=target.tls is True) is False:
                yield _http2_to_http1_application.finding(
                    f"{proxy.name} uses HTTP/2 to {target.address.value}, but {name_of(server)} supports only HTTP/1.1",
                    target.address.origin,
                    confidence=Confidence.LIKELY if server.likely else Confidence.CERTAIN,
                    related=[(server.origin, f"{name_of(server)} supports only HTTP/1.1")],
                    consequence=f"every request gets 502 or 503 from {proxy.name}",
                    fix=f"Use http instead of h2c (or HTTP/1.1 instead of h2) in {proxy.name}'s configuration.",
                )


def _nginx_http2(link: Link) -> Iterator[Finding]:
    version = link.location.settings.proxy_http_version
    if version is None or not version.known or str(version.value) != "2":
        return
    if all(one < HTTP2_TO_UPSTREAM for one in link.nginx.versions):
        return  # it does not load (C001)
    speaks = _http2(link.server, secure=str(link.location.proxy_pass.value or "").startswith("https:"))
    if speaks is None:
        return
    if speaks:
        yield _http2_to_http1_application.finding(
            f"nginx uses HTTP/2 to {name_of(link.server)} at location {link.location.path}: a worker that shuts "
            "down sends GOAWAY, which nginx treats as an error",
            version.origin,
            severity=Severity.WARNING,
            confidence=link.confidence,
            related=[(link.server.origin, f"{name_of(link.server)} supports HTTP/2")],
            consequence="requests get 502 when a worker is recycled, reloaded or stopped, and nginx counts the peer "
            f"as failed; {logs('upstream-sent-goaway-with-error')}",
            fix="Set `proxy_http_version 1.1;`: nginx still reuses connections, and clients can still use HTTP/2.",
        )
        return
    yield _http2_to_http1_application.finding(
        f"nginx uses HTTP/2 at location {link.location.path}, but {name_of(link.server)} supports only HTTP/1.1",
        version.origin,
        confidence=link.confidence,
        related=[(link.server.origin, f"{name_of(link.server)} supports only HTTP/1.1")],
        consequence=f"every request gets 502; {logs('upstream-sent-too-large-http2-frame')}",
        fix="Set `proxy_http_version 1.1;` in the location.",
        edits=substitute(version.origin, (r"(proxy_http_version\s+)2(?:\.0)?\s*;", r"\g<1>1.1;")),
    )
