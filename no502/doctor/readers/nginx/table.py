"""What nginx knows of its directives, read from nginx 1.22.1 and 1.31.3 by ``scripts/nginx_directives.py``."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from no502 import near

__all__ = ["Form", "closest", "forms"]

_CUTOFF = 0.88
_THIRD_PARTY = (
    *("auth_", "brotli", "check", "echo", "fair", "geoip", "headers_", "js_", "lua_", "modsecurity", "more_", "nchan_"),
    *("otel_", "opentracing", "pagespeed", "passenger", "proxy_connect", "proxy_cache_purge", "push_", "redis", "rtmp"),
    *("set_", "srcache_", "ssl_ct", "sub", "upload_", "upstream_", "vhost_traffic", "zstd", "xslt_", "perl", "image_"),
    *("status", "sticky", "dav_", "limit_upload", "req_", "session_", "sysguard", "init_", "access_by", "content_by"),
)
"""Beginnings of the names of modules that nginx itself does not bring: never taken for a misspelling."""


@dataclass(frozen=True)
class Form:
    """One way in which a directive may be written."""

    contexts: frozenset[str]
    arguments: frozenset[str]
    """Numbers, ``1+`` and the like, or ``flag``."""
    block: bool

    def takes(self, count: int) -> bool:
        """Whether it may have that many arguments."""
        return any(
            count >= int(one[0]) if one.endswith("+") else count == (1 if one == "flag" else int(one))
            for one in self.arguments
        )


@functools.cache
def _table() -> Mapping[str, Sequence[Form]]:
    found: dict[str, list[Form]] = {}
    text = resources.files("no502.doctor.readers.nginx").joinpath("directives.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        name, contexts, arguments, *block = line.split(" ")
        form = Form(frozenset(contexts.split(",")), frozenset(arguments.split(",")), bool(block))
        found.setdefault(name, []).append(form)
    return found


def forms(name: str) -> Sequence[Form]:
    """Return how a directive may be written; nothing for one that nginx's own modules do not have."""
    return _table().get(name, ())


@functools.cache
def closest(name: str) -> str | None:
    """Return the directive that a name which nginx does not have was meant to be, if it is nearly the same."""
    if name.startswith(_THIRD_PARTY) or name in _table():
        return None
    return near.closest(name, _table(), cutoff=_CUTOFF)
