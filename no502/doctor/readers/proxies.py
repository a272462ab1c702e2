"""Proxies other than nginx in front of the application: what images, labels, Ingresses and their own files say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from no502.doctor.front import FRONTS
from no502.doctor.model import Address, Fact, NotChecked, Origin, Proxy, Service, Source
from no502.doctor.readers.compose.project import ComposeService
from no502.doctor.readers.context import Context
from no502.doctor.readers.kubernetes.manifests import Ingress, read_ingresses
from no502.doctor.readers.nginx.values import parse_address
from no502.doctor.readers.proxy_labels import labelled
from no502.doctor.readers.proxy_times import judged_by, times_of_options, times_of_text, with_times
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
    ("cloudflared", re.compile(r"(?:^|/)cloudflared(?::|@|$)")),
)
_CLASSES = {"nginx": "ingress-nginx", "alb": "alb", "gce": "gcp", "traefik": "traefik", "haproxy": "haproxy"}
TITLES = {"caddy": "Caddy", "haproxy": "HAProxy", "traefik": "Traefik", "envoy": "Envoy"}
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
            found.append(with_times(proxy, times_of_options(name, one.argv, one.service.environment, one.origin)))
    found += _elsewhere(found, containers)
    for path in context.project.proxies:
        found += _of_file(path, found, context)
    for ingress in read_ingresses(
        context.project.manifests, base=context.base, reach=context.options.reach, rendered=context.project.rendered
    ):
        found.append(_of_ingress(ingress))
    for proxy in found:
        _say(proxy, context)
    context.deployment.proxies += found


def _proxy(name: str, origin: Origin, service: Service | None, targets: Sequence[Fact[Address]]) -> Proxy:
    vendor = FRONTS.get(name)
    source = Origin(file=origin.file, line=origin.line, source=Source.DEFAULT, note=f"default of {name}")
    return Proxy(
        name=name,
        origin=origin,
        service=service,
        targets=tuple(targets),
        read=Fact(vendor.read if vendor is not None else None, source),
        idle=Fact(vendor.idle if vendor is not None else None, source),
    )


def _elsewhere(found: Sequence[Proxy], containers: Sequence[ComposeService]) -> Iterator[Proxy]:
    """Yield the proxies of other projects: services have labels for them, and none of their images is here."""
    for name in ("traefik", "caddy", "nginx-proxy"):
        targets = tuple(labelled(name, containers)) if all(one.name != name for one in found) else ()
        if targets:
            yield _proxy(name, targets[0].origin, None, targets)


def _say(proxy: Proxy, context: Context) -> None:
    what = f"{TITLES.get(proxy.name, proxy.name)} is in front of the application"
    if proxy.origin.file.rsplit("/", 1)[-1].lower().startswith(("caddyfile", "haproxy", "traefik", "envoy")):
        what = f"{proxy.origin.file}: {what}"
    why = judged_by(proxy)
    if not why:
        return
    gap = NotChecked(what=what, why=why, origin=proxy.origin)
    context.deployment.leave_out(gap)


def _by_image(one: ComposeService) -> str:
    image = one.service.settings.image
    name = str(image.value or "") if image is not None else one.image.base if one.image is not None else ""
    return next((kind for kind, pattern in _IMAGES if pattern.search(name)), "")


def _of_file(path: Path, known: list[Proxy], context: Context) -> list[Proxy]:
    """Return the proxy that a configuration file is for; one that has an image already gets what the file says."""
    text = read_text(path, context.base, context.deployment)
    shown = shown_path(path, context.base)
    if text is None:
        return []
    name = _kind(path.name, text)
    text = _caddy(text, context.values) if name == "caddy" else _clusters(text) if name == "envoy" else text
    targets = tuple(_targets(name, text, shown))
    times = times_of_text(name, text, shown)
    service = next((one.service for one in known if one.name == name), None)
    proxy = with_times(_proxy(name, Origin(file=shown, line=1), service, targets), times)
    for index, one in enumerate(known):
        if one.name == name and not one.targets:
            known[index] = replace(with_times(proxy, _written(one)), service=one.service)
            return []
        if one.name == name == "traefik":  # its static and dynamic configuration are files of one Traefik
            known[index] = replace(with_times(one, times), targets=(*one.targets, *targets))
            return []
    return [proxy]


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


def _clusters(text: str) -> str:
    """Return Envoy's file with its clusters only, at their lines: listeners have addresses and idle times, too."""
    head = re.search(r"^([ \t]*+)clusters:", text, re.MULTILINE)
    if head is None:
        return text
    after = re.compile(rf"^{head[1]}(?![ \t#-])\S", re.MULTILINE).search(text, head.end())
    return "\n" * text.count("\n", 0, head.start()) + text[head.start() : after.start() if after else None]


def _kind(name: str, text: str) -> str:
    if "caddy" in name.lower():
        return "caddy"
    if name.startswith("traefik") or "loadBalancer" in text:
        return "traefik"
    return "envoy" if "static_resources:" in text else "haproxy"


def _targets(name: str, text: str, shown: str) -> Iterator[Fact[Address]]:
    patterns = {
        "caddy": r"^[ \t]*+(?:reverse_proxy|to)[ \t]++([^#{\n]++)",
        "haproxy": r"^[ \t]++server(?:-template[ \t]++\S++)?[ \t]++\S++[ \t]++(\S++)",
        "traefik": r"\burl[ \t]*+[:=][ \t]*+[\"']?([^\s\"'{}\[\],]++)",
        "envoy": r"\baddress:[ \t]*+([\w.-]++)\s*+,?[ \t]*+port_value:[ \t]*+(\d++)",
    }
    for found in re.finditer(patterns[name], text, re.MULTILINE):
        origin = Origin(file=shown, line=text.count("\n", 0, found.start()) + 1)
        words = [f"{found[1]}:{found[2]}"] if name == "envoy" else found[1].split()
        for word in words:
            plain = re.sub(r"^(?:https?|h2c)://", "", word.strip("\"'")).rstrip("/")
            address = parse_address(plain) if re.search(r":\d+$", plain) or plain.startswith("unix:") else None
            if address is not None and not plain.startswith(("*", "@", "/")):
                yield Fact(address, origin)


def _of_ingress(ingress: Ingress) -> Proxy:
    name = _CLASSES.get(ingress.class_name, ingress.class_name or "an Ingress controller")
    return with_times(_proxy(name, ingress.origin, None, ingress.targets), (ingress.read, ingress.idle))
