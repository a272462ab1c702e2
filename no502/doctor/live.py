"""``--live``: what a running nginx and its application answer, side by side.

Only GET requests, one at a time, and only to the given hosts. A body is announced for the limit's sake, never sent.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

from no502.doctor.live_wire import AGENT, Answer, Endpoint, exchange, idle_lifetime
from no502.doctor.model import NotChecked, Origin, Problem

__all__ = ["ANNOUNCED", "Probed", "probe"]

ANNOUNCED = (
    f"--live sends GET requests with the User-Agent {AGENT}. Where nginx limits bodies to 100 MiB or less, it logs one "
    'line of level error for the probe of that limit: "client intended to send too large body"'
)
"""What the operator of the server should know before."""

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
    problems: list[Problem] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Lines of level error that the probes have left in nginx's log, without time and connection."""
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
    result.problems += _answers(outer, through, inner, direct)
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
            NotChecked(what="the application itself", why="pass its address with --upstream", origin=_at(outer))
        )
    return result


def _at(endpoint: Endpoint) -> Origin:
    return Origin(file=str(endpoint))


def _answers(outer: Endpoint, through: Answer, inner: Endpoint | None, direct: Answer | None) -> Iterator[Problem]:
    if through.status is None or through.status in _BAD_GATEWAY:
        related = ((_at(inner), f"the application: {direct}"),) if inner is not None and direct is not None else ()
        alive = direct is not None and direct.status is not None and direct.status not in _BAD_GATEWAY
        yield Problem(
            rule="E901",
            message=f"nginx: {through}" + ("; the application itself answers" if alive else ""),
            origin=_at(outer),
            related=related,
            consequence="users see this response",
            fix="Check what is between nginx and the application: address (A rules), timeouts (T rules), name "
            "resolution (A103)."
            if alive
            else "Run `no502 doctor logs FILE` on nginx's error log.",
        )
    if inner is not None and direct is not None and (direct.status is None or direct.status in _BAD_GATEWAY):
        yield Problem(
            rule="E902",
            message=f"the application: {direct}",
            origin=_at(inner),
            related=((_at(outer), f"through nginx: {through}"),),
            consequence="requests through nginx get 502 or 504",
            fix="Read the application's log; no change in nginx helps.",
        )


def _readiness(result: Probed, outer: Endpoint, inner: Endpoint | None) -> None:
    asked = inner or outer
    for path in _READY:
        answer = exchange(asked, path)
        if answer.status in {None, 401, 403, 404, 405}:
            continue
        shown = (str(exchange(outer, path)), str(answer)) if inner is not None else (str(answer), "-")
        result.rows.append((f"GET {path}", *shown))
        if (answer.status or 0) >= 500:
            result.problems.append(
                Problem(
                    rule="E905",
                    message=f"{path}: {answer}",
                    origin=_at(asked),
                    consequence="a load balancer removes the application from rotation",
                    fix="Read the body of the response: it names the check that fails.",
                )
            )
        return
    result.not_checked.append(
        NotChecked(what="readiness", why=f"none of {', '.join(_READY)} exists", origin=_at(asked))
    )


def _spoofing(result: Probed, outer: Endpoint) -> None:
    plain, spoofed = exchange(outer), exchange(outer, headers=_SPOOFED)
    values = sorted({value for value in _SPOOFED.values() if len(value) > len("spoofed")})
    location = spoofed.headers.get("location", "")
    seen = [v for v in values if (v.encode() in spoofed.body or v in location) and v.encode() not in plain.body]
    if seen:
        result.problems.append(
            Problem(
                rule="E904",
                message=f"the response contains an X-Forwarded-* value that the client sent: {', '.join(seen)}",
                origin=_at(outer),
                consequence="a client can choose the IP address that rate limits and logs use, or the target of "
                "redirects",
                fix="Replace the headers in nginx (`proxy_set_header X-Forwarded-For $remote_addr;`) unless a trusted "
                "proxy is in front of nginx, and clear the others.",
            )
        )
    else:
        result.not_checked.append(
            NotChecked(
                what="forwarded headers",
                why="the response does not show how the application uses them",
                origin=_at(outer),
            )
        )


def _body_limit(result: Probed, outer: Endpoint) -> None:
    refused = None
    for size in (1, 10, 100):
        length = size * _MIB + 1
        answer = exchange(outer, headers={"Content-Length": str(length), "Expect": "100-continue"})
        if answer.status == 413:
            refused = size
            result.left.append(f"client intended to send too large body: {length} bytes")
            break
    result.rows.append(("largest body", f"up to {refused} MiB" if refused else "more than 100 MiB", "-"))
    if refused == 1:
        result.problems.append(
            Problem(
                rule="E906",
                message="nginx refuses a body of more than 1 MiB with 413",
                origin=_at(outer),
                consequence="uploads get 413 and do not reach the application",
                fix="Set `client_max_body_size` in the locations that accept uploads.",
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
        result.problems.append(
            Problem(
                rule="E907",
                message=f"the certificate is not trusted here: {reason}",
                origin=_at(outer),
                fix="Configure nginx to send the full certificate chain.",
            )
        )
        return
    end = dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), dt.UTC)
    result.rows.append(("certificate until", f"{end:%Y-%m-%d}", "-"))
    if end - dt.datetime.now(dt.UTC) < _SOON:
        result.problems.append(
            Problem(
                rule="E907",
                message=f"the certificate ends on {end:%Y-%m-%d}",
                origin=_at(outer),
                fix="Renew the certificate.",
            )
        )


def _keep_alive(result: Probed, inner: Endpoint, pool_idle: float) -> None:
    try:
        lasted = idle_lifetime(inner, pool_idle + 1)
    except OSError as error:
        result.not_checked.append(NotChecked(what="keep-alive of the application", why=str(error), origin=_at(inner)))
        return
    shown = f"{lasted:.1f} s" if lasted is not None else f"more than {pool_idle:g} s"
    result.rows.append(("idle connection kept", f"{pool_idle:g} s towards the application", shown))
    if lasted is not None and lasted > _AT_ONCE:
        result.problems.append(
            Problem(
                rule="E903",
                message=f"the application closed an idle connection after {lasted:.0f} s; "
                f"nginx keeps them for {pool_idle:g} s",
                origin=_at(inner),
                consequence='some POST requests get 502, "upstream prematurely closed connection" (K201)',
                fix="Raise the application's keep-alive above nginx's keepalive_timeout.",
            )
        )


_AT_ONCE = 0.5
"""Seconds: a server that closes after each response announces it, and nothing races."""
