"""``no502 doctor --show effective``: what nginx really applies at every location that proxies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from no502.doctor.model import Deployment, Fact, Location, NginxConfig, Source, Upstream
from no502.doctor.secrets import mask, printable

__all__ = ["show_effective"]

_WIDTH = 28
_SECRET = re.compile(r"auth(?!ority)|token|secret|key|cookie|password|credential|signature")
_TIMES = ("timeout", "keepalive_time")
_SIZES = ("size",)


def show_effective(deployment: Deployment, location: str | None = None) -> str:
    """Return the values in force as text, each with where it comes from.

    Args:
        deployment: What the readers found.
        location: Show only locations of this path: ``/api``, ``~ ^/api`` or ``@name`` as written.
    """
    parts = [part for config in deployment.nginx for part in _config(config, location)]
    if not parts:
        known = sorted({one.path for config in deployment.nginx for one in config.locations})
        where = f"no location {location} proxies requests" if location else "no location proxies requests"
        return printable(f"{where}; those that do: {', '.join(known)}" if known else where) + "\n"
    return "\n".join(parts)


def _config(config: NginxConfig, wanted: str | None) -> Iterator[str]:
    """Yield the lines of each location; what a name holds, a newline as well, begins no line of its own."""
    for one in config.locations:
        if wanted in {None, one.path, one.path.rpartition(" ")[2]}:
            yield "\n".join(printable(mask(line)) for line in _location(one)) + "\n"


def _location(one: Location) -> Iterator[str]:
    names = " ".join(one.server_names)
    yield f"{one.origin}: location {one.path}{f' of {names}' if names else ''}"
    yield _row("proxy_pass", one.proxy_pass)
    if one.upstream is not None:
        yield from _upstream(one.upstream)
    elif one.proxy_pass.value is not None:
        yield f"  {'upstream':<{_WIDTH}} unknown: a variable determines it"
    yield from _settings(one.settings.named())
    for name, fact in sorted(one.headers.items()):
        yield _row(f"header {name}", fact, '""' if fact.value == "" else _hidden(name, fact.value))
    for name, fact in sorted(one.dropped_headers.items()):
        yield f"  {f'header {name}':<{_WIDTH}} not sent: this level's proxy_set_header replace {fact.origin}"


def _hidden(name: str, text: str | None) -> str | None:
    """Return stars for a header that carries a secret; nginx's variables are none."""
    secret = _SECRET.search(name) is not None and text is not None
    return "***" if secret and not re.fullmatch(r"(?:\w+ )?\$\w+", text or "") else None


def _upstream(one: Upstream) -> Iterator[str]:
    block = f"upstream {one.name}, {one.origin}" if one.explicit else "no upstream block: nginx keeps no connections"
    yield f"  {'upstream':<{_WIDTH}} {block}"
    for server in one.servers:
        flags = " ".join(name if value == "" else f"{name}={value}" for name, value in server.parameters.items())
        yield _row("  server", server.address, f"{server.address.value or server.address.origin.note} {flags}".rstrip())
    if one.explicit:
        yield from _settings(one.settings.named(), "  ")


def _settings(settings: Mapping[str, Fact[Any]], indent: str = "") -> Iterator[str]:
    for name, fact in sorted(settings.items()):
        yield _row(indent + name, fact, _value(name, fact.value))


def _row(name: str, fact: Fact[Any], text: str | None = None) -> str:
    if fact.value is None and fact.origin.source is Source.TEMPLATE:
        text = "a template's value"
    elif fact.value is None:
        text = "depends on the version" if fact.origin.source is Source.DEFAULT else "not known"
    elif text is None:
        text = str(fact.value)
    origin = fact.origin.note if fact.origin.source is Source.DEFAULT else str(fact.origin)
    return f"  {name:<{_WIDTH}} {text:<28} {origin}".rstrip()


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return f"{value[0]} of {_bytes(value[1])}" if name == "proxy_buffers" else " ".join(map(str, value))
    if isinstance(value, (int, float)) and name.endswith(_TIMES):
        return f"{value:g} s"
    if isinstance(value, int) and name.endswith(_SIZES):
        return _bytes(value)
    return str(value)


def _bytes(value: int) -> str:
    for size, unit in ((1024**2, "m"), (1024, "k")):
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)
