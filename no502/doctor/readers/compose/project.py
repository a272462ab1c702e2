"""Compose files: read, merged as Compose merges them, and each service handed on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from no502.doctor.model import Deployment, Fact, Gap, NotChecked, Origin, Problem
from no502.doctor.reach import Reach
from no502.doctor.readers.compose.service import ComposeService, ServiceReader
from no502.doctor.readers.inline import Inline
from no502.doctor.readers.texts import read_environment, read_text, shown_path
from no502.doctor.readers.yaml_nodes import Node, YamlProblem, load_all

__all__ = ["ComposeService", "extended", "included", "read_compose"]

_HEAD = 1_000_000

_MAPPINGS = {"environment", "depends_on", "deploy", "healthcheck", "build", "networks", "sysctls", "logging", "labels"}
_TEMPLATE = re.compile(r"\{\{|\{%|<%")
_SWARM = re.compile(r"swarm|(?:^|[._-])stack(?:[._-]|$)")
_LISTS = {"ports", "volumes", "expose", "env_file", "dns", "tmpfs"}


def read_compose(paths: Sequence[Path], *, base: Path, deployment: Deployment) -> list[ComposeService]:
    """Read the files of one project, later ones over earlier ones, and add the services.

    Args:
        paths: The files.
        base: Paths are shown relative to it.
        deployment: Takes services and problems.
    """
    folder = paths[0].parent
    values = read_environment(folder / ".env", deployment.reach)
    merged: dict[str, tuple[Node, str]] = {}
    folders: dict[str, Path] = {}
    configs: dict[str, Node] = {}
    for path, home in _with_included(paths, folder, base, deployment):
        shown = shown_path(path, base)
        document = _document(path, base, deployment)
        services = document.get("services") if document is not None else None
        given = document.get("configs") if document is not None else None
        configs |= dict(given.items()) if given is not None else {}
        for name, node in services.items() if services else ():
            before = merged.get(name)
            folders.setdefault(name, home)
            merged[name] = (_merge(before[0], node) if before else node, before[1] if before else shown)
    every = {name: node for name, (node, _) in merged.items()}
    swarm = any(_is_swarm(node) for node in every.values()) or any(_SWARM.search(path.name) for path in paths)
    found = []
    for name, (node, shown) in merged.items():
        home = folders[name]
        own = values if home == folder else {**read_environment(home / ".env", deployment.reach), **values}
        whole = _extended(_from_file(node, home, base, deployment), every)
        reader = ServiceReader(name, whole, shown, home, base, own, deployment)
        found.append(_with_configs(reader.read(), whole, configs, home))
        if swarm:
            found[-1].service.settings = found[-1].service.settings.changed(
                {"swarm": Fact(True, Origin(file=shown, line=node.line))}
            )
        mode = node.get("deploy", "endpoint_mode")
        if swarm and (mode is None or mode.text != "dnsrr"):
            # https://docs.docker.com/engine/swarm/networking/#configure-service-discovery
            found[-1].service.settings = found[-1].service.settings.changed(
                {"virtual_ip": Fact(True, Origin(file=shown, line=node.line))}
            )
        deployment.services.append(found[-1].service)
    return found


def _with_included(
    paths: Sequence[Path], folder: Path, base: Path, deployment: Deployment
) -> Iterator[tuple[Path, Path]]:
    """Yield each file with the folder that its paths start from: those of ``include`` before the one that names them.

    https://docs.docker.com/reference/compose-file/include/
    """
    for path in paths:
        for files, home in included(path, base, deployment.reach):
            for file in files:
                yield file, home
        yield path, folder


def included(path: Path, base: Path, reach: Reach) -> Iterator[tuple[list[Path], Path]]:
    """Yield what a Compose file includes: files that are merged, and the folder that their paths start from."""
    if b"include" not in (reach.head(path, _HEAD) or b""):
        return
    document = _document(path, base, Deployment(reach=reach))
    entries = document.get("include") if document is not None else None
    for entry in entries.elements() if entries is not None else ():
        named, directory = entry.get("path"), entry.get("project_directory")
        texts = [entry] if entry.text else [named] if named is not None and named.text else []
        texts = texts or (list(named.elements()) if named is not None else [])
        files = [path.parent / str(one.text) for one in texts if one.text and "$" not in one.text]
        files = [file for file in files if reach.has(file) and os.path.realpath(file) != os.path.realpath(path)]
        if files:
            home = path.parent / directory.text if directory is not None and directory.text else files[0].parent
            yield files, home


def extended(path: Path, base: Path, reach: Reach) -> Iterator[Path]:
    """Yield the other files whose services those of a Compose file extend.

    https://docs.docker.com/reference/compose-file/services/#extends
    """
    if b"extends" not in (reach.head(path, _HEAD) or b""):
        return
    document = _document(path, base, Deployment(reach=reach))
    services = document.get("services") if document is not None else None
    for _, service in services.items() if services is not None else ():
        file = service.get("extends", "file")
        if file is not None and file.text and "$" not in file.text and reach.has(path.parent / file.text):
            yield path.parent / file.text


def _document(path: Path, base: Path, deployment: Deployment) -> Node | None:
    """Return what a Compose file holds; what cannot be read is a problem, or a template that is named."""
    text = read_text(path, base, deployment)
    if text is None:
        return None
    shown = shown_path(path, base)
    try:
        documents = load_all(text, shown)
    except YamlProblem as problem:
        if _TEMPLATE.search(text):
            gap = NotChecked(
                what=f"{shown} is a template",
                why="its values are not among these files",
                origin=Origin(file=shown),
                kind=Gap.TEMPLATE,
            )
            deployment.leave_out(gap)
            return None
        origin = Origin(file=shown, line=problem.line)
        found = Problem(rule="C003", message=f"Compose cannot read it: {problem}", origin=origin)
        deployment.problems += [found] if found not in deployment.problems else []
        return None
    return documents[0] if documents else None


def _from_file(node: Node, folder: Path, base: Path, deployment: Deployment) -> Node:
    """Return a service with the one of another file that it extends."""
    file, name = node.get("extends", "file"), node.get("extends", "service")
    if file is None or name is None or not file.text or not deployment.reach.has(folder / file.text):
        return node
    document = _document(folder / file.text, base, deployment)
    other = document.get("services", name.text or "") if document is not None else None
    return _merge(other, node) if other is not None else node


def _with_configs(one: ComposeService, node: Node, configs: Mapping[str, Node], folder: Path) -> ComposeService:
    """Return a service with the configs that it gets: files of the project, or texts in the Compose file."""
    wanted = node.get("configs")
    mounts, inline = dict(one.mounts), dict(one.inline)
    for item in wanted.elements() if wanted is not None else ():
        source, target = item.get("source"), item.get("target")
        name = item.text or (source.text if source is not None else None) or ""
        inside = (target.text if target is not None else None) or f"/{name}"
        config = configs.get(name)
        file, content = (config.get(key) if config is not None else None for key in ("file", "content"))
        if file is not None and file.text:
            mounts[inside] = folder / file.text
        elif content is not None and content.text:
            inline[inside] = Inline(content.text, content.file, content.line)
    return replace(one, mounts=mounts, inline=inline)


def _is_swarm(node: Node) -> bool:
    """Whether a service says what only Swarm does."""
    deploy = node.get("deploy")
    keys = {key for key, _ in deploy.items()} if deploy is not None else set()
    return bool(keys & {"endpoint_mode", "update_config", "rollback_config", "placement", "mode"})


def _merge(old: Node, new: Node) -> Node:
    """Return Compose's merge of two services: mappings by key, lists one after the other, the rest replaced."""
    if not isinstance(old.value, dict) or not isinstance(new.value, dict):
        return new
    result = dict(old.value)
    for key, node in new.items():
        before = result.get(key)
        if before is not None and key in _MAPPINGS and isinstance(before.value, dict) and isinstance(node.value, dict):
            result[key] = _merge_mapping(before, node)
        elif before is not None and key in _LISTS and isinstance(before.value, list) and isinstance(node.value, list):
            result[key] = Node([*before.value, *node.value], before.line, before.file)
        else:
            result[key] = node
    return Node(result, old.line, old.file)


def _merge_mapping(old: Node, new: Node) -> Node:
    result = dict(old.value)
    for key, node in new.items():
        before = result.get(key)
        both = before is not None and isinstance(before.value, dict) and isinstance(node.value, dict)
        result[key] = _merge_mapping(before, node) if both and before is not None else node
    return Node(result, old.line, old.file)


def _extended(node: Node, every: Mapping[str, Node], depth: int = 0) -> Node:
    """Return a service with the one that it extends in the same file."""
    extends = node.get("extends")
    if extends is None or depth > 8:
        return node
    name = extends.text or (part.text if (part := extends.get("service")) else None)
    if extends.get("file") is not None or name is None or name not in every:
        return node
    return _merge(_extended(every[name], every, depth + 1), node)
