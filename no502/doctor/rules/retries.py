"""R: what nginx does after a failed attempt."""

from __future__ import annotations

from collections.abc import Iterator

from no502.doctor.edits import substitute
from no502.doctor.facts import number, origin_of, seconds, value
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import services_at
from no502.doctor.model import Deployment, Location, ServiceKind, Upstream, UpstreamServer
from no502.doctor.pooling import pooling
from no502.doctor.registry import rule
from no502.doctor.scopes import line_of
from no502.messages.quoted import logs

__all__ = []


def _whose(location: Location) -> tuple[int, str] | None:
    """Return which upstream a location has: the first location with a finding speaks for its upstream."""
    return (id(location.config), location.upstream.name) if location.upstream is not None else None


def _peers(deployment: Deployment, upstream: Upstream) -> tuple[int, str]:
    """Return how many peers nginx sees, and why there are several. ``localhost`` is A104's.

    Where a template decides how many server lines there are, they count as one.
    """
    if upstream.alternatives:
        return min(1, len(upstream.servers)), ""
    if len(upstream.servers) > 1:
        return len(upstream.servers), f"{len(upstream.servers)} server lines"
    for server in upstream.servers:
        address = server.address.value
        host = address.host if address is not None and server.address.known else None
        service = next(iter(services_at(deployment, host)), None) if host else None
        if service is None or host is None or service.kind is not ServiceKind.COMPOSE:
            continue
        if value(service.settings.virtual_ip) and not host.startswith("tasks."):
            continue  # Swarm gives a service one address
        replicas = number(service.settings.replicas)
        if replicas is not None and replicas > 1:
            return int(replicas), f"{int(replicas)} replicas of {service.name}"
    return len(upstream.servers), ""


def _counts_failures(server: UpstreamServer) -> bool:
    return "max_fails" not in server.parameters


@rule(
    "R401",
    "one-failure-blocks-all-peers",
    Severity.WARNING,
    "max_fails=1 (default) with several upstream servers: one slow request causes no live upstreams",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#max_fails",
    per=Location,
    once=_whose,
)
def _one_failure_blocks_all_peers(location: Location, deployment: Deployment) -> Iterator[Finding]:
    upstream = location.upstream
    if upstream is None:
        return
    count, why = _peers(deployment, upstream)
    counting = [server for server in upstream.servers if _counts_failures(server)]
    live = [server for server in upstream.servers if "down" not in server.parameters]
    if count < 2 or not counting or not any(_counts_failures(server) for server in live):
        return
    if not upstream.explicit and any("resolve" in server.parameters for server in upstream.servers):
        return  # the peers of a variable live for one request (measured with 1.31.3)
    if any("$" in str(part) for server in upstream.servers for part in server.parameters.values()):
        return
    yield _one_failure_blocks_all_peers.finding(
        f"upstream {upstream.name} has {why} and the default max_fails=1: after one failed or slow attempt nginx "
        "marks a peer as unavailable for 10 s",
        counting[0].origin,
        related=[(location.origin, f"location {location.path} proxies to it")],
        consequence="nginx retries one slow request on every peer, and then all requests get 502 for 10 s; "
        f"{logs('no-live-upstreams-while-connecting-to-upstream')}",
        fix="Write `max_fails=1 fail_timeout=1s` after each server's address: nginx skips a failed peer for one second "
        "instead of ten.",
        edits=[
            edit
            for server in (counting if upstream.explicit else ())
            for edit in substitute(
                server.origin,
                (r"(\bserver\s+[^;{}]+?)\s+fail_timeout=[^\s;]+", r"\g<1> max_fails=1 fail_timeout=1s"),
                (r"(\bserver\s+[^;{}]+?)\s*;", r"\g<1> max_fails=1 fail_timeout=1s;"),
            )
        ],
    )


def _next(location: Location) -> tuple[str, ...]:
    words = value(location.settings.proxy_next_upstream)
    return tuple(words) if isinstance(words, (tuple, list)) else ()


@rule(
    "R402",
    "post-sent-twice",
    Severity.WARNING,
    "proxy_next_upstream non_idempotent makes nginx retry POST, so it can run twice",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream",
    per=Location,
    once=lambda location: line_of(origin_of(location.settings.proxy_next_upstream, location.origin)),
)
def _post_sent_twice(location: Location, _: Deployment) -> Iterator[Finding]:
    origin = origin_of(location.settings.proxy_next_upstream, location.origin)
    if "non_idempotent" not in _next(location):
        return
    yield _post_sent_twice.finding(
        f"at location {location.path} nginx retries POST and PATCH after a failure (non_idempotent)",
        origin,
        consequence="the application processes a request twice if the first attempt reached it",
        fix="Remove non_idempotent, and fix the cause of the failures (K201, S501).",
        edits=substitute(origin, (r"\s+non_idempotent\b(?=[^;]*;)", "")) if len(_next(location)) > 1 else (),
    )


@rule(
    "R403",
    "attempts-unlimited",
    Severity.INFO,
    "proxy_next_upstream_tries and proxy_next_upstream_timeout are unlimited with several upstream servers",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream_tries",
    per=Location,
    once=_whose,
)
def _attempts_unlimited(location: Location, deployment: Deployment) -> Iterator[Finding]:
    upstream = location.upstream
    if upstream is None:
        return
    count, why = _peers(deployment, upstream)
    wait = number(location.settings.proxy_read_timeout)
    tries = number(location.settings.proxy_next_upstream_tries)
    limit = number(location.settings.proxy_next_upstream_timeout)
    unlimited = tries == 0 and limit == 0
    if count < 2 or not unlimited or "timeout" not in _next(location) or wait is None:
        return
    yield _attempts_unlimited.finding(
        f"a slow request is tried on every peer ({why}): up to {count} x {seconds(wait)} at {location.path}",
        location.origin,
        related=[(upstream.origin, f"upstream {upstream.name}")],
        consequence=f"requests get 504 after up to {seconds(count * wait)}, and every peer does the same slow work at "
        "once",
        fix="Set `proxy_next_upstream error;`, or `proxy_next_upstream_tries 2;` with `proxy_next_upstream_timeout "
        "5s;`.",
    )


@rule(
    "R404",
    "no-second-attempt",
    Severity.WARNING,
    "proxy_next_upstream off disables retries that are safe, so GET requests get 502, too",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream",
    per=Location,
    once=_whose,
)
def _no_second_attempt(location: Location, deployment: Deployment) -> Iterator[Finding]:
    upstream = location.upstream
    if upstream is None:
        return
    if _next(location) != ("off",):
        return
    count, why = _peers(deployment, upstream)
    pooled = any(pooling(location, upstream, version).pools for version in location.config.versions)
    if not pooled and count < 2:
        return
    reason = why if count > 1 else "connections are reused"
    yield _no_second_attempt.finding(
        f"proxy_next_upstream is off at {location.path} although a retry could succeed ({reason})",
        origin_of(location.settings.proxy_next_upstream, location.origin),
        related=[(upstream.origin, f"upstream {upstream.name}")],
        consequence="GET requests get 502, too, when a connection or a peer has just closed",
        fix="Set `proxy_next_upstream error timeout;` with `proxy_next_upstream_tries 2;`. nginx does not retry a "
        "POST that it has sent.",
    )
