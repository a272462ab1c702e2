"""A: whether nginx and the application agree on TLS."""

from __future__ import annotations

from collections.abc import Iterator

from no502.doctor.edits import substitute
from no502.doctor.facts import kind_of, name_of, origin_of, speaks_tls, value
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import Link
from no502.doctor.model import Deployment
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
    per=Link,
    once=lambda link: (line_of(link.location.proxy_pass.origin), id(link.server)),
)
def _tls_on_one_side(link: Link, _: Deployment) -> Iterator[Finding]:
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
