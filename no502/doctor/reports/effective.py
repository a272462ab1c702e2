"""``--show effective``: what nginx applies at each location that passes requests on, and from where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from no502.doctor.model import Address, Deployment, Fact, Location, Source

__all__ = ["effective"]


def effective(deployment: Deployment, path: str | None = None) -> str:
    """Return the values in force at every location, or at the one that is written as ``path``."""
    lines: list[str] = []
    for nginx in deployment.nginx:
        for location in nginx.locations:
            if path is None or location.path == path:
                lines += [*_location(location), ""]
    return "\n".join(lines)


def _location(location: Location) -> Iterator[str]:
    names = ", ".join(location.server_names) or "every host"
    yield f"location {location.path} of {names}, {location.origin}"
    yield from _rows({"proxy_pass": location.proxy_pass})
    yield from _rows(location.settings)
    yield from _rows({f"header {name}": fact for name, fact in location.headers.items()})
    yield from _rows({f"not inherited {name}": fact for name, fact in location.dropped_headers.items()})
    if location.upstream is not None and location.upstream.explicit:
        yield from _rows({f"upstream {name}": fact for name, fact in location.upstream.settings.items()})


def _rows(facts: Mapping[str, Fact[Any]]) -> Iterator[str]:
    for name, fact in sorted(facts.items()):
        known = "-" if fact.value is None and fact.known else _text(fact.value) if fact.known else "not known"
        place = fact.origin.note or "default" if fact.origin.source is Source.DEFAULT else str(fact.origin)
        yield f"    {name:32} {known:24} {place}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, (tuple, list)):
        return " ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else f'"{value}"' if not str(value) else str(value)
