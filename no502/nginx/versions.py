"""What nginx does by default and since when: the one table of both.

``directives.tsv`` is written by ``scripts/nginx_documentation.py`` from nginx's own documentation. What has no field
there, because it is a parameter or a change of a default, is a constant here, with its link.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "HTTP2_DIRECTIVE",
    "HTTP2_TO_UPSTREAM",
    "KEEPALIVE_MIN_TIMEOUT",
    "LISTEN_QUIC",
    "OLDEST",
    "POOL_BY_DEFAULT",
    "SSL_REMOVED",
    "THOUSAND_REQUESTS",
    "UPSTREAM_RESOLVER",
    "Directive",
    "Version",
    "default_seconds",
    "directive",
    "directives",
    "dotted",
]

Version: TypeAlias = tuple[int, int, int]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Directive:
    """One entry of nginx's documentation."""

    module: str
    name: str
    contexts: Sequence[str]
    """Where it may stand, such as ``http``, ``server``, ``location``, ``upstream``."""
    default: str
    """As it is documented; empty: none."""
    since: Version | None
    """The first version that has it; None: older than the documentation."""


@cache
def directives() -> Sequence[Directive]:
    """Return the entries of the core and of the http modules that the project uses."""
    rows = files("no502.nginx").joinpath("directives.tsv").read_text(encoding="utf-8").splitlines()
    found = []
    for module, name, contexts, default, since in (row.split("\t") for row in rows):
        numbers = re.findall(r"\d+", since)
        version = (int(numbers[0]), int(numbers[1]), int(numbers[2])) if numbers else None
        found.append(Directive(module, name, contexts.split(","), default, version))
    return found


@cache
def directive(name: str, context: str = "location") -> Directive:
    """Return the documentation's entry for a directive where it stands in a context.

    Raises:
        KeyError: It has none.
    """
    for found in directives():
        if found.name == name and context in found.contexts:
            return found
    message = f"{name} in {context}"
    raise KeyError(message)


def default_seconds(name: str, context: str = "location") -> float:
    """Return a directive's default time in seconds.

    Raises:
        KeyError: There is no such directive, or its default is no time.
    """
    found = directive(name, context)
    parts = re.fullmatch(r"(\d+)(ms|s|m|h|d)", found.default)
    if parts is None:
        message = f"{name} in {context}: its default is {found.default or 'none'}"
        raise KeyError(message)
    return int(parts[1]) * _UNITS[parts[2]]


def dotted(version: Version) -> str:
    """Return a version as people write it: ``1.29.7``."""
    return ".".join(map(str, version))


OLDEST: Version = (1, 22, 0)
"""The oldest nginx that the files of ``nginx/`` are tested with: Debian 12's."""
HTTP2_DIRECTIVE: Version = (1, 25, 1)
"""``http2 on``; before it is a parameter of ``listen``."""
LISTEN_QUIC: Version = (1, 25, 0)
"""``listen ... quic``. https://nginx.org/en/docs/http/ngx_http_core_module.html#listen"""
SSL_REMOVED: Version = (1, 25, 1)
"""The first version without ``ssl on``. https://nginx.org/en/CHANGES"""
UPSTREAM_RESOLVER: Version = (1, 27, 3)
"""``resolver`` in ``upstream`` and ``server NAME resolve``."""
KEEPALIVE_MIN_TIMEOUT: Version = (1, 27, 4)
HTTP2_TO_UPSTREAM: Version = (1, 29, 4)
"""``proxy_http_version 2``. https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_http_version"""
POOL_BY_DEFAULT: Version = (1, 29, 7)
"""``keepalive 32 local``, ``proxy_http_version 1.1`` and an empty ``Connection`` header without being written.
https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive"""
THOUSAND_REQUESTS: Version = (1, 19, 10)
"""``keepalive_requests 1000``, in ``upstream`` and towards clients; before it is 100. It brought ``keepalive_time``.
https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_requests"""
