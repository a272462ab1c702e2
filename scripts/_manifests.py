"""Manifests against the schemas of Kubernetes and of the Gateway API, and against each other."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
from _kustomize import Document

__all__ = ["VERSIONS", "disagreements", "violations"]

VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""The oldest version that has preStop's sleep without a feature gate, and the newest one with a schema."""

_GATEWAY_API = {
    kind: json.loads(Path(__file__).with_name(f"{kind.lower()}.schema.json").read_text(encoding="utf-8"))
    for kind in ("HTTPRoute", "Gateway")
}
_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def violations(document: Document) -> Iterator[str]:
    """Yield what is wrong with one document by itself; a kind without a schema is wrong, too."""
    who = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
    if str(document.get("apiVersion")).startswith("gateway.networking.k8s.io/"):
        schema = _GATEWAY_API.get(str(document.get("kind")), _GATEWAY_API["HTTPRoute"])
        for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
            yield f"{who}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{who}: Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{who}: Kubernetes {version}: no schema for {document.get('apiVersion')} {document.get('kind')}"


def disagreements(documents: list[Document]) -> Iterator[str]:
    """Yield every name in one document that no other document has."""
    kinds: dict[str, dict[str, Document]] = {}
    for document in documents:
        kinds.setdefault(document["kind"], {})[document["metadata"]["name"]] = document
    pods = [deployment["spec"]["template"] for deployment in kinds.get("Deployment", {}).values()]
    for service in kinds.get("Service", {}).values():
        yield from _selects(service, service["spec"]["selector"], pods)
        yield from _ports(service, [port["targetPort"] for port in service["spec"]["ports"]], pods)
    for budget in kinds.get("PodDisruptionBudget", {}).values():
        yield from _selects(budget, budget["spec"]["selector"]["matchLabels"], pods)
    for policy in kinds.get("NetworkPolicy", {}).values():
        yield from _selects(policy, policy["spec"]["podSelector"]["matchLabels"], pods)
        rules = policy["spec"]["ingress"]
        yield from _ports(policy, [port["port"] for rule in rules for port in rule["ports"]], pods)
    scalers = kinds.get("HorizontalPodAutoscaler", {}).values()
    yield from _targets([scaler["spec"]["scaleTargetRef"] for scaler in scalers], kinds)
    rules = [rule for route in kinds.get("HTTPRoute", {}).values() for rule in route["spec"]["rules"]]
    yield from _routes(rules, kinds.get("Service", {}))
    yield from _config_maps(pods, kinds.get("ConfigMap", {}))


def _targets(targets: list[Mapping[str, str]], kinds: Mapping[str, Mapping[str, Document]]) -> Iterator[str]:
    for target in targets:
        if target["name"] not in kinds.get(target["kind"], {}):
            yield f"HorizontalPodAutoscaler: there is no {target['kind']} {target['name']}"


def _config_maps(pods: list[Document], known: Mapping[str, Document]) -> Iterator[str]:
    sources = [source for pod in pods for one in pod["spec"]["containers"] for source in one.get("envFrom", [])]
    for name in (source["configMapRef"]["name"] for source in sources if "configMapRef" in source):
        if name not in known:
            yield f"Deployment: there is no ConfigMap {name}"


def _selects(document: Document, labels: Mapping[str, str], pods: list[Document]) -> Iterator[str]:
    if not any(labels.items() <= pod["metadata"]["labels"].items() for pod in pods):
        yield f"{document['kind']} {document['metadata']['name']}: no pod has the labels {labels}"


def _ports(document: Document, names: list[Any], pods: list[Document]) -> Iterator[str]:
    containers = [container for pod in pods for container in pod["spec"]["containers"]]
    known = {
        port[key]
        for container in containers
        for port in container.get("ports", [])
        for key in ("name", "containerPort")
    }
    for name in names:
        if name not in known:
            yield f"{document['kind']} {document['metadata']['name']}: no pod has the port {name}"


def _routes(rules: list[Document], services: Mapping[str, Document]) -> Iterator[str]:
    for rule in rules:
        if "filters" in rule:  # a redirect
            continue
        request, backend = (_milliseconds(rule["timeouts"][name]) for name in ("request", "backendRequest"))
        if request < backend:
            yield f"HTTPRoute: timeouts.request ({request} ms) is less than timeouts.backendRequest ({backend} ms)"
        for target in rule["backendRefs"]:
            service = services.get(target["name"], {"spec": {"ports": []}})
            if target["port"] not in [port["port"] for port in service["spec"]["ports"]]:
                yield f"HTTPRoute: there is no Service {target['name']} with port {target['port']}"


def _milliseconds(duration: str) -> int:
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"([0-9]+)(ms|h|m|s)", duration))
