"""Load balancers and CDNs in front of nginx: how long each waits for a response and reuses an idle connection.

Numbers of the vendors' documentation as of ``AS_OF``; each is the default, which an account may have changed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["AS_OF", "CLIENT_IDLE", "FRONTS", "WITHOUT_DEFAULTS", "Vendor", "client_keepalive"]

AS_OF = "2026-11"
"""When the vendors' documentation was read: year and month."""

CLIENT_IDLE = 75
"""nginx's default for the ``keepalive_timeout`` of its clients, in seconds."""

_MARGIN = 20


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """What one vendor documents, in seconds."""

    read: float | None
    idle: float | None
    source: str


FRONTS = {
    "alb": Vendor(
        read=60,
        idle=60,
        source="https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html",
    ),
    "apigateway": Vendor(  # a REST API; an HTTP API waits 30 s
        read=29,
        idle=None,
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html",
    ),
    "azure-front-door": Vendor(  # of the 30 and 60 s that its pages name, the one that fits both
        read=30, idle=None, source="https://learn.microsoft.com/azure/frontdoor/troubleshoot-issues"
    ),
    "azure-gateway": Vendor(  # Application Gateway v2: 20 s in the portal, 30 s with PowerShell
        read=20, idle=None, source="https://learn.microsoft.com/azure/application-gateway/application-gateway-faq"
    ),
    "caddy": Vendor(read=None, idle=120, source="https://caddyserver.com/docs/caddyfile/directives/reverse_proxy"),
    "cloudflare": Vendor(
        read=120, idle=900, source="https://developers.cloudflare.com/fundamentals/reference/connection-limits/"
    ),
    "cloudfront": Vendor(
        read=30,
        idle=5,
        source="https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html",
    ),
    "envoy": Vendor(
        read=15, idle=3600, source="https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts"
    ),
    "gcp": Vendor(read=30, idle=600, source="https://cloud.google.com/load-balancing/docs/https#timeouts_and_retries"),
    "heroku": Vendor(read=30, idle=90, source="https://devcenter.heroku.com/articles/request-timeout"),
    "ingress-nginx": Vendor(
        read=60, idle=60, source="https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/"
    ),
    "nlb": Vendor(  # forwards TCP: a connection without a byte for so long is dropped, also while a response is awaited
        read=350,
        idle=None,
        source="https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html",
    ),
    "traefik": Vendor(
        read=None,
        idle=90,
        source="https://doc.traefik.io/traefik/reference/routing-configuration/http/load-balancing/serverstransport/",
    ),
}
"""Seconds by name; ``read`` None: it waits as long as nginx does; ``idle`` None: not documented, or it keeps none."""

WITHOUT_DEFAULTS: Mapping[str, str] = {
    "haproxy": "HAProxy has no default timeouts, so its name says nothing",
}
"""Proxies that have no numbers of their own, and why their names are refused."""


def client_keepalive(vendor: Vendor) -> int:
    """Return for how many seconds nginx keeps an idle connection of that front proxy: longer than the proxy does."""
    return max(CLIENT_IDLE, math.ceil(vendor.idle or 0) + _MARGIN)
