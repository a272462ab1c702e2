"""Load balancers and CDNs in front of nginx: how long each waits for a response and reuses an idle connection.

Numbers of the vendors' documentation as of 2026-11; each is the default, which an account may have changed.
"""

from dataclasses import dataclass

__all__ = ["FRONTS", "Vendor"]


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
    "traefik": Vendor(
        read=None,
        idle=90,
        source="https://doc.traefik.io/traefik/reference/routing-configuration/http/load-balancing/serverstransport/",
    ),
}
"""Seconds by name; ``read`` None: it waits as long as nginx does."""
