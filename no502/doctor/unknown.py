"""What the rules would have compared, had its value been known."""

from __future__ import annotations

from collections.abc import Iterator

from no502.doctor.facts import hands_over, name_of, number
from no502.doctor.links import links
from no502.doctor.model import Deployment, Gap, NotChecked, Source
from no502.doctor.settings import Facts

__all__ = ["unknown"]

_OF_SERVER = ("bind", "timeout", "graceful_timeout", "keepalive", "worker_class", "max_requests", "forwarded_allow_ips")
_OF_RECYCLING = ("workers", "max_requests_jitter")
_OF_LOCATION = ("proxy_read_timeout", "proxy_connect_timeout", "proxy_next_upstream", "proxy_http_version")
_OF_UPSTREAM = ("keepalive", "keepalive_timeout")
_OF_SERVICE = ("stop_grace",)


def _undecided(facts: Facts, names: tuple[str, ...], whose: str, kind: Gap = Gap.SETTING) -> Iterator[NotChecked]:
    for name in names:
        fact = facts.fact(name)
        if fact is None or fact.origin.source not in {Source.TEMPLATE, Source.UNKNOWN}:
            continue
        why = fact.origin.note or (
            "a placeholder without a value" if fact.origin.source is Source.TEMPLATE else "it is computed at run time"
        )
        yield NotChecked(what=f"{name} of {whose}", why=why, origin=fact.origin, kind=kind, name=name, whose=whose)


def unknown(deployment: Deployment) -> Iterator[NotChecked]:
    """Yield each value that a rule needed and that the files do not give."""
    yield from _servers(deployment)
    yield from _nginx(deployment)
    for link in links(deployment):
        header = link.location.headers.get("connection")
        ordinary = link.location.ordinary_connection
        if link.upstream.explicit and ordinary is None and header is not None and "$" in (header.value or ""):
            yield NotChecked(
                what=f"whether nginx reuses connections at location {link.location.path}",
                why=f"a variable determines the Connection header ({header.value})",
                origin=header.origin,
            )


def _nginx(deployment: Deployment) -> Iterator[NotChecked]:
    for nginx in deployment.nginx:
        for location in nginx.locations:
            yield from _undecided(location.settings, _OF_LOCATION, f"location {location.path}", Gap.DIRECTIVE)
            for peer in location.upstream.servers if location.upstream is not None else ():
                if not peer.address.known:
                    yield NotChecked(
                        what=f"the address to which nginx connects at location {location.path}",
                        why=peer.address.origin.note or "a placeholder without a value",
                        origin=peer.address.origin,
                        kind=Gap.TARGET,
                        name=location.path,
                    )
        for block in nginx.upstreams:
            yield from _undecided(block.settings, _OF_UPSTREAM, f"upstream {block.name}")


def _servers(deployment: Deployment) -> Iterator[NotChecked]:
    for server in deployment.servers:
        yield from _undecided(server.settings, _OF_SERVER, name_of(server))
        if number(server.settings.max_requests) and not hands_over(server):
            yield from _undecided(server.settings, _OF_RECYCLING, name_of(server))
        if not server.command.known and server.command.origin.source is Source.UNKNOWN:
            yield NotChecked(
                what=f"the command line of {name_of(server)}",
                why=server.command.origin.note or "it is computed at run time",
                origin=server.command.origin,
            )
    for service in deployment.services:
        if any(server.service == service.name for server in deployment.servers):
            yield from _undecided(service.settings, _OF_SERVICE, service.name)
