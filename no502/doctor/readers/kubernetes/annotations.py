"""What the annotations of an Ingress say about its controller: whose they are, and its times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from no502.doctor.model import Fact, Origin
from no502.doctor.readers.durations import docker_seconds
from no502.doctor.readers.yaml_nodes import Node

__all__ = ["class_of", "protocol_of", "times_of"]

_PREFIXES = {
    "alb.ingress.kubernetes.io/": "alb",
    "nginx.ingress.kubernetes.io/": "nginx",
    "traefik.ingress.kubernetes.io/": "traefik",
    "haproxy-ingress.github.io/": "haproxy",
    "haproxy.org/": "haproxy",
}
_ATTRIBUTES = "alb.ingress.kubernetes.io/load-balancer-attributes"
_IDLE = re.compile(r"(?:^|,)\s*idle_timeout\.timeout_seconds\s*=\s*(\d+)\s*(?:,|$)")
_PROTOCOL = (
    "nginx.ingress.kubernetes.io/backend-protocol",
    "alb.ingress.kubernetes.io/backend-protocol",
    "haproxy-ingress.github.io/backend-protocol",
)
_READ = (
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.org/proxy-read-timeout",
    "haproxy.org/timeout-server",
    "haproxy-ingress.github.io/timeout-server",
)


def class_of(annotations: Mapping[str, Node]) -> str:
    """Return the class that an Ingress names, else the one whose controller reads its annotations."""
    called = annotations.get("kubernetes.io/ingress.class")
    if called is not None and called.text:
        return called.text
    found = {name for key in annotations for prefix, name in _PREFIXES.items() if key.startswith(prefix)}
    return found.pop() if len(found) == 1 else ""


def protocol_of(annotations: Mapping[str, Node]) -> tuple[bool | None, bool]:
    """Return whether a controller speaks TLS to the Services, None where no annotation says it, and whether HTTP/2.

    Args:
        annotations: By name.
    """
    for name in _PROTOCOL:
        node = annotations.get(name)
        spoken = (node.text or "").upper() if node is not None else ""
        if spoken:
            return spoken in {"HTTPS", "GRPCS"}, spoken in {"GRPC", "H2C"}
    return None, False


def times_of(annotations: Mapping[str, Node], shown: str) -> tuple[Fact[float] | None, Fact[float] | None]:
    """Return how long the controller waits for a response and how long it reuses an idle connection, in seconds.

    None where no annotation sets it. The idle timeout of an ALB is both.
    https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/

    Args:
        annotations: By name.
        shown: The file.
    """
    attributes = annotations.get(_ATTRIBUTES)
    idle = _IDLE.search(attributes.text or "") if attributes is not None else None
    if idle is not None and attributes is not None:
        fact = Fact(float(idle[1]), Origin(file=shown, line=attributes.line))
        return fact, fact
    return next(_reads(annotations, shown), None), None


def _reads(annotations: Mapping[str, Node], shown: str) -> Iterator[Fact[float]]:
    for name in _READ:
        node = annotations.get(name)
        seconds = docker_seconds(node.text or "") if node is not None else None
        if node is not None and seconds is not None:
            yield Fact(seconds, Origin(file=shown, line=node.line))
