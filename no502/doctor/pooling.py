"""Whether nginx keeps connections to a backend open: it depends on the block, the headers and the version."""

from __future__ import annotations

from dataclasses import dataclass, field

from no502.doctor.facts import number, text, written
from no502.doctor.model import Fact, Location, Source, Upstream, Version
from no502.nginx.versions import POOL_BY_DEFAULT, default_seconds

__all__ = ["Pooling", "pooling"]


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """What nginx of one version does with connections after a response."""

    pools: bool | None
    """None: a template or variable decides it."""
    reason: str = ""
    """Why it does not pool although ``keepalive`` is written."""
    by_default: bool = False
    """No file sets ``keepalive``."""
    idle: float | None = field(default_factory=lambda: default_seconds("keepalive_timeout", "upstream"))
    """Seconds that it keeps an idle connection; None if that is not known."""


def pooling(location: Location, upstream: Upstream, version: Version) -> Pooling:
    """Return what an nginx of that version does at a location."""
    if not upstream.explicit:
        return Pooling(pools=False, reason="only upstream{} blocks pool")
    keepalive = upstream.settings.keepalive
    new = version >= POOL_BY_DEFAULT
    stated = keepalive is not None and keepalive.origin.source is not Source.DEFAULT
    if keepalive is not None and stated and not keepalive.known:
        return Pooling(pools=None)
    size = (number(upstream.settings.keepalive) if stated else 32 if new else 0) or 0
    if size == 0:
        return Pooling(pools=False, reason="keepalive 0" if stated else "no keepalive")
    idle = number(upstream.settings.keepalive_timeout)
    if idle is None and upstream.settings.keepalive_timeout is None:
        idle = default_seconds("keepalive_timeout", "upstream")
    pools, reason = _headers_allow(location, new=new)
    return Pooling(pools=pools, reason=reason, by_default=not stated, idle=idle)


def _headers_allow(location: Location, *, new: bool) -> tuple[bool | None, str]:
    """Return whether version and Connection header leave the connection open, else why not."""
    http = location.settings.proxy_http_version
    if http is not None and http.origin.source is not Source.DEFAULT and not http.known:
        return None, ""
    version = text(location.settings.proxy_http_version) if written(location.settings.proxy_http_version) else None
    if version == "1.0" or (version is None and not new):
        return False, "HTTP/1.0"
    header = location.headers.get("connection")
    if header is None or header.origin.source is Source.DEFAULT:
        return (True, "") if new else (False, "Connection: close")
    if "$" in (header.value or "") and location.ordinary_connection is not None:
        header = location.ordinary_connection
    return _connection(header)


def _connection(header: Fact[str]) -> tuple[bool | None, str]:
    sent = (header.value or "").strip().lower()
    if header.origin.source is not Source.WRITTEN or "$" in sent:
        return None, ""
    # Any other value keeps the connection open, "upgrade" as well (measured with 1.22.1 and 1.31.3).
    return (False, "Connection: close") if "close" in sent else (True, "")
