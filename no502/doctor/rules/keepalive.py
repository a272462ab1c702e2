"""K: who closes an idle connection first."""

from __future__ import annotations

from collections.abc import Iterator

from no502.doctor.edits import set_option
from no502.doctor.faces import directly_behind
from no502.doctor.facts import kind_of, name_of, number, origin_of, seconds, shown, written
from no502.doctor.facts import value as value_of
from no502.doctor.finding import Confidence, Edit, Finding, Severity
from no502.doctor.links import Link, links
from no502.doctor.model import AppServer, Deployment, Fact, Location, Origin, Source
from no502.doctor.pooling import POOL_BY_DEFAULT, Pooling, pooling
from no502.doctor.registry import Rule

__all__ = ["RULES", "races"]

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
    keepalive = number(server.settings, "keepalive")
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
        idle = number(pool, "keepalive_timeout") or 60.0
        value = max(int(idle) + 15, 20)
        flag = "--timeout-keep-alive" if server.program == "uvicorn" else "--keep-alive"
        idle_at = origin_of(pool, "keepalive_timeout", link.upstream.origin)
        other = _at_block(idle_at, link.upstream.origin)
        why = " (nginx >= 1.29.7 pools connections of every upstream{})" if by_default else ""
        rule = K201 if certain else K202
        yield rule.finding(
            f"{name_of(server)} closes idle connections after "
            f"{seconds(limit or 0)}{shown(server.settings, 'keepalive')}, "
            f"nginx keeps them in upstream {link.upstream.name} for {seconds(idle)}"
            f"{shown(pool, 'keepalive_timeout')}{why}",
            _own(server, "keepalive"),
            confidence=link.confidence if certain else Confidence.VERSION,
            related=[(other, f"upstream {link.upstream.name}: keepalive_timeout {seconds(idle)}")],
            consequence='POST gets 502 when the connection closes as the request arrives; nginx logs "upstream '
            "prematurely "
            'closed connection" or "recv() failed (104"; GET is silently retried',
            fix=f"Keep connections longer than nginx: {flag} {value}; or shorten nginx's side: "
            "`keepalive_timeout` inside "
            "upstream{}.",
            edits=set_option(server, "keepalive", flag, str(value)),
        )


def _own(server: AppServer, setting: str) -> Origin:
    """Return where the application's side is written, else where the server is started."""
    fact: Fact[object] | None = server.settings.get(setting)
    return fact.origin if fact is not None and fact.origin.source is Source.WRITTEN else server.origin


def _at_block(origin: Origin, block: Origin) -> Origin:
    return origin if origin.source is Source.WRITTEN else block


def _k201(deployment: Deployment) -> Iterator[Finding]:
    yield from _race(deployment, certain=True)


def _k202(deployment: Deployment) -> Iterator[Finding]:
    yield from _race(deployment, certain=False)


def _k203(deployment: Deployment) -> Iterator[Finding]:
    for nginx in deployment.nginx:
        users: dict[str, list[Location]] = {}
        for location in nginx.locations:
            if location.upstream is not None:
                users.setdefault(location.upstream.name, []).append(location)
        for name, locations in users.items():
            upstream = locations[0].upstream
            if upstream is None or not written(upstream.settings, "keepalive"):
                continue
            judged = [pooling(one, upstream, version) for one in locations for version in nginx.versions]
            if not number(upstream.settings, "keepalive") or any(p.pools is not False for p in judged):
                continue
            yield K203.finding(
                f"keepalive in upstream {name} does nothing: nginx sends {judged[0].reason}",
                origin_of(upstream.settings, "keepalive", upstream.origin),
                related=[(locations[0].origin, f"location {locations[0].path} passes requests to it")],
                consequence="a new connection for every request; under load the ports for them run out (TIME_WAIT)",
                fix='Set `proxy_http_version 1.1;` and `proxy_set_header Connection "";` there (and see K201).',
            )


def _k204(deployment: Deployment) -> Iterator[Finding]:
    for link, _always, _default in races(deployment):
        limit = _closes_after(link.server)
        client = number(link.location.settings, "keepalive_timeout")
        own = written(link.upstream.settings, "keepalive_timeout")
        if own or client is None or limit is None or not written(link.location.settings, "keepalive_timeout"):
            continue
        if 0 < client < limit:
            yield K204.finding(
                f"keepalive_timeout {seconds(client)} is for clients; towards the application upstream "
                f"{link.upstream.name} keeps connections for 60 s",
                origin_of(link.location.settings, "keepalive_timeout", link.location.origin),
                related=[(link.upstream.origin, "keepalive_timeout inside upstream{} is the one that counts")],
                consequence="the race of K201, although the numbers look as if they were in order",
                fix="Set `keepalive_timeout` inside upstream{}.",
            )


def _k205(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[str, int | None]] = set()
    for nginx in deployment.nginx:
        for location in nginx.locations:
            header = location.headers.get("connection")
            if header is None or not header.known or (header.value or "").strip().lower() != "upgrade":
                continue
            if any(word in location.path.lower() for word in _WEBSOCKET_WORDS) or not _is_wide(location):
                continue
            key = (header.origin.file, header.origin.line)
            if key in seen:
                continue
            seen.add(key)
            yield K205.finding(
                f'location {location.path} sends "Connection: upgrade" with every request, not only with WebSockets',
                header.origin,
                related=[(location.origin, f"location {location.path}")],
                consequence="ordinary requests carry a header that is for one connection only: servers may "
                "answer 400 or "
                '426, and uvicorn logs "Unsupported upgrade request"',
                fix='Use a map: `map $http_upgrade $connection_upgrade { default upgrade; "" ""; }`.',
            )


def _is_wide(location: Location) -> bool:
    """Whether a location takes ordinary requests as well: the root, or a named one."""
    return location.path in {"/", "/api", "/api/", "= /", "^~ /", "~ ^/", "~ /"} or location.path.startswith("@")


def _k206(deployment: Deployment) -> Iterator[Finding]:
    yield from _before_nginx(deployment)
    for server, name, times, origin, note in directly_behind(deployment):
        limit, idle = _closes_after(server), times.idle
        if limit is None or idle is None or limit > idle:
            continue
        value = int(idle) + 15
        flag = "--timeout-keep-alive" if server.program == "uvicorn" else "--keep-alive"
        yield K206.finding(
            f"{name_of(server)} closes idle connections after {seconds(limit)}{shown(server.settings, 'keepalive')}, "
            f"{name} reuses them for up to {seconds(idle)}",
            _own(server, "keepalive"),
            confidence=Confidence.LIKELY if server.likely else Confidence.CERTAIN,
            related=[(origin, note)],
            consequence=f"502 from {name} now and then, most of them after quiet times, that no log of the "
            "application shows",
            fix=f"Keep connections longer than {name}: {flag} {value}.",
            edits=set_option(server, "keepalive", flag, str(value)),
        )


def _before_nginx(deployment: Deployment) -> Iterator[Finding]:
    front = deployment.front
    if front is None or front.idle is None:
        return
    seen: set[int] = set()
    for nginx in deployment.nginx:
        for location in nginx.locations:
            client = number(location.settings, "keepalive_timeout")
            if client is None or id(nginx) in seen or client > front.idle or location.path.startswith("@"):
                continue
            seen.add(id(nginx))
            where = origin_of(location.settings, "keepalive_timeout", location.origin)
            yield K206.finding(
                f"nginx closes idle connections of {front.name} after {seconds(client)}"
                f"{shown(location.settings, 'keepalive_timeout')}, {front.name} reuses them for {seconds(front.idle)}",
                where if where.source is Source.WRITTEN else location.origin,
                related=[(front.origin, front.note)],
                consequence=f"502 from {front.name} that no log of nginx shows",
                fix=f"`keepalive_timeout {int(front.idle) + 20}s;` in http{{}}.",
            )


def _http2(server: AppServer, *, secure: bool) -> bool | None:
    """Whether a server speaks HTTP/2 to nginx; None where its settings are not known."""
    if server.program == "uvicorn":
        return False
    if kind_of(server) in {None, "other"}:
        return None
    names = ("http_protocols",) if secure else ("http_protocols", "http2_cleartext")
    for name in names:
        fact = server.settings.get(name)
        if fact is not None and not fact.known:
            return None
    if "h2" not in str(value_of(server.settings, "http_protocols") or ""):
        return False
    return secure or str(value_of(server.settings, "http2_cleartext") or "off") in {"prior-knowledge", "both"}


def _k207(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[int, int]] = set()
    for link in links(deployment):
        version = link.location.settings.get("proxy_http_version")
        if version is None or not version.known or str(version.value) not in {"2", "2.0"}:
            continue
        key = (id(link.server), hash((version.origin.file, version.origin.line)))
        speaks = _http2(link.server, secure=str(link.location.proxy_pass.value or "").startswith("https:"))
        if key in seen or speaks is None:
            continue
        seen.add(key)
        if speaks:
            yield K207.finding(
                f"nginx speaks HTTP/2 to {name_of(link.server)} at location {link.location.path}: a worker "
                "that ends says "
                "GOAWAY, which nginx takes for an error",
                version.origin,
                severity=Severity.WARNING,
                confidence=link.confidence,
                related=[(link.server.origin, f"{name_of(link.server)} speaks HTTP/2")],
                consequence="502 when a worker is recycled, reloaded or stopped, and the peer counts as "
                "failed; nginx logs "
                '"upstream sent goaway with error 0"',
                fix="`proxy_http_version 1.1;` towards the application: it loses nothing, and connections are reused.",
            )
            continue
        yield K207.finding(
            f"nginx speaks HTTP/2 at location {link.location.path}, but {name_of(link.server)} does not",
            version.origin,
            confidence=link.confidence,
            related=[(link.server.origin, f"{name_of(link.server)} speaks HTTP/1.1")],
            consequence='502 for every request; nginx logs "upstream sent too large http2 frame: 4740180"',
            fix="`proxy_http_version 1.1;`",
            edits=[
                Edit(
                    file=version.origin.file,
                    line=version.origin.line,
                    substitutions=((r"(proxy_http_version\s+)2(?:\.0)?\s*;", r"\g<1>1.1;"),),
                )
            ]
            if version.origin.line is not None
            else (),
        )


K201 = Rule(
    id="K201",
    slug="keepalive-shorter-than-proxy",
    severity=Severity.ERROR,
    summary="the application closes idle connections before nginx does",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout",
    check=_k201,
)
K202 = Rule(
    id="K202",
    slug="keepalive-race-after-upgrade",
    severity=Severity.WARNING,
    summary="nginx 1.29.7 and later would keep connections longer than the application, older versions do not",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
    check=_k202,
)
K203 = Rule(
    id="K203",
    slug="keepalive-inert",
    severity=Severity.INFO,
    summary="keepalive is written, but HTTP/1.0 or the Connection header closes every connection",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
    check=_k203,
)
K204 = Rule(
    id="K204",
    slug="keepalive-of-clients",
    severity=Severity.WARNING,
    summary="keepalive_timeout outside of upstream{} does not apply to the application",
    source="https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_timeout",
    check=_k204,
)
K205 = Rule(
    id="K205",
    slug="connection-upgrade-everywhere",
    severity=Severity.INFO,
    summary='"Connection: upgrade" is sent with ordinary requests',
    source="https://nginx.org/en/docs/http/websocket.html",
    check=_k205,
)
K206 = Rule(
    id="K206",
    slug="front-keeps-longer-than-nginx",
    severity=Severity.ERROR,
    summary="a load balancer or proxy in front reuses connections that nginx, or the application itself, closes",
    source="https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_timeout",
    check=_k206,
)
K207 = Rule(
    id="K207",
    slug="http2-to-http1-application",
    severity=Severity.ERROR,
    summary="nginx speaks HTTP/2 to an application server that does not",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_http_version",
    check=_k207,
)
RULES = (K201, K202, K203, K204, K205, K206, K207)
