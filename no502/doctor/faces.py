"""What is directly in front of each server when that is not an nginx of these files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from no502.doctor.links import links, proxied
from no502.doctor.model import AppServer, Deployment, Origin, Source

__all__ = ["Times", "directly_behind"]


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long a front proxy waits, in seconds; None where that is not known or has no limit."""

    read: float | None
    """For a response."""
    idle: float | None
    """Before it closes an idle connection itself."""


def directly_behind(deployment: Deployment) -> Iterator[tuple[AppServer, str, Times, Origin, str]]:
    """Yield each server with the front proxy directly before it: its name, its times, where they come from and a note.

    ``--front`` is that proxy where no nginx among the files passes requests to the server.
    """
    linked = {id(link.server) for link in links(deployment)}
    front = deployment.front
    if front is not None:
        times = Times(read=front.read, idle=front.idle)
        for server in deployment.servers:
            if id(server) not in linked:
                yield server, front.name, times, front.origin, front.note
        return
    seen: set[int] = set()
    for proxy, target, servers in proxied(deployment):
        for server in servers:
            if id(server) not in linked and id(server) not in seen:
                seen.add(id(server))
                times = Times(read=(target.read or proxy.read).value, idle=(target.idle or proxy.idle).value)
                own = target.idle or target.read
                written = own is not None and own.origin.source is Source.WRITTEN
                origin = own.origin if own is not None and written else proxy.origin
                yield server, proxy.name, times, origin, f"{proxy.name} is in front of it"
