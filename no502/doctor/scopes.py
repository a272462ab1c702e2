"""What a rule can be about: each kind of subject, and how a deployment is taken apart into them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from no502.doctor.facts import name_of, value
from no502.doctor.links import Link, links, targets
from no502.doctor.model import (
    Address,
    AppServer,
    Deployment,
    Location,
    NginxConfig,
    Origin,
    Problem,
    Service,
    UpstreamServer,
)

__all__ = ["Process", "Proxied", "Target", "line_of", "subjects"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """An address to which an nginx connects, once for each nginx."""

    location: Location
    """The first that names it."""
    peer: UpstreamServer
    address: Address
    server: AppServer | None
    """What answers there; None where no file says."""


@dataclass(frozen=True, kw_only=True)
class Proxied:
    """A service behind nginx."""

    service: Service
    name: str
    """Of the server that it runs."""
    fronts: Sequence[Service]
    """What runs the nginx in front of it."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """A server with what runs it; services of one kind that share a command line count once."""

    server: AppServer
    service: Service
    names: str
    """Of all the services that share the command line."""


def _processes(deployment: Deployment) -> Iterator[Process]:
    run = [(server, service) for server in deployment.servers if (service := deployment.runner(server)) is not None]
    names: dict[tuple[Hashable, ...], dict[str, None]] = {}
    for server, service in run:
        names.setdefault((server.origin, server.program, service.kind), {})[service.name] = None
    seen: set[tuple[Hashable, ...]] = set()
    for server, service in run:
        grace = str(value(service.settings.stop_grace))
        key = (*line_of(server.origin), server.program, service.kind, grace)
        if value(server.settings.reload) is True or (server.origin.line is not None and key in seen):
            continue
        seen.add(key)
        shared = names[server.origin, server.program, service.kind]
        yield Process(server=server, service=service, names=", ".join(shared))


def _targets(deployment: Deployment) -> Iterator[Target]:
    answering = {id(link.peer): link.server for link in links(deployment)}
    seen: set[tuple[int, str]] = set()
    for location, _upstream, peer, address in targets(deployment):
        key = id(location.config), str(address)
        if key not in seen:
            seen.add(key)
            yield Target(location=location, peer=peer, address=address, server=answering.get(id(peer)))


def _proxied(deployment: Deployment) -> Iterator[Proxied]:
    found: dict[str, tuple[Service, str, list[Service]]] = {}
    for link in links(deployment):
        service, nginx = deployment.runner(link.server), deployment.runner(link.nginx)
        if service is None:
            continue
        entry = found.setdefault(service.name, (service, name_of(link.server), []))
        if nginx is not None and nginx not in entry[2]:
            entry[2].append(nginx)
    for service, name, fronts in found.values():
        yield Proxied(service=service, name=name, fronts=fronts)


_SUBJECTS: Mapping[type[Any], Callable[[Deployment], Iterable[Any]]] = {
    Deployment: lambda deployment: [deployment],
    Link: links,
    AppServer: lambda deployment: deployment.servers,
    Service: lambda deployment: deployment.services,
    NginxConfig: lambda deployment: deployment.nginx,
    Location: lambda deployment: [location for nginx in deployment.nginx for location in nginx.locations],
    Problem: lambda deployment: deployment.problems,
    Process: _processes,
    Target: _targets,
    Proxied: _proxied,
}


def subjects(deployment: Deployment, kind: type[Any]) -> Iterable[Any]:
    """Return the parts of a deployment of one kind, in the order of its files.

    Args:
        deployment: What the readers found.
        kind: ``Deployment`` (itself), ``Link`` (a location and the server that answers it), ``AppServer``,
            ``Process`` (a server and what runs it), ``Service``, ``Proxied`` (a service behind nginx),
            ``NginxConfig``, ``Location``, ``Target`` (an address, once for each nginx) or ``Problem`` (what a reader
            reports).
    """
    return _SUBJECTS[kind](deployment)


def line_of(origin: Origin) -> tuple[str, int | None]:
    """Return file and line of an origin: what several locations inherit stands in one line."""
    return origin.file, origin.line
