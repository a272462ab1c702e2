"""A109: names that nginx has to look up while it runs, and nothing to look them up with."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from no502.doctor.facts import CONTAINERS
from no502.doctor.finding import Confidence, Finding, Severity
from no502.doctor.model import Address, Deployment, Location, NginxConfig, Origin, Upstream, UpstreamServer
from no502.doctor.registry import rule
from no502.messages.quoted import logs
from no502.nginx.versions import UPSTREAM_RESOLVER

__all__ = []


@rule(
    "A109",
    "no-resolver-defined",
    Severity.ERROR,
    "no resolver defined to resolve a host name: proxy_pass contains a variable, or server has resolve",
    source="https://nginx.org/en/docs/http/ngx_http_core_module.html#resolver",
    per=NginxConfig,
)
def _no_resolver_defined(nginx: NginxConfig, deployment: Deployment) -> Iterator[Finding]:
    seen: set[Origin] = set()
    for location in nginx.locations:
        upstream = location.upstream
        if upstream is None or location.settings.resolver is not None:
            continue
        for peer in _looked_up(upstream, nginx):
            if peer.origin in seen or (not upstream.explicit and _is_known(peer, nginx)):
                continue
            seen.add(peer.origin)
            yield _finding(location, upstream, peer, deployment)


def _looked_up(upstream: Upstream, nginx: NginxConfig) -> Sequence[UpstreamServer]:
    """Return the peers of an upstream whose names nginx looks up while it runs."""
    known = upstream.explicit and (
        upstream.settings.resolver is not None or any(version < UPSTREAM_RESOLVER for version in nginx.versions)
    )
    return [] if known else [peer for peer in upstream.servers if "resolve" in peer.parameters and _has_name(peer)]


def _has_name(peer: UpstreamServer) -> bool:
    host = peer.address.value.host if peer.address.value is not None else None
    if host is None:
        return False
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True
    return False


def _is_known(peer: UpstreamServer, nginx: NginxConfig) -> bool:
    """Whether another proxy_pass names the same address without a variable: nginx then uses that one's."""
    static: list[Address | None] = [
        other.address.value
        for location in nginx.locations
        if location.upstream is not None and not location.upstream.explicit
        for other in location.upstream.servers
        if "resolve" not in other.parameters
    ]
    return peer.address.value in static


def _finding(location: Location, upstream: Upstream, peer: UpstreamServer, deployment: Deployment) -> Finding:
    nginx = location.config
    runner = deployment.runner(nginx)
    contained = runner is not None and runner.kind in CONTAINERS
    sure = contained or nginx.main.worker_connections is not None  # its http{} is among the files
    host = peer.address.value.host if peer.address.value is not None else ""
    server = (
        "127.0.0.11 in Docker, kube-dns.kube-system.svc.cluster.local in Kubernetes, 127.0.0.53 with systemd-resolved"
    )
    message = (
        f"server {host} has resolve in upstream {upstream.name}, and neither upstream{{}} nor http{{}} sets a resolver"
        if upstream.explicit
        else f"proxy_pass {location.proxy_pass.value} contains a variable, so nginx looks {host} up for each request, "
        "and no resolver is set"
    )
    consequence = (
        'nginx does not start: "no resolver defined to resolve names at run time"'
        if upstream.explicit
        else f"every request gets 502; {logs('no-resolver-defined-to-resolve').replace('...', host or 'names')}"
    )
    return _no_resolver_defined.finding(
        message,
        peer.origin,
        severity=Severity.ERROR if sure else Severity.WARNING,
        confidence=Confidence.CERTAIN if sure else Confidence.LIKELY,
        consequence=consequence,
        fix=f"Set `resolver ADDRESS valid=5s;` in http{{}} ({server}).",
    )
