"""What services say of themselves to a proxy that asks Docker: labels of Traefik and Caddy, nginx-proxy's variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from no502.doctor.model import Address, Fact, ProxyTarget
from no502.doctor.readers.compose.project import ComposeService

__all__ = ["labelled"]

_TRAEFIK = re.compile(r"traefik\.(?:enable$|(?:https?|tcp)\.(?:routers|services)\.|frontend\.|port$|[\w-]+\.port$)")
_TRAEFIK_PORT = re.compile(
    r"traefik\.(?:https?\.services\.[^.]+\.loadbalancer\.server\.port|port|[\w-]+\.port)$", re.IGNORECASE
)
_EXPOSES_NOTHING = re.compile(r"(?:docker\.io/)?(?:library/)?(?:python|debian|ubuntu|alpine)(?::|@|$)")
"""Base images without a port of their own."""
_OFF = {"false", "0", "no", "off"}


def labelled(name: str, containers: Sequence[ComposeService]) -> Iterator[ProxyTarget]:
    """Yield where a proxy connects to, as the services say; without a port where it is not known.

    Args:
        name: ``traefik``, ``caddy`` or ``nginx-proxy``; nothing for any other proxy.
        containers: The services of the project, the proxy's own excluded.
    """
    find = {"traefik": _traefik, "caddy": _caddy, "nginx-proxy": _nginx_proxy}.get(name)
    for one in containers if find is not None else ():
        if find is not None:
            yield from find(one)


def _at(one: ComposeService, port: Fact[str] | None, told: Fact[str]) -> Fact[Address]:
    """Return the address of a service: the port that it names, else the only one that it exposes, else none.

    https://doc.traefik.io/traefik/reference/routing-configuration/other-providers/docker/ (Port Detection)
    """
    host = one.service.name.lower()
    if port is not None and (port.value or "").isdecimal():
        return Fact(Address(host=host, port=int(port.value or 0)), port.origin)
    exposed = {fact.value: fact for fact in one.service.ports}
    plain = one.image is not None and _EXPOSES_NOTHING.match(one.image.base)
    if port is None and len(exposed) == 1 and plain:
        (only,) = exposed.values()
        return Fact(Address(host=host, port=only.value), only.origin)
    return Fact(Address(host=host), told.origin)


def _traefik(one: ComposeService) -> Iterator[ProxyTarget]:
    told = [fact for key, fact in one.labels.items() if _TRAEFIK.match(key)]
    enabled = one.labels.get("traefik.enable")
    if not told or (enabled is not None and (enabled.value or "").strip().lower() in _OFF):
        return
    ports = {key: fact for key, fact in one.labels.items() if _TRAEFIK_PORT.match(key)}
    for key in ports or [""]:
        said = {name: _of_service(one, key, name) for name in ("server.scheme", "serverstransport")}
        scheme = said["server.scheme"].lower()
        yield ProxyTarget(
            address=_at(one, ports.get(key), told[0]),
            tls=scheme == "https",
            http2=scheme == "h2c",
            transport=said["serverstransport"].partition("@")[0],
        )


def _of_service(one: ComposeService, port: str, name: str) -> str:
    """Return what another label says of the service whose port a label names; without one, of the only service."""
    service = re.match(r"traefik\.http\.services\.([^.]+)\.", port)
    pattern = re.escape(service[1]) if service is not None else "[^.]+"
    wanted = re.compile(rf"traefik\.http\.services\.{pattern}\.loadbalancer\.{re.escape(name)}$", re.IGNORECASE)
    return next((fact.value or "" for key, fact in one.labels.items() if wanted.match(key)), "")


def _caddy(one: ComposeService) -> Iterator[ProxyTarget]:
    """Yield what labels of caddy-docker-proxy name: ``{{upstreams 8000}}``; without a number it is port 80."""
    for key, fact in one.labels.items():
        found = re.search(r"\{\{\s*upstreams\b([^}]*)\}\}", fact.value or "")
        if re.match(r"caddy(?:_\d+)?\.", key) and key.endswith("reverse_proxy") and found is not None:
            number = re.search(r"\b(\d+)\b", found[1])
            address = Address(host=one.service.name.lower(), port=int(number[1]) if number else None)
            yield ProxyTarget(address=Fact(address, fact.origin))


def _nginx_proxy(one: ComposeService) -> Iterator[ProxyTarget]:
    host, port = one.service.environment.get("VIRTUAL_HOST"), one.service.environment.get("VIRTUAL_PORT")
    told = host or port
    if told is not None:
        yield ProxyTarget(address=_at(one, port, told))
