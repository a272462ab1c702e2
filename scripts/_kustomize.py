"""As much of kustomize as this project's manifests use: to check them where no kustomize is installed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Document", "build"]

Document = dict[str, Any]
_KEYS = {"apiVersion", "kind", "labels", "resources", "configMapGenerator", "namespace", "images", "patches"}


def build(directory: Path) -> tuple[list[Document], list[str]]:
    """Return what a kustomization yields, patches and ConfigMaps included, and what is wrong with it.

    Labels, namespace and images are not filled in. Lists are replaced by patches, which is what happens to those of the
    kinds that are patched here.
    """
    file = directory / "kustomization.yaml"
    if not file.is_file():
        return [], [f"{file}: missing"]
    kustomization = yaml.safe_load(file.read_text(encoding="utf-8"))
    problems = [f"{file}: unknown key {name}" for name in sorted(kustomization.keys() - _KEYS)]
    documents: list[Document] = []
    for name in kustomization.get("resources", []):
        place = directory / name
        if place.is_dir():
            found, wrong = build(place)
            documents += found
            problems += wrong
        elif place.is_file():
            documents += [document for document in yaml.safe_load_all(place.read_text(encoding="utf-8")) if document]
        else:
            problems.append(f"{file}: resource {name} does not exist")
    listed = {str(Path(name)) for name in _files(kustomization)}
    present = {path.name for path in directory.glob("*.yaml")} - {"kustomization.yaml"}
    problems += [f"{file}: {name} is not listed" for name in sorted(present - listed)]
    for generator in kustomization.get("configMapGenerator", []):
        problems += [f"{file}: {problem}" for problem in _generate(documents, generator)]
    for entry in kustomization.get("patches", []):
        problems += [f"{file}: {problem}" for problem in _patch(documents, directory / entry["path"])]
    return documents, problems


def _files(kustomization: Mapping[str, Any]) -> Iterator[str]:
    yield from kustomization.get("resources", [])
    yield from (entry["path"] for entry in kustomization.get("patches", []))


def _find(documents: list[Document], kind: str, name: str) -> Document | None:
    return next((one for one in documents if (one["kind"], one["metadata"]["name"]) == (kind, name)), None)


def _generate(documents: list[Document], generator: Mapping[str, Any]) -> Iterator[str]:
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    there = _find(documents, "ConfigMap", generator["name"])
    if generator.get("behavior", "create") == "create":
        if there is not None:
            yield f"ConfigMap {generator['name']} exists already"
        documents.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}
        )
    elif there is None:
        yield f"ConfigMap {generator['name']} does not exist, so nothing can be merged into it"
    else:
        there["data"] |= data


def _patch(documents: list[Document], file: Path) -> Iterator[str]:
    if not file.is_file():
        yield f"patch {file.name} does not exist"
        return
    patch = yaml.safe_load(file.read_text(encoding="utf-8"))
    target = _find(documents, patch["kind"], patch["metadata"]["name"])
    if target is None:
        yield f"patch {file.name}: there is no {patch['kind']} {patch['metadata']['name']}"
    else:
        _merge(target, patch)


def _merge(target: Document, patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
