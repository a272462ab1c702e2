"""The generated manifests, as Kubernetes 1.20 understands them.

They are written for 1.30. In 1.20 the autoscaler and the disruption budget have another API version, a container needs
a program to sleep in ``preStop``, and there is no Gateway API. Everything else is applied as it was generated.
"""

from typing import Any

import yaml

__all__ = ["for_1_20"]

_VERSIONS = {"HorizontalPodAutoscaler": "autoscaling/v2beta2", "PodDisruptionBudget": "policy/v1beta1"}
_UNKNOWN = {"HTTPRoute"}


def for_1_20(manifests: str) -> str:
    """Return the YAML documents with what 1.20 does not know replaced by what means the same there."""
    documents = [document for document in yaml.safe_load_all(manifests) if document["kind"] not in _UNKNOWN]
    for document in documents:
        document["apiVersion"] = _VERSIONS.get(document["kind"], document["apiVersion"])
        if document["kind"] == "PodDisruptionBudget":
            del document["spec"]["unhealthyPodEvictionPolicy"]
        if document["kind"] == "Deployment":
            _with_a_program(document)
    return yaml.safe_dump_all(documents)


def _with_a_program(deployment: dict[str, Any]) -> None:
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        before_stop = container.get("lifecycle", {}).get("preStop", {})
        if "sleep" in before_stop:
            container["lifecycle"]["preStop"] = {"exec": {"command": ["sleep", str(before_stop["sleep"]["seconds"])]}}
