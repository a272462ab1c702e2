"""A: whether nginx and the application agree on TLS."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from no502.doctor.edits import substitute
from no502.doctor.facts import kind_of, name_of, origin_of, speaks_tls, value
from no502.doctor.finding import Confidence, Finding, Severity
from no502.doctor.links import Link, links, proxied
from no502.doctor.model import AppServer, Deployment, Proxy, ProxyTarget
from no502.doctor.registry import rule
from no502.doctor.scopes import line_of
from no502.messages.quoted import logs

__all__ = []


@rule(
    "A108",
    "tls-on-one-side",
    Severity.ERROR,
    "proxy_pass says https:// to a server without TLS, or http:// to a server with TLS",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass",
)
def _tls_on_one_side(deployment: Deployment) -> Iterator[Finding]:
    seen: set[Hashable] = set()
    for link in links(deployment):
        key = (line_of(link.location.proxy_pass.origin), id(link.server))
        for finding in _of_nginx(link) if key not in seen else ():
            seen.add(key)
            yield finding
    for proxy, target, servers in proxied(deployment):
        for server in servers if len(servers) == 1 else ():
            yield from _of_proxy(proxy, target, server)


def _of_proxy(proxy: Proxy, target: ProxyTarget, server: AppServer) -> Iterator[Finding]:
    secure = speaks_tls(server)
    if target.tls is None or secure in {None, target.tls} or not server.starts or kind_of(server) in {None, "other"}:
        return
    name = name_of(server)
    speaks = "speaks TLS" if secure else "speaks plain HTTP: it has no certificate"
    way = f"{proxy.name} connects to {target.address.value} {'with' if target.tls else 'without'} TLS"
    yield _tls_on_one_side.finding(
        f"{way}, but {name} {speaks}",
        target.address.origin,
        confidence=Confidence.LIKELY if server.likely else Confidence.CERTAIN,
        related=[(server.origin, f"{name} {speaks}")],
        consequence=f"every request gets 502 or 503 from {proxy.name}",
        fix=f"Use {'https' if secure else 'http'} as the scheme in {proxy.name}'s configuration.",
    )


def _of_nginx(link: Link) -> Iterator[Finding]:
    target, server = link.location.proxy_pass, link.server
    scheme, _slashes, _rest = str(target.value or "").partition("://")
    secure = speaks_tls(server)
    if scheme.lower() not in {"http", "https"} or secure is None or secure == (scheme.lower() == "https"):
        return
    if not link.reaches or not server.starts or kind_of(server) in {None, "other"}:
        return  # a class of its own may speak TLS by itself
    name = name_of(server)
    if secure:
        given = server.settings.certfile if value(server.settings.certfile) else server.settings.keyfile
        yield _tls_on_one_side.finding(
            f"proxy_pass says http://, but {name} speaks TLS",
            target.origin,
            confidence=link.confidence,
            related=[(origin_of(given, server.origin), f"{name} has a certificate")],
            consequence=f"every request gets 502; {logs('recv-failed-104-reading-response-header', 1)}",
            fix=f"Replace http:// with https:// in proxy_pass, or start {name} without a certificate.",
        )
        return
    yield _tls_on_one_side.finding(
        f"proxy_pass says https://, but {name} speaks plain HTTP: it has no certificate",
        target.origin,
        confidence=link.confidence,
        related=[(server.origin, f"{name} starts without TLS")],
        consequence=f"every request gets 502; {logs('ssl-do-handshake-failed-while-ssl-handshaking-to-upstream')}",
        fix="Replace https:// with http:// in proxy_pass.",
        edits=substitute(target.origin, (r"(proxy_pass\s+)https://", r"\g<1>http://")),
    )
