"""The proxy's half of the ladder for configurations of your own: the lines that have to agree with gunicorn's numbers.

``no502 nginx`` writes a whole nginx configuration; these are for another proxy, or for an nginx that you configure.

Each text is a whole configuration or a part of one, for one application on one address. Tests load it into the real
program, and check there that it closes idle connections before the worker does, and gives up when the text says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from no502.ladder.fronts import CLIENT_IDLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gunicorn_conf import ServerSettings

__all__ = ["Numbers", "Proxy", "numbers_of", "template_of", "to_text"]


class Proxy(StrEnum):
    """A proxy in front of the application."""

    APACHE = "apache"
    CADDY = "caddy"
    ENVOY = "envoy"
    HAPROXY = "haproxy"
    NGINX = "nginx"
    TRAEFIK = "traefik"


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What a proxy has to know, in whole seconds."""

    read: int
    """How long it waits for the next byte of a response: ``PROXY_READ_TIMEOUT``."""
    idle: int
    """How long it keeps an idle connection to the worker, which has to be less than the worker's ``keepalive``:
    ``PROXY_KEEPALIVE_TIMEOUT``."""
    connect: int
    """How long it tries to connect: ``PROXY_CONNECT_TIMEOUT``."""
    host: str = "127.0.0.1"
    port: int = 8000
    """Where gunicorn listens."""
    listen: int = 8080
    """Where the proxy listens, on 127.0.0.1."""
    client_idle: int = CLIENT_IDLE
    """How long it keeps an idle connection of its own clients; nginx and HAProxy only."""


_FILES: Mapping[Proxy, str] = {
    Proxy.APACHE: "apache.conf",
    Proxy.CADDY: "Caddyfile",
    Proxy.ENVOY: "envoy.yaml",
    Proxy.HAPROXY: "haproxy.cfg",
    Proxy.NGINX: "nginx.conf",
    Proxy.TRAEFIK: "traefik.yml",
}
"""In ``proxy_files/``, with $read, $idle, $connect, $client_idle, $host, $port and $listen."""


def numbers_of(current: ServerSettings) -> Numbers:
    """Return the proxy's numbers for these settings."""
    return Numbers(
        read=current.proxy_read_timeout, idle=current.proxy_keepalive_timeout, connect=current.proxy_connect_timeout
    )


def template_of(proxy: Proxy) -> str:
    """Return the lines with ``$read`` and so on in the numbers' places (``string.Template``)."""
    return (Path(__file__).parent / "proxy_files" / _FILES[proxy]).read_text(encoding="utf-8")


def to_text(proxy: Proxy, numbers: Numbers) -> str:
    """Return the configuration with the numbers written in."""
    values = {
        name: getattr(numbers, name) for name in ("read", "idle", "connect", "host", "port", "listen", "client_idle")
    }
    return Template(template_of(proxy)).substitute(values)
