"""The image that a service is built from: its Dockerfile, what it copies, and where that is in the project."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml

from no502.adopt.needs import oldest_python
from no502.adopt.workspace import Workspace
from no502.adopt.yaml_edit import services_of, value_of
from no502.doctor.readers.dockerfile import Image, read_dockerfile
from no502.doctor.readers.kinds import kind_by_name

__all__ = ["Built", "built_of", "dockerfiles", "python_version"]


@dataclass(frozen=True)
class Built:
    """A Dockerfile with the folder that it is built from; names are relative to the project."""

    file: str
    context: str
    image: Image
    target: str = ""

    def inside(self, workdir: str, name: str) -> str | None:
        """Return where a file of the project is inside, or None if no COPY brings it there."""
        found = None
        for source, target in self.image.copies:
            here = _joined(self.context, source)
            if here == name:
                found = target + PurePosixPath(name).name if target.endswith("/") else target
            elif here in {"", "."} or name.startswith(here.rstrip("/") + "/"):
                rest = name if here in {"", "."} else name[len(here.rstrip("/")) + 1 :]
                found = str(PurePosixPath(target or workdir or "/") / rest)
            elif any(char in source for char in "*?[") and fnmatch.fnmatch(name, here):
                found = str(PurePosixPath(target) / PurePosixPath(name).name)
        return found

    def here(self, space: Workspace, inside: str) -> str | None:
        """Return the name in the project of a file or folder inside; the longest COPY wins."""
        best: tuple[int, str] | None = None
        for source, target in self.image.copies:
            if not (space.root / _joined(self.context, source)).is_dir():
                continue
            root = target.rstrip("/") or "/"
            below = inside == root or inside.startswith(root.rstrip("/") + "/")
            if below and (best is None or len(root) >= best[0]):
                rest = inside[len(root) :].strip("/")
                best = (len(root), _joined(_joined(self.context, source), rest))
        return best[1] if best is not None else None


def _joined(folder: str, name: str) -> str:
    parts: list[str] = []
    for part in f"{folder}/{name.lstrip('/')}".split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def dockerfiles(space: Workspace) -> list[str]:
    """Return the Dockerfiles of the project."""
    return [name for name in space.glob("*") if kind_by_name(PurePosixPath(name).name) == "dockerfiles"]


def built_of(space: Workspace, file: str, service: str | None) -> Built | None:
    """Return what is built for a Compose service, or what a Dockerfile builds; None where it is not here.

    Args:
        space: The project.
        file: The Compose file or the Dockerfile.
        service: The Compose service; None for a Dockerfile on its own.
    """
    if service is None:
        context = str(PurePosixPath(file).parent)
        return Built(file, "" if context == "." else context, read_dockerfile(space.text(file), file))
    folder = "" if "/" not in file else file.rsplit("/", 1)[0]
    node = services_of(space.text(file), service)
    build = value_of(node, "build")
    if isinstance(build, yaml.ScalarNode):
        place, name, target = str(build.value), "Dockerfile", ""
    elif isinstance(build, yaml.MappingNode):
        words = {key.value: value.value for key, value in build.value if isinstance(value, yaml.ScalarNode)}
        place, name, target = words.get("context", "."), words.get("dockerfile", "Dockerfile"), words.get("target", "")
    else:
        return None
    context = _joined(folder, place)
    path = _joined(context, name)
    if not space.has(path):
        return None
    return Built(path, context, read_dockerfile(space.text(path), path, target=target), target)


def python_version(built: Built) -> tuple[int, int] | None:
    """Return the Python of an image where its base says it and it is too old; None otherwise."""
    found = re.search(r"python:?(\d)\.(\d+)", built.image.base)
    version = (int(found[1]), int(found[2])) if found is not None else None
    return version if version is not None and version < oldest_python() else None
