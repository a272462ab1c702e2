"""Proxies other than nginx in front of the application: what images, labels, Ingresses and their own files say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from no502.doctor.front import FRONTS
from no502.doctor.model import Fact, NotChecked, Origin, Proxy, ProxyTarget, Service, ServiceKind, Source
from no502.doctor.readers.compose.project import ComposeService
from no502.doctor.readers.context import Context
from no502.doctor.readers.kubernetes.manifests import Ingress, read_ingresses
from no502.doctor.readers.proxy_files import kind_of_proxy, read_proxy_file
from no502.doctor.readers.proxy_labels import labelled
from no502.doctor.readers.proxy_options import targets_of_options
from no502.doctor.readers.proxy_times import Times, judged_by, times_of_options, with_times
from no502.doctor.readers.texts import read_text, shown_path

__all__ = ["TITLES", "read_proxies"]

_IMAGES = (
    ("traefik", re.compile(r"(?:^|/)traefik(?::|@|$)")),
    ("caddy", re.compile(r"(?:^|/)caddy(?:-docker-proxy)?(?::|@|$)")),
    ("haproxy", re.compile(r"(?:^|/)haproxy[\w-]*(?::|@|$)")),
    ("envoy", re.compile(r"(?:^|/)envoy[\w-]*(?::|@|$)")),
    ("nginx-proxy", re.compile(r"(?:^|/)nginx-proxy(?::|@|$)")),
    ("nginx-proxy-manager", re.compile(r"(?:^|/)nginx-proxy-manager(?::|@|$)")),
    ("kong", re.compile(r"(?:^|/)kong(?::|@|$)")),
    ("httpd", re.compile(r"(?:^|/)httpd(?::|@|$)")),
    ("varnish", re.compile(r"(?:^|/)varnish[\w-]*(?::|@|$)")),
    ("cloudflared", re.compile(r"(?:^|/)cloudflared(?::|@|$)")),
)
_CLASSES = {"nginx": "ingress-nginx", "alb": "alb", "gce": "gcp", "traefik": "traefik", "haproxy": "haproxy"}
TITLES = {
    "caddy": "Caddy",
    "haproxy": "HAProxy",
    "traefik": "Traefik",
    "envoy": "Envoy",
    "httpd": "Apache",
    "varnish": "Varnish",
    "istio": "Istio",
}
"""Names as their makers write them."""
_CADDY_VARIABLE = re.compile(r"\{\$(\w+)(?::([^{}\n]*))?\}")
_CADDY_IMPORT = re.compile(r"^[ \t]*+import[ \t]++([\w-]++)[ \t]++(\S[^\n]*+)", re.MULTILINE)
_LONGEST = 400_000


def read_proxies(containers: Sequence[ComposeService], context: Context) -> None:
    """Add the proxies that stand in front to the deployment, and say how they are judged.

    Args:
        containers: The services of the project's Compose files.
        context: The project.
    """
    found: list[Proxy] = []
    for one in containers:
        name = _by_image(one)
        if name:
            origin = one.service.settings.image.origin if one.service.settings.image is not None else one.service.origin
            others = [other for other in containers if other is not one]
            proxy = _proxy(name, origin, one.service, tuple(labelled(name, others)))
            proxy = replace(proxy, targets=(*proxy.targets, *targets_of_options(name, one.argv, one.origin)))
            found.append(with_times(proxy, times_of_options(name, one.argv, one.service.environment, one.origin)))
    found += _elsewhere(found, containers)
    transports: dict[str, Times] = {}
    for path in context.project.proxies:
        found += _of_file(path, found, containers, transports, context)
    for ingress in read_ingresses(
        context.project.manifests, base=context.base, reach=context.options.reach, rendered=context.project.rendered
    ):
        found.append(_of_ingress(ingress))
    found = [_with_transports(proxy, transports) for proxy in found]
    for proxy in found:
        _say(proxy, context)
    context.deployment.proxies += found


def _proxy(name: str, origin: Origin, service: Service | None, targets: Sequence[ProxyTarget]) -> Proxy:
    vendor = FRONTS.get(name)
    source = Origin(file=origin.file, line=origin.line, source=Source.DEFAULT, note=f"default of {name}")
    return Proxy(
        name=name,
        origin=origin,
        service=service,
        targets=tuple(targets),
        kind=service.kind if service is not None else None,
        read=Fact(vendor.read if vendor is not None else None, source),
        idle=Fact(vendor.idle if vendor is not None else None, source),
    )


def _elsewhere(found: Sequence[Proxy], containers: Sequence[ComposeService]) -> Iterator[Proxy]:
    """Yield the proxies of other projects: services have labels for them, and none of their images is here."""
    for name in ("traefik", "caddy", "nginx-proxy"):
        targets = tuple(labelled(name, containers)) if all(one.name != name for one in found) else ()
        if targets:
            yield _proxy(name, targets[0].address.origin, None, targets)


def _say(proxy: Proxy, context: Context) -> None:
    what = f"{TITLES.get(proxy.name, proxy.name)} is in front of the application"
    if proxy.origin.file.rsplit("/", 1)[-1].lower().startswith(("caddyfile", "haproxy", "traefik", "envoy")):
        what = f"{proxy.origin.file}: {what}"
    own = [(one.read or proxy.read, one.idle or proxy.idle) for one in proxy.targets]
    # What the proxy has by default counts where a target has no time of its own.
    read = next((fact for fact, _ in own if fact is proxy.read), own[0][0]) if own else proxy.read
    idle = next((fact for _, fact in own if fact is proxy.idle), own[0][1]) if own else proxy.idle
    why = "no gunicorn or uvicorn in these files is behind it"
    if context.deployment.servers:
        why = judged_by(replace(proxy, read=read, idle=idle))
    if not why:
        return
    gap = NotChecked(what=what, why=why, origin=proxy.origin)
    context.deployment.leave_out(gap)


def _by_image(one: ComposeService) -> str:
    image = one.service.settings.image
    name = str(image.value or "") if image is not None else one.image.base if one.image is not None else ""
    return next((kind for kind, pattern in _IMAGES if pattern.search(name)), "")


def _of_file(
    path: Path,
    known: list[Proxy],
    containers: Sequence[ComposeService],
    transports: dict[str, Times],
    context: Context,
) -> list[Proxy]:
    """Return the proxy that a configuration file is for; one that has an image already gets what the file says."""
    text = read_text(path, context.base, context.deployment)
    shown = shown_path(path, context.base)
    if text is None:
        return []
    name = kind_of_proxy(path.name, text)
    said = read_proxy_file(name, _caddy(text, context.values) if name == "caddy" else text, shown)
    transports |= said.transports
    holders = [one.service for one in containers if path.resolve() in one.mounts.values()]
    service = next((one.service for one in known if one.name == name), holders[0] if len(holders) == 1 else None)
    proxy = with_times(_proxy(name, Origin(file=shown, line=1), service, said.targets), said.own)
    for index, one in enumerate(known):
        if one.name == name and not one.targets:
            known[index] = replace(with_times(proxy, _written(one)), service=one.service)
            return []
        if one.name == name == "traefik":  # its static and dynamic configuration are files of one Traefik
            known[index] = replace(with_times(one, said.own), targets=(*one.targets, *said.targets))
            return []
    return [proxy]


def _with_transports(proxy: Proxy, transports: Mapping[str, Times]) -> Proxy:
    """Return a proxy whose targets have the times of the transports that they name."""
    return replace(proxy, targets=tuple(_of_transport(one, transports) for one in proxy.targets))


def _of_transport(target: ProxyTarget, transports: Mapping[str, Times]) -> ProxyTarget:
    if not target.transport:
        return target
    at = target.address.origin
    note = f"serversTransport {target.transport} is not among the files"
    unknown: Fact[float] = Fact(None, Origin(file=at.file, line=at.line, source=Source.UNKNOWN, note=note))
    if target.transport not in transports:
        return replace(target, read=unknown, idle=unknown)
    read, idle = transports[target.transport]
    default = Origin(file=at.file, line=at.line, source=Source.DEFAULT, note="default of traefik")
    return replace(target, read=read, idle=idle or Fact(FRONTS["traefik"].idle, default))


def _written(proxy: Proxy) -> tuple[Fact[float] | None, Fact[float] | None]:
    read, idle = (fact if fact.origin.source is not Source.DEFAULT else None for fact in (proxy.read, proxy.idle))
    return read, idle


def _caddy(text: str, values: Mapping[str, str]) -> str:
    """Return a Caddyfile with its variables and the arguments of its snippets filled in, as far as the files tell.

    https://caddyserver.com/docs/caddyfile/concepts#snippets
    """
    text = _CADDY_VARIABLE.sub(lambda found: values.get(found[1], found[2] or found[0]), text)
    for found in _CADDY_IMPORT.finditer(text):
        words = found[2].split()
        snippet = re.search(rf"^\({re.escape(found[1])}\)[ \t]*+\{{", text, re.MULTILINE)
        if snippet is not None and len(text) < _LONGEST and len(words) == 1:
            text = text[: snippet.start()] + text[snippet.start() :].replace("{args[0]}", words[0]).replace(
                "{args.0}", words[0]
            )
    return text


def _of_ingress(ingress: Ingress) -> Proxy:
    name = ingress.class_name.removesuffix("-internal")
    name = _CLASSES.get(name, name or "an Ingress controller")
    proxy = replace(_proxy(name, ingress.origin, None, ingress.targets), kind=ServiceKind.KUBERNETES)
    return with_times(proxy, (ingress.read, ingress.idle))
