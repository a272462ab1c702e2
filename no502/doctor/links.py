"""Who serves what nginx passes on: the pairs that the rules compare."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from no502.doctor.facts import CONTAINERS, in_container, value
from no502.doctor.finding import Confidence
from no502.doctor.model import (
    Address,
    AppServer,
    Deployment,
    Gap,
    Location,
    NginxConfig,
    NotChecked,
    Proxy,
    ProxyTarget,
    Service,
    ServiceKind,
    Source,
    Upstream,
    UpstreamServer,
)

__all__ = [
    "Link",
    "binds_of",
    "candidates",
    "inside_port",
    "is_loopback",
    "links",
    "proxied",
    "same_socket",
    "services_at",
    "targets",
    "unlinked",
]

_NAMED = {ServiceKind.COMPOSE, ServiceKind.DOCKERFILE}
_APART = {ServiceKind.COMPOSE, ServiceKind.KUBERNETES}
_LOOPBACK = {"localhost", "::1", "0.0.0.0"}  # noqa: S104 nginx connects to itself there


@dataclass(frozen=True, kw_only=True)
class Link:
    """A location of nginx and the application server that answers it."""

    nginx: NginxConfig
    location: Location
    upstream: Upstream
    peer: UpstreamServer
    server: AppServer
    confidence: Confidence = Confidence.CERTAIN
    reaches: bool = True
    """The server listens on the address; else it is the only one that can be meant."""


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine itself."""
    return host is not None and (host in _LOOPBACK or host.startswith("127."))


def binds_of(server: AppServer) -> Sequence[Address] | None:
    """Return where a server listens, or None if any part of that is not known."""
    found = value(server.settings.bind)
    if found is None or any(a.socket is None and a.port is None for a in found):
        return None
    return tuple(found)


def targets(deployment: Deployment) -> Iterator[tuple[Location, Upstream, UpstreamServer, Address]]:
    """Yield every address that a location passes requests to, as far as it is known."""
    for nginx in deployment.nginx:
        for location in nginx.locations:
            if location.upstream is None:
                continue
            for peer in location.upstream.servers:
                address = peer.address.value
                if peer.address.known and address is not None:
                    yield location, location.upstream, peer, address


def candidates(deployment: Deployment, nginx: NginxConfig, address: Address) -> list[AppServer] | None:
    """Return the servers behind an address's host, whatever their port; None if the files do not tell whose it is."""
    here = deployment.runner(nginx)
    if address.socket is not None:
        return [s for s in deployment.servers if any(same_socket(deployment, nginx, s, address, b) for b in _known(s))]
    if is_loopback(address.host):
        return [s for s in deployment.servers if _same_network(here, deployment.runner(s))]
    services = services_at(deployment, address.host or "", here.kind if here is not None else None)
    if services:
        return [s for s in deployment.servers if any(deployment.runner(s) is service for service in services)]
    return None


def services_at(deployment: Deployment, host: str, near: ServiceKind | None = None) -> list[Service]:
    """Return the containers that a host name reaches: those of that name, else those of that alias.

    A unit of systemd has no name in DNS, and a container of a pod only that of its Service. ``tasks.NAME`` are the
    tasks of Swarm's service NAME.

    Args:
        deployment: All containers.
        host: The name, in lower case.
        near: What runs the program that looks the name up: a pod does not reach Compose's containers by their
            names, nor the other way round. None if that is unknown.
    """
    host = host.removeprefix("tasks.")
    services = [s for s in deployment.services if near not in _APART or s.kind is near or s.kind not in _APART]
    named = [s for s in services if s.kind in _NAMED and s.name.lower() == host]
    return named or [s for s in services if s.kind in CONTAINERS and host in {a.lower() for a in s.aliases}]


def _known(server: AppServer) -> Sequence[Address]:
    return binds_of(server) or ()


def _same_network(one: Service | None, other: Service | None) -> bool:
    if not in_container(one) and not in_container(other):
        return True
    if one is None or other is None:
        return False
    if one is other or one.name == other.name:
        return True
    modes = {str(value(one.settings.network_mode)), str(value(other.settings.network_mode))}
    if f"service:{one.name}" in modes or f"service:{other.name}" in modes:
        return True
    pods = [value(s.settings.pod) for s in (one, other)]
    return pods[0] is not None and pods[0] == pods[1]


def same_socket(deployment: Deployment, nginx: NginxConfig, server: AppServer, one: Address, other: Address) -> bool:
    """Whether nginx's unix path and a server's are the same file, through the volumes of both."""
    if one.socket is None or other.socket is None:
        return False
    left = _on_volume(deployment.runner(nginx), one.socket)
    right = _on_volume(deployment.runner(server), other.socket)
    return left == right


def _on_volume(service: Service | None, path: str) -> tuple[str, str]:
    """Return the volume and the path on it: equal for the same file of two containers, however it is written."""
    path = posixpath.normpath(path)
    if service is None or not in_container(service):
        return "", path
    best: tuple[int, tuple[str, str]] | None = None
    for source, target in service.volumes:
        root = posixpath.normpath(target).rstrip("/")
        if path.startswith(root + "/") and source.known and (best is None or len(root) > best[0]):
            name, rest = str(source.value).rstrip("/"), path[len(root) :]
            best = len(root), ("", name + rest) if name.startswith("/") else (name, rest)
    return best[1] if best else (f"container {service.name}", path)


@lru_cache(maxsize=4)
def links(deployment: Deployment) -> tuple[Link, ...]:
    """Return every pair, in nginx's order."""
    found: list[Link] = []
    for location, upstream, peer, address in targets(deployment):
        nginx = location.config
        certain = candidates(deployment, nginx, address)
        servers = [s for s in certain or () if _answers(deployment, nginx, s, address)]
        confidence = Confidence.CERTAIN
        if not servers and not certain:
            servers, confidence = _likely(deployment, nginx, address, resolved=certain is not None), Confidence.LIKELY
        reaches = bool(servers)
        if not servers and certain and _only_in_pod(deployment, nginx, address, certain):
            servers, confidence = list(certain), Confidence.LIKELY
        found += [
            Link(
                nginx=nginx,
                location=location,
                upstream=upstream,
                peer=peer,
                server=s,
                confidence=Confidence.LIKELY if s.likely else confidence,
                reaches=reaches,
            )
            for s in servers
        ]
    return tuple(found)


def _only_in_pod(deployment: Deployment, nginx: NginxConfig, address: Address, servers: Sequence[AppServer]) -> bool:
    """Whether a loopback address in a pod can only be meant for its one server, whatever port that has."""
    here = deployment.runner(nginx)
    pod = value(here.settings.pod) if here is not None else None
    if pod is None or not is_loopback(address.host) or len(servers) != 1:
        return False
    beside = [one for one in deployment.services if value(one.settings.pod) == pod]
    return len(beside) == 2 and binds_of(servers[0]) is not None


def _answers(deployment: Deployment, nginx: NginxConfig, server: AppServer, address: Address) -> bool:
    binds = binds_of(server)
    if binds is None:
        return address.socket is None and _only_one(deployment, server)
    if address.socket is not None:
        return any(same_socket(deployment, nginx, server, address, bind) for bind in binds)
    port = inside_port(deployment, server, address)
    return any(bind.socket is None and bind.port == port for bind in binds)


def inside_port(deployment: Deployment, server: AppServer, address: Address) -> int | None:
    """Return the container's port behind an address: a Kubernetes Service's port is not its targetPort."""
    service = deployment.runner(server)
    ports = value(service.settings.service_ports) if service is not None else None
    for host, port, inside in ports or ():
        if host == address.host and port == address.port:
            return inside if isinstance(inside, int) else None
    return address.port


def _only_one(deployment: Deployment, server: AppServer) -> bool:
    """Whether nothing else could be meant: the service runs one server."""
    return sum(s.service == server.service for s in deployment.servers) == 1


def _likely(deployment: Deployment, nginx: NginxConfig, address: Address, *, resolved: bool) -> list[AppServer]:
    """Return the only server of the deployment where a host is not among the files but the port is that server's."""
    if len(deployment.servers) == 1 and (not resolved or is_loopback(address.host) or address.socket is not None):
        (server,) = deployment.servers
        service = deployment.runner(server)
        apart = in_container(deployment.runner(nginx))
        elsewhere = service is not None and service.kind is not ServiceKind.DOCKERFILE
        if _in_the_image(deployment.runner(nginx), service) and is_loopback(address.host):
            elsewhere = apart = False
        if address.socket is not None:
            return (
                [server]
                if not apart
                and any(
                    _on_volume(None, bind.socket or "") == _on_volume(None, address.socket) for bind in _known(server)
                )
                else []
            )
        if not elsewhere and not (apart and is_loopback(address.host)):
            return [server] if any(bind.port == address.port is not None for bind in _known(server)) else []
    return _published(deployment, deployment.runner(nginx), address)


def _in_the_image(nginx: Service | None, program: Service | None) -> bool:
    """Whether a program of supervisord, which no container is seen to start, runs in the image of nginx."""
    if nginx is None or program is None:
        return False
    return nginx.kind is ServiceKind.DOCKERFILE and program.kind is ServiceKind.SUPERVISOR


def _published(deployment: Deployment, here: Service | None, address: Address) -> list[AppServer]:
    """Return the servers whose container publishes the port to which a proxy on the host connects."""
    if not is_loopback(address.host) or in_container(here):
        return []
    found = []
    for server in deployment.servers:
        service = deployment.runner(server)
        ports = value(service.settings.published) if service is not None else None
        inside = dict(ports or ()).get(address.port) if address.port is not None else None
        if inside is not None and any(bind.port == inside for bind in _known(server)):
            found.append(server)
    return found


def proxied(deployment: Deployment) -> Iterator[tuple[Proxy, ProxyTarget, list[AppServer]]]:
    """Yield what each proxy other than nginx connects to, with the servers behind the address's host."""
    for proxy in deployment.proxies:
        for target in proxy.targets:
            address = target.address.value
            if address is None or not target.address.known or address.host is None:
                continue
            services = services_at(deployment, address.host, proxy.kind)
            servers = [s for s in deployment.servers if any(deployment.runner(s) is service for service in services)]
            if is_loopback(address.host):
                servers = [s for s in deployment.servers if _same_network(proxy.service, deployment.runner(s))]
                servers = servers or _published(deployment, proxy.service, address)
            yield proxy, target, servers


def unlinked(deployment: Deployment) -> Iterator[NotChecked]:
    """Yield what nginx passes requests to and no file here serves, once per address."""
    linked = {id(link.peer) for link in links(deployment)}
    seen: set[str] = set()
    for _location, _upstream, peer, address in targets(deployment):
        name = str(address)
        if id(peer) in linked or name in seen:
            continue
        seen.add(name)
        yield NotChecked(
            what=f"the application at {name}",
            why="no gunicorn or uvicorn in these files listens there",
            origin=peer.origin,
            kind=Gap.SERVER,
        )
    for nginx in deployment.nginx:
        for location in nginx.locations:
            pass_to = location.proxy_pass
            if location.upstream is None and pass_to.origin.source is Source.WRITTEN and str(pass_to.value) not in seen:
                seen.add(str(pass_to.value))
                yield NotChecked(
                    what=f"the target of proxy_pass {pass_to.value}",
                    why="a variable determines it for each request",
                    origin=pass_to.origin,
                )
