"""Defaults of nginx that a file which is not here may replace: they are not known."""

from __future__ import annotations

import re
from dataclasses import replace

from no502.doctor.model import Deployment, Fact, Gap, Location, NginxConfig, NotChecked, Origin, Source

__all__ = ["mark_gaps"]

_NO_PROXY = re.compile(r"ssl|tls|mime|letsencrypt|acme|certbot|gzip|security|cache_?control|fastcgi|uwsgi|dhparam")
_HEADERS = ("host", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "connection")


def mark_gaps(config: NginxConfig, deployment: Deployment) -> None:
    """Make the defaults of locations unknown where an ``include`` in reach leads to a file that is not here.

    ``include proxy_params;``, which Debian brings along, sets headers and may set times.

    Args:
        config: What was read.
        deployment: Knows what could not be read.
    """
    gaps = [gap for gap in deployment.not_checked if gap.kind is Gap.INCLUDE]
    gaps = [gap for gap in gaps if not _NO_PROXY.search(gap.what)]
    reached = [next((gap for gap in gaps if _reaches(gap.origin, one, config)), None) for one in config.locations]
    config.locations[:] = [
        location if gap is None else _without_defaults(location, gap)
        for location, gap in zip(config.locations, reached, strict=True)
    ]


def _reaches(gap: Origin, location: Location, config: NginxConfig) -> bool:
    """Whether an include stands in a location, or before every location of the file: at an outer level."""
    if gap.file != location.origin.file or gap.line is None:
        return False
    before = [
        one.origin.line
        for one in config.locations
        if one.origin.file == gap.file and one.origin.line is not None and one.origin.line <= gap.line
    ]
    return not before or location.origin.line == max(before)


def _without_defaults(location: Location, gap: NotChecked) -> Location:
    origin = Origin(file=gap.origin.file, line=gap.origin.line, source=Source.UNKNOWN, note=f"{gap.what}: {gap.why}")
    defaults = [name for name, fact in location.settings.named().items() if fact.origin.source is Source.DEFAULT]
    if location.settings.resolver is None:
        defaults.append("resolver")
    headers = [
        name
        for name in _HEADERS
        if name not in location.headers or location.headers[name].origin.source is Source.DEFAULT
    ]
    return replace(
        location,
        settings=location.settings.changed({name: Fact(None, origin) for name in defaults}),
        headers={**location.headers, **{name: Fact(None, origin) for name in headers}},
    )
