"""What nginx applies at each place: the nearest level that sets a value wins, and a set of headers is replaced whole.

Checked against real nginx in tests/doctor/test_nginx_effective.py. https://nginx.org/en/docs/http/ngx_http_proxy_module.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from no502.doctor.model import Fact, Origin, Source, Version
from no502.doctor.readers.nginx.syntax import Directive
from no502.doctor.readers.nginx.values import is_template, parse_flag, parse_int, parse_size, parse_time
from no502.nginx.versions import POOL_BY_DEFAULT, THOUSAND_REQUESTS, directive

__all__ = ["SCALARS", "Level", "default_headers", "default_of", "default_origin", "default_settings", "fact_of"]

_Parser = Callable[[Sequence[str]], Any]


def _one(parse: Callable[[str], Any]) -> _Parser:
    return lambda args: parse(args[0]) if args else None


def _words(args: Sequence[str]) -> tuple[str, ...] | None:
    return tuple(args) or None


def _buffers(args: Sequence[str]) -> tuple[int, int] | None:
    if len(args) < 2:
        return None
    count, size = parse_int(args[0]), parse_size(args[1])
    return None if count is None or size is None else (count, size)


SCALARS: Mapping[str, _Parser] = {
    "proxy_connect_timeout": _one(parse_time),
    "proxy_send_timeout": _one(parse_time),
    "proxy_read_timeout": _one(parse_time),
    "proxy_http_version": _one(str),
    "proxy_next_upstream": _words,
    "proxy_next_upstream_tries": _one(parse_int),
    "proxy_next_upstream_timeout": _one(parse_time),
    "proxy_buffer_size": _one(parse_size),
    "proxy_buffers": _buffers,
    "proxy_busy_buffers_size": _one(parse_size),
    "proxy_buffering": _one(parse_flag),
    "proxy_request_buffering": _one(parse_flag),
    "proxy_ignore_client_abort": _one(parse_flag),
    "proxy_intercept_errors": _one(parse_flag),
    "proxy_socket_keepalive": _one(parse_flag),
    "client_max_body_size": _one(parse_size),
    "client_body_timeout": _one(parse_time),
    "client_header_timeout": _one(parse_time),
    "send_timeout": _one(parse_time),
    "keepalive_timeout": _one(parse_time),
    "keepalive_requests": _one(parse_int),
    "resolver": _words,
    "resolver_timeout": _one(parse_time),
}
"""Directives of one value, and how it is read."""

_BY_VERSION = {"proxy_http_version", "keepalive_requests"}
"""Those whose default depends on the version."""


@cache
def default_of(name: str) -> Any:
    """Return nginx's default of one of ``SCALARS``; None: there is none, or it depends on the version."""
    # 4k|8k: by the size of a memory page.
    words = [word.partition("|")[0] for word in directive(name, "server").default.split()]
    return None if name in _BY_VERSION or not words else SCALARS[name](words)


def fact_of(one: Directive) -> Fact[Any]:
    """Return the value of a scalar directive, unknown where a template or variable decides it."""
    origin = Origin(file=one.file, line=one.line)
    if any(is_template(argument) for argument in one.args):
        return Fact(None, replace(origin, source=Source.TEMPLATE, note="template value"))
    parse = SCALARS[one.name]
    if any("$" in argument for argument in one.args):
        return Fact(None, replace(origin, source=Source.UNKNOWN, note="variable"))
    value = parse(one.args)
    if value is None:
        return Fact(None, replace(origin, source=Source.UNKNOWN, note=f"not a value of {one.name}"))
    return Fact(value, origin)


@dataclass(frozen=True)
class Level:
    """What is in force at one place of the configuration, inherited values included."""

    settings: Mapping[str, Fact[Any]] = field(default_factory=dict)
    headers: Mapping[str, Fact[str]] = field(default_factory=dict)
    dropped: Mapping[str, Fact[str]] = field(default_factory=dict)
    """Headers of outer levels that the nearest level with headers has replaced."""
    variables: Mapping[str, str | None] = field(default_factory=dict)
    """``set $name constant``; None: set to something that is no constant."""

    def enter(self, block: Sequence[Directive]) -> Level:
        """Return the level inside a block."""
        settings, headers = dict(self.settings), {}
        here: set[str] = set()
        for one in block:
            if one.name in SCALARS:
                fact = fact_of(one)
                if one.name in here and fact.value != settings[one.name].value:
                    # nginx accepts it once, so these are the sides of a template's condition.
                    unknown = replace(fact.origin, source=Source.UNKNOWN, note="set twice in the same block")
                    fact = Fact(None, unknown)
                here.add(one.name)
                settings[one.name] = fact
            elif one.name == "proxy_set_header" and one.args:
                headers[one.args[0].lower()] = _header(one)
        if "proxy_buffer_size" in here or "proxy_buffers" in here or "proxy_busy_buffers_size" not in settings:
            _busy(settings, here)
        variables = _variables(block, self.variables)
        if not headers:
            return replace(self, settings=settings, variables=variables)
        dropped = {name: fact for name, fact in {**self.dropped, **self.headers}.items() if name not in headers}
        return Level(settings=settings, headers=headers, dropped=dropped, variables=variables)


def default_settings(versions: Sequence[Version], main: Origin) -> dict[str, Fact[Any]]:
    """Return nginx's defaults; a directive that none of the versions has is left out."""
    origin = default_origin(main, versions)
    found: dict[str, Fact[Any]] = {
        name: Fact(default_of(name), origin)
        for name in SCALARS
        if default_of(name) is not None and _exists(name, versions)
    }
    texts = {"1.1" if version >= POOL_BY_DEFAULT else "1.0" for version in versions}
    found["proxy_http_version"] = Fact(texts.pop() if len(texts) == 1 else None, origin)
    requests = {1000 if version >= THOUSAND_REQUESTS else 100 for version in versions}
    found["keepalive_requests"] = Fact(requests.pop() if len(requests) == 1 else None, origin)
    return found


def _exists(name: str, versions: Sequence[Version]) -> bool:
    since = directive(name, "server").since
    return since is None or any(version >= since for version in versions)


def default_headers(versions: Sequence[Version], main: Origin) -> dict[str, Fact[str]]:
    """Return the headers that nginx sends unless they are set: Host, and Connection before 1.29.7."""
    found: dict[str, Fact[str]] = {"host": Fact("$proxy_host", default_origin(main, versions))}
    texts = {"" if version >= POOL_BY_DEFAULT else "close" for version in versions}
    found["connection"] = Fact(texts.pop() if len(texts) == 1 else None, default_origin(main, versions))
    return found


def _header(one: Directive) -> Fact[str]:
    value = one.args[1] if len(one.args) > 1 else ""
    origin = Origin(file=one.file, line=one.line)
    if is_template(value):
        return Fact(None, replace(origin, source=Source.TEMPLATE, note="template value"))
    return Fact(value, origin)


def default_origin(main: Origin, versions: Sequence[Version]) -> Origin:
    """Return where a default comes from: the versions, for people."""
    named = " or ".join(".".join(map(str, version)) for version in versions)
    return Origin(file=main.file, line=None, source=Source.DEFAULT, note=f"default of nginx {named}")


def _variables(block: Sequence[Directive], outer: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Return the variables that ``set`` gives a constant; None for those with several or computed values."""
    values: dict[str, set[str | None]] = {}
    for one in _sets(block):
        text = one.args[1]
        for name in re.findall(r"\$\{?(\w+)\}?", text):
            known = outer.get(f"${name}")
            if known is not None:
                text = re.sub(rf"\$\{{{name}\}}|\${name}\b", known.replace("\\", r"\\"), text)
        values.setdefault(one.args[0], set()).add(None if "$" in text else text)
    if not values:
        return outer
    return {**outer, **{name: found.pop() if len(found) == 1 else None for name, found in values.items()}}


def _sets(block: Sequence[Directive]) -> Iterator[Directive]:
    for one in block:
        if one.name == "set" and len(one.args) == 2:
            yield one
        elif one.name == "if":
            yield from _sets(one.block or ())


def _busy(settings: dict[str, Fact[Any]], here: set[str]) -> None:
    """Compute what nginx does for ``proxy_busy_buffers_size`` where it is not set: twice the larger buffer."""
    written = settings.get("proxy_busy_buffers_size")
    if "proxy_busy_buffers_size" in here or (written is not None and written.origin.source is not Source.DEFAULT):
        return
    facts: list[Fact[Any] | None] = [settings.get(name) for name in ("proxy_buffer_size", "proxy_buffers")]
    origin = next((fact.origin for fact in facts if fact is not None), None)
    if origin is None:
        return
    if any(fact is not None and not fact.known for fact in facts):
        settings["proxy_busy_buffers_size"] = Fact(
            None, replace(origin, source=Source.UNKNOWN, note="from the buffers")
        )
        return
    one: int = default_of("proxy_buffer_size") if facts[0] is None else facts[0].value or 0
    _, many = default_of("proxy_buffers") if facts[1] is None else facts[1].value or (0, 0)
    note = "twice the larger of proxy_buffer_size and one of proxy_buffers"
    settings["proxy_busy_buffers_size"] = Fact(2 * max(one, many), replace(origin, source=Source.DEFAULT, note=note))
