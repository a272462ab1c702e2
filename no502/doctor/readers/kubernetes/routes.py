"""Routes to Services that are no Ingress: Traefik's, OpenShift's, those of gateways and of Istio."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from no502.doctor.model import Address, Fact, Origin, ProxyTarget
from no502.doctor.readers.durations import docker_seconds
from no502.doctor.readers.traefik_file import forwarding_times
from no502.doctor.readers.yaml_nodes import Node

__all__ = ["ROUTES", "Manifests", "Route", "port_called", "read_routes", "timeout_of_backend"]

ROUTES = {
    "IngressRoute": "traefik",
    "Route": "haproxy",
    "HTTPRoute": "a gateway",
    "GRPCRoute": "a gateway",
    "VirtualService": "istio",
}
"""Kinds that are read, and which proxy reads them."""
_OPENSHIFT_WAIT = "haproxy.router.openshift.io/timeout"
_BACKEND_CONFIG = ("cloud.google.com/backend-config", "beta.cloud.google.com/backend-config")


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """The documents of all manifests, by kind."""

    documents: Mapping[str, Sequence[tuple[Node, str]]] = field(default_factory=dict)
    """Kind -> (document, its file's name)."""

    def named(self, kind: str, name: str) -> tuple[Node, str] | None:
        """Return the document of a kind that has a name."""
        for node, shown in self.documents.get(kind, ()):
            called = node.get("metadata", "name")
            if called is not None and called.text == name:
                return node, shown
        return None


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route, and the Services behind it."""

    proxy: str
    origin: Origin
    targets: Sequence[ProxyTarget]


def read_routes(manifests: Manifests) -> Iterator[Route]:
    """Yield the routes among the manifests that lead to a Service."""
    for kind, proxy in ROUTES.items():
        for node, shown in manifests.documents.get(kind, ()):
            targets = tuple(_targets(kind, node, shown, manifests))
            if targets or kind != "Route":
                yield Route(proxy=proxy, origin=Origin(file=shown, line=node.line), targets=targets)


def _targets(kind: str, node: Node, shown: str, manifests: Manifests) -> Iterator[ProxyTarget]:
    if kind == "IngressRoute":
        for route in _elements(node, "spec", "routes"):
            for service in _elements(route, "services"):
                yield from _of_traefik(service, shown, manifests)
    elif kind == "Route":
        yield from _of_openshift(node, shown, manifests)
    elif kind == "VirtualService":
        for http in _elements(node, "spec", "http"):
            for route in _elements(http, "route"):
                target = _target(route.get("destination", "host"), route.get("destination", "port", "number"), shown)
                yield from _waiting([target], http.get("timeout"), shown)
    else:
        for rule in _elements(node, "spec", "rules"):
            wait = rule.get("timeouts", "backendRequest") or rule.get("timeouts", "request")
            for service in _elements(rule, "backendRefs"):
                target = _target(service.get("name"), service.get("port"), shown)
                yield from _waiting([target], wait, shown, timeout_of_policy(manifests, target))


def _of_traefik(service: Node, shown: str, manifests: Manifests) -> Iterator[ProxyTarget]:
    """Yield what an IngressRoute names. https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/crd/."""
    called, port, scheme = service.get("name"), service.get("port"), service.get("scheme")
    target = _target(called, port_called(manifests, called, port), shown)
    if target is None:
        return
    spoken = (scheme.text or "").lower() if scheme is not None else ""
    named = service.get("serversTransport")
    found = manifests.named("ServersTransport", (named.text or "").partition("@")[0]) if named is not None else None
    read, idle = forwarding_times(found[0].get("spec"), found[1]) if found is not None else (None, None)
    yield replace(target, tls=spoken == "https" if spoken else None, http2=spoken == "h2c", read=read, idle=idle)


def _of_openshift(node: Node, shown: str, manifests: Manifests) -> Iterator[ProxyTarget]:
    """Yield what a Route names: its port is the one behind the Service, by number or by name."""
    called, wanted = node.get("spec", "to", "name"), node.get("spec", "port", "targetPort")
    found = manifests.named("Service", called.text or "") if called is not None else None
    if called is None or found is None:
        return
    ports = list(_elements(found[0], "spec", "ports"))
    chosen = [one for one in ports if wanted is not None and wanted.text in _names(one)] or (
        ports if not wanted else []
    )
    port = chosen[0].get("port") if chosen else wanted
    end = node.get("spec", "tls", "termination")
    target = _target(called, port, shown)
    wait = node.get("metadata", "annotations", _OPENSHIFT_WAIT)
    if target is not None:
        secure = (end.text or "").lower() in {"reencrypt", "passthrough"} if end is not None else False
        yield from _waiting([replace(target, tls=secure)], wait, shown)


def _names(port: Node) -> set[str | None]:
    """Return by what a Route may name a port of a Service."""
    target = port.get("targetPort") or port.get("port")
    name = port.get("name")
    return {target.text if target is not None else None, name.text if name is not None else None} - {None}


def port_called(manifests: Manifests, service: Node | None, port: Node | None) -> Node | None:
    """Return the number of a Service's port that is called by its name; any other as it is.

    Args:
        manifests: With the Service.
        service: Its name.
        port: The port as the route writes it.
    """
    if service is None or port is None or (port.text or "").isdecimal():
        return port
    found = manifests.named("Service", service.text or "")
    for one in _elements(found[0], "spec", "ports") if found is not None else ():
        name = one.get("name")
        if name is not None and name.text == port.text:
            return one.get("port")
    return None


def _waiting(
    targets: Sequence[ProxyTarget | None], wait: Node | None, shown: str, otherwise: Fact[float] | None = None
) -> Iterator[ProxyTarget]:
    """Yield targets with the time that the proxy waits for them."""
    seconds = docker_seconds(wait.text or "") if wait is not None else None
    read = Fact(seconds, Origin(file=shown, line=wait.line)) if wait is not None and seconds else otherwise
    yield from (replace(one, read=read) for one in targets if one is not None)


def _target(name: Node | None, port: Node | None, shown: str) -> ProxyTarget | None:
    if name is None or not name.text or port is None or not (port.text or "").isdecimal():
        return None
    address = Address(host=name.text.lower(), port=int(port.text or 0))
    return ProxyTarget(address=Fact(address, Origin(file=shown, line=name.line)))


def _elements(node: Node, *path: str) -> Iterator[Node]:
    found = node.get(*path)
    return found.elements() if found is not None else iter(())


def timeout_of_policy(manifests: Manifests, target: ProxyTarget | None) -> Fact[float] | None:
    """Return what a GCPBackendPolicy sets for the Service of a target.

    https://cloud.google.com/kubernetes-engine/docs/how-to/configure-gateway-resources
    """
    host = target.address.value.host if target is not None and target.address.value is not None else None
    for node, shown in manifests.documents.get("GCPBackendPolicy", ()):
        called, wait = node.get("spec", "targetRef", "name"), node.get("spec", "default", "timeoutSec")
        if called is not None and called.text == host and wait is not None and (wait.text or "").isdecimal():
            return Fact(float(wait.text or 0), Origin(file=shown, line=wait.line))
    return None


def timeout_of_backend(manifests: Manifests, address: Address) -> Fact[float] | None:
    """Return what the BackendConfig of a Service sets: how long Google's load balancer waits for it.

    https://cloud.google.com/kubernetes-engine/docs/how-to/ingress-configuration#timeout

    Args:
        manifests: With the Service and its BackendConfig.
        address: The Service and its port.
    """
    service = manifests.named("Service", address.host or "")
    notes = service[0].get("metadata", "annotations") if service is not None else None
    written = next((node for key, node in notes.items() if key in _BACKEND_CONFIG), None) if notes is not None else None
    try:
        given = json.loads(written.text or "") if written is not None else None
    except (json.JSONDecodeError, RecursionError):
        return None
    ports = given.get("ports") if isinstance(given, dict) else None
    name = (ports.get(str(address.port)) if isinstance(ports, dict) else None) or (
        given.get("default") if isinstance(given, dict) else None
    )
    found = manifests.named("BackendConfig", str(name)) if name else None
    wait = found[0].get("spec", "timeoutSec") if found is not None else None
    if found is None or wait is None or not (wait.text or "").isdecimal():
        return None
    return Fact(float(wait.text or 0), Origin(file=found[1], line=wait.line))
