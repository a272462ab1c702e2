"""R: what nginx does after a failed attempt."""

from __future__ import annotations

from collections.abc import Iterator

from no502.doctor.facts import number, origin_of, seconds, value
from no502.doctor.finding import Edit, Finding, Severity
from no502.doctor.links import services_at
from no502.doctor.model import Deployment, Location, NginxConfig, ServiceKind, Upstream, UpstreamServer
from no502.doctor.pooling import pooling
from no502.doctor.registry import Rule

__all__ = ["RULES"]


def _upstreams(deployment: Deployment) -> Iterator[tuple[NginxConfig, Location, Upstream]]:
    """Yield each upstream once, with the first location that uses it."""
    seen: set[tuple[int, str]] = set()
    for nginx in deployment.nginx:
        for location in nginx.locations:
            upstream = location.upstream
            if upstream is not None and (id(nginx), upstream.name) not in seen:
                seen.add((id(nginx), upstream.name))
                yield nginx, location, upstream


def _peers(deployment: Deployment, upstream: Upstream) -> tuple[int, str]:
    """Return how many peers nginx sees, and why there are several. ``localhost`` is A104's."""
    if len(upstream.servers) > 1:
        return len(upstream.servers), f"{len(upstream.servers)} server lines"
    for server in upstream.servers:
        address = server.address.value
        host = address.host if address is not None and server.address.known else None
        service = next(iter(services_at(deployment, host)), None) if host else None
        if service is None or host is None or service.kind is not ServiceKind.COMPOSE:
            continue
        if value(service.settings, "virtual_ip") and not host.startswith("tasks."):
            continue  # Swarm gives a service one address
        replicas = number(service.settings, "replicas")
        if replicas is not None and replicas > 1:
            return int(replicas), f"{int(replicas)} replicas of {service.name}"
    return len(upstream.servers), ""


def _counts_failures(server: UpstreamServer) -> bool:
    return "max_fails" not in server.parameters


def _r401(deployment: Deployment) -> Iterator[Finding]:
    for _nginx, location, upstream in _upstreams(deployment):
        count, why = _peers(deployment, upstream)
        counting = [server for server in upstream.servers if _counts_failures(server)]
        live = [server for server in upstream.servers if "down" not in server.parameters]
        if count < 2 or not counting or not any(_counts_failures(server) for server in live):  # noqa: PLR2004
            continue
        if not upstream.explicit and any("resolve" in server.parameters for server in upstream.servers):
            continue  # the peers of a variable live for one request (measured with 1.31.3)
        if any("$" in str(part) for server in upstream.servers for part in server.parameters.values()):
            continue
        yield R401.finding(
            f"upstream {upstream.name} has {why} and the default max_fails=1: one failed or slow attempt takes a "
            "peer out "
            "for 10 s",
            counting[0].origin,
            related=[(location.origin, f"location {location.path} passes requests to it")],
            consequence="one slow request is tried on every peer, and then all requests get 502 for 10 s; nginx logs "
            '"no live upstreams while connecting to upstream"',
            fix="`max_fails=0` on every server line where one cause slows all peers, or `proxy_next_upstream "
            "error;` and "
            "a larger max_fails.",
            edits=[
                Edit(
                    file=server.origin.file,
                    line=server.origin.line,
                    substitutions=((r"(\bserver\s+[^;{}]+?)\s*;", r"\g<1> max_fails=0;"),),
                )
                for server in counting
                if server.origin.line is not None and upstream.explicit
            ],
        )


def _next(location: Location) -> tuple[str, ...]:
    words = value(location.settings, "proxy_next_upstream")
    return tuple(words) if isinstance(words, (tuple, list)) else ()


def _r402(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[str, int | None]] = set()
    for nginx in deployment.nginx:
        for location in nginx.locations:
            origin = origin_of(location.settings, "proxy_next_upstream", location.origin)
            if "non_idempotent" not in _next(location) or (origin.file, origin.line) in seen:
                continue
            seen.add((origin.file, origin.line))
            yield R402.finding(
                f"location {location.path} sends POST and PATCH again after a failure (non_idempotent)",
                origin,
                consequence="a request whose first attempt reached the application is carried out twice",
                fix="Remove non_idempotent; end the cause of the failures instead (K201, S501).",
                edits=[
                    Edit(
                        file=origin.file,
                        line=origin.line,
                        substitutions=((r"\s+non_idempotent\b(?=[^;]*;)", ""),),
                    )
                ]
                if origin.line is not None and len(_next(location)) > 1
                else (),
            )


def _r403(deployment: Deployment) -> Iterator[Finding]:
    for _nginx, location, upstream in _upstreams(deployment):
        count, why = _peers(deployment, upstream)
        wait = number(location.settings, "proxy_read_timeout")
        tries = number(location.settings, "proxy_next_upstream_tries")
        limit = number(location.settings, "proxy_next_upstream_timeout")
        unlimited = tries == 0 and limit == 0
        if count < 2 or not unlimited or "timeout" not in _next(location) or wait is None:  # noqa: PLR2004
            continue
        yield R403.finding(
            f"a slow request is tried on every peer ({why}): up to {count} x {seconds(wait)} at {location.path}",
            location.origin,
            related=[(upstream.origin, f"upstream {upstream.name}")],
            consequence=f"504 after up to {seconds(count * wait)}, and the same slow work on every peer at once",
            fix="`proxy_next_upstream error;`, or `proxy_next_upstream_tries 2;` with "
            "`proxy_next_upstream_timeout 5s;`.",
        )


def _r404(deployment: Deployment) -> Iterator[Finding]:
    for nginx, location, upstream in _upstreams(deployment):
        if _next(location) != ("off",):
            continue
        count, why = _peers(deployment, upstream)
        pooled = any(pooling(location, upstream, version).pools for version in nginx.versions)
        if not pooled and count < 2:  # noqa: PLR2004
            continue
        reason = why if count > 1 else "connections are reused"
        yield R404.finding(
            f"proxy_next_upstream is off at {location.path} although another attempt could work ({reason})",
            origin_of(location.settings, "proxy_next_upstream", location.origin),
            related=[(upstream.origin, f"upstream {upstream.name}")],
            consequence="GET gets 502, too, when a connection or a peer has just gone",
            fix="`proxy_next_upstream error timeout;` with `proxy_next_upstream_tries 2;` never repeats a POST "
            "that was sent.",
        )


R401 = Rule(
    id="R401",
    slug="one-failure-blocks-all-peers",
    severity=Severity.WARNING,
    summary="several peers with the default max_fails: one slow request makes all of them unavailable",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#max_fails",
    check=_r401,
)
R402 = Rule(
    id="R402",
    slug="post-sent-twice",
    severity=Severity.WARNING,
    summary="non_idempotent lets nginx send a POST again",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream",
    check=_r402,
)
R403 = Rule(
    id="R403",
    slug="attempts-unlimited",
    severity=Severity.INFO,
    summary="several peers, and neither the number nor the time of attempts is limited",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream_tries",
    check=_r403,
)
R404 = Rule(
    id="R404",
    slug="no-second-attempt",
    severity=Severity.WARNING,
    summary="proxy_next_upstream off where a retry is safe and helps",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream",
    check=_r404,
)
RULES = (R401, R402, R403, R404)
