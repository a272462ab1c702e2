"""What stands before nginx: how long it waits for a response and how long it reuses an idle connection.

Numbers of the vendors' documentation as of 2026-11; each is the default, which an account may have changed. ``--front``
takes a number of seconds instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from no502.doctor.model import Front, Origin

__all__ = ["FRONTS", "front_of"]


@dataclass(frozen=True, kw_only=True)
class _Vendor:
    read: float | None
    idle: float | None
    source: str


FRONTS = {
    "alb": _Vendor(
        read=60,
        idle=60,
        source="https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html",
    ),
    "caddy": _Vendor(read=None, idle=120, source="https://caddyserver.com/docs/caddyfile/directives/reverse_proxy"),
    "cloudflare": _Vendor(
        read=120, idle=900, source="https://developers.cloudflare.com/fundamentals/reference/connection-limits/"
    ),
    "cloudfront": _Vendor(
        read=30,
        idle=5,
        source="https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html",
    ),
    "envoy": _Vendor(
        read=15, idle=3600, source="https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts"
    ),
    "gcp": _Vendor(read=30, idle=600, source="https://cloud.google.com/load-balancing/docs/https#timeouts_and_retries"),
    "heroku": _Vendor(read=30, idle=90, source="https://devcenter.heroku.com/articles/request-timeout"),
    "ingress-nginx": _Vendor(
        read=60, idle=60, source="https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/"
    ),
    "traefik": _Vendor(
        read=None,
        idle=90,
        source="https://doc.traefik.io/traefik/reference/routing-configuration/http/load-balancing/serverstransport/",
    ),
}
"""Seconds by name; ``read`` None: it waits as long as nginx does."""


def front_of(word: str) -> Front:
    """Return what ``--front`` names: a vendor or a number of seconds.

    Raises:
        ValueError: Neither; the message lists the names.
    """
    vendor = FRONTS.get(word.lower())
    if vendor is not None:
        note = f"default of {word.lower()} as documented 2026-11, {vendor.source}"
        return Front(
            name=word.lower(),
            read=vendor.read,
            idle=vendor.idle,
            origin=Origin(file=f"--front {word}", note=note),
            note=note,
        )
    try:
        wait = float(word.removesuffix("s"))
    except ValueError:
        wait = -1
    if not 0 < wait <= 86400:  # noqa: PLR2004 a day
        message = f"--front {word}: give a number of seconds (1 to 86400) or one of {', '.join(FRONTS)}"
        raise ValueError(message)
    return Front(name="the front proxy", read=wait, idle=None, origin=Origin(file=f"--front {word}"), note="as given")
