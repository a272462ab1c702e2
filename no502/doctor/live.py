"""``--live``: what a running nginx and its application answer, side by side.

Only GET requests, one at a time, and only to the given hosts. A body is announced for the limit's sake, never sent.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

from no502.doctor.finding import Finding
from no502.doctor.live_wire import Answer, Endpoint, exchange, idle_lifetime
from no502.doctor.model import NotChecked, Origin
from no502.doctor.rules.live import E901, E902, E903, E904, E905, E906, E907

__all__ = ["Probed", "probe"]

_READY = ("/ready", "/readyz", "/health/ready", "/healthz", "/health")
_MIB = 1024 * 1024
_SPOOFED = {
    "X-Forwarded-For": "203.0.113.77",
    "X-Forwarded-Host": "spoofed.invalid",
    "X-Forwarded-Proto": "spoofed",
    "X-Real-IP": "203.0.113.77",
}
"""An address and a name that are reserved for documentation and tests: RFC 5737, RFC 6761."""
_BAD_GATEWAY = {502, 503, 504}
_SOON = dt.timedelta(days=14)


@dataclass
class Probed:
    """What the probes found out."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    """Name of the probe, through nginx, at the application."""
    findings: list[Finding] = field(default_factory=list)
    not_checked: list[NotChecked] = field(default_factory=list)


def probe(url: str, upstream: str | None, *, pool_idle: float = 60.0) -> Probed:
    """Ask both sides.

    Args:
        url: nginx, as clients reach it.
        upstream: The application, as nginx reaches it; None where it cannot be reached from here.
        pool_idle: Seconds that nginx keeps idle connections to the application.

    Raises:
        UserError: One of them is no URL.
    """
    outer = Endpoint.parse(url, "--live")
    inner = Endpoint.parse(upstream, "--upstream") if upstream is not None else None
    result = Probed()
    through = exchange(outer)
    direct = exchange(inner, outer.path) if inner is not None else None
    result.rows.append((f"GET {outer.path}", str(through), "-" if direct is None else str(direct)))
    result.findings += _answers(outer, through, inner, direct)
    if through.status is None:
        return result
    _readiness(result, outer, inner)
    _spoofing(result, outer)
    _body_limit(result, outer)
    if outer.tls:
        _certificate(result, outer)
    if inner is not None and direct is not None and direct.status is not None:
        _keep_alive(result, inner, pool_idle)
    elif inner is None:
        result.not_checked.append(
            NotChecked(what="the application itself", why="give its address with --upstream", origin=_at(outer))
        )
    return result


def _at(endpoint: Endpoint) -> Origin:
    return Origin(file=str(endpoint))


def _answers(outer: Endpoint, through: Answer, inner: Endpoint | None, direct: Answer | None) -> Iterator[Finding]:
    if through.status is None or through.status in _BAD_GATEWAY:
        related = [(_at(inner), f"the application: {direct}")] if inner is not None and direct is not None else []
        alive = direct is not None and direct.status is not None and direct.status not in _BAD_GATEWAY
        yield E901.finding(
            f"nginx: {through}" + ("; the application itself answers" if alive else ""),
            _at(outer),
            related=related,
            consequence="what users see is this answer",
            fix="The path between both is at fault: address (A), timeouts (T), name (A103)."
            if alive
            else "See nginx's error log: `no502 doctor logs FILE`.",
        )
    if inner is not None and direct is not None and (direct.status is None or direct.status in _BAD_GATEWAY):
        yield E902.finding(
            f"the application: {direct}",
            _at(inner),
            related=[(_at(outer), f"through nginx: {through}")],
            consequence="502 or 504 through nginx",
            fix="Its own log says why; until then nothing in nginx helps.",
        )


def _readiness(result: Probed, outer: Endpoint, inner: Endpoint | None) -> None:
    asked = inner or outer
    for path in _READY:
        answer = exchange(asked, path)
        if answer.status in {None, 401, 403, 404, 405}:
            continue
        shown = (str(exchange(outer, path)), str(answer)) if inner is not None else (str(answer), "-")
        result.rows.append((f"GET {path}", *shown))
        if (answer.status or 0) >= 500:  # noqa: PLR2004 server errors
            result.findings.append(
                E905.finding(
                    f"{path}: {answer}",
                    _at(asked),
                    consequence="a load balancer takes the application out",
                    fix="See what the answer's body says.",
                )
            )
        return
    result.not_checked.append(
        NotChecked(what="readiness", why=f"none of {', '.join(_READY)} is there", origin=_at(asked))
    )


def _spoofing(result: Probed, outer: Endpoint) -> None:
    plain, spoofed = exchange(outer), exchange(outer, headers=_SPOOFED)
    values = sorted({value for value in _SPOOFED.values() if len(value) > len("spoofed")})
    location = spoofed.headers.get("location", "")
    seen = [v for v in values if (v.encode() in spoofed.body or v in location) and v.encode() not in plain.body]
    if seen:
        result.findings.append(
            E904.finding(
                f"a client's own X-Forwarded-* header comes back in the answer: {', '.join(seen)}",
                _at(outer),
                consequence="anybody can choose the address that limits and logs see, or where redirects lead",
                fix="Replace the headers in nginx (`proxy_set_header X-Forwarded-For $remote_addr;`) unless a "
                "trusted proxy "
                "stands before it, and remove the others.",
            )
        )
    else:
        result.not_checked.append(
            NotChecked(
                what="forwarded headers", why="nothing in the answer shows what became of them", origin=_at(outer)
            )
        )


def _body_limit(result: Probed, outer: Endpoint) -> None:
    refused = None
    for size in (1, 10, 100):
        answer = exchange(outer, headers={"Content-Length": str(size * _MIB + 1), "Expect": "100-continue"})
        if answer.status == 413:  # noqa: PLR2004 Content Too Large
            refused = size
            break
    result.rows.append(("largest body", f"up to {refused} MiB" if refused else "more than 100 MiB", "-"))
    if refused == 1:
        result.findings.append(
            E906.finding(
                "nginx refuses a body of more than 1 MiB with 413",
                _at(outer),
                consequence="uploads end in 413, which the application never sees",
                fix="`client_max_body_size` where uploads are accepted.",
            )
        )


def _certificate(result: Probed, outer: Endpoint) -> None:
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((outer.host, outer.port), 10) as plain,
            context.wrap_socket(plain, server_hostname=outer.host) as connection,
        ):
            certificate = connection.getpeercert() or {}
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "verify_message", "") or str(error)
        result.findings.append(
            E907.finding(f"the certificate is not trusted here: {reason}", _at(outer), fix="Send the whole chain.")
        )
        return
    end = dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), dt.UTC)
    result.rows.append(("certificate until", f"{end:%Y-%m-%d}", "-"))
    if end - dt.datetime.now(dt.UTC) < _SOON:
        result.findings.append(E907.finding(f"the certificate ends on {end:%Y-%m-%d}", _at(outer), fix="Renew it."))


def _keep_alive(result: Probed, inner: Endpoint, pool_idle: float) -> None:
    try:
        lasted = idle_lifetime(inner, pool_idle + 1)
    except OSError as error:
        result.not_checked.append(NotChecked(what="keep-alive of the application", why=str(error), origin=_at(inner)))
        return
    shown = f"{lasted:.1f} s" if lasted is not None else f"more than {pool_idle:g} s"
    result.rows.append(("idle connection kept", f"{pool_idle:g} s towards the application", shown))
    if lasted is not None and lasted > _AT_ONCE:
        result.findings.append(
            E903.finding(
                f"the application closed an idle connection after {lasted:.1f} s; nginx keeps them for {pool_idle:g} s",
                _at(inner),
                consequence='POST gets 502 now and then, "upstream prematurely closed connection" (K201)',
                fix="Raise the application's keep-alive above nginx's.",
            )
        )


_AT_ONCE = 0.5
"""Seconds: a server that closes after each response announces it, and nothing races."""
