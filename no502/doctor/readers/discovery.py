"""Which files of a directory say something about a deployment, and which of them belong together.

A *project* is a folder with a Compose file, or the folder that was given. A file belongs to the nearest project above
it, so two services of one repository with Compose files of their own are not mixed up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from no502.doctor.readers.kubernetes import is_manifest
from no502.doctor.readers.scripts import is_script
from no502.doctor.readers.supervisor import is_supervisor

__all__ = ["Project", "find_projects", "is_nginx_text"]

_SKIPPED = {
    *(".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", "site-packages", ".tox", ".nox"),
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", "dist", "build", ".terraform", "vendor"),
}
_MOST_FILES, _DEEPEST, _LARGEST = 20_000, 12, 1_000_000
_COMPOSE = re.compile(r"(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml$")
_DOCKERFILE = re.compile(r"(?:.*\.)?Dockerfile(?:\..*)?$|.*\.dockerfile$|Containerfile$", re.IGNORECASE)
_NGINX_NAME = re.compile(
    r".*\.conf(?:\.(?:template|tmpl|tpl|j2|jinja2?|erb|example|sample))?$|.*\.nginx$|nginx.*\.txt$"
)
_NGINX_TEXT = re.compile(
    r"^\s*(?:server|http|upstream\s+\S+|location\s+[^{\n]+)\s*\{|^\s*proxy_pass\s+\S+;|^# configuration file \S+:",
    re.MULTILINE,
)
_GUNICORN = re.compile(r"(?:gunicorn(?:[._-]?(?:conf|config|settings))?|conf[._-]gunicorn)(?:\.conf)?\.py$")


@dataclass
class Project:
    """The files that are judged together."""

    folder: Path
    nginx: list[Path] = field(default_factory=list)
    compose: list[Path] = field(default_factory=list)
    dockerfiles: list[Path] = field(default_factory=list)
    units: list[Path] = field(default_factory=list)
    manifests: list[Path] = field(default_factory=list)
    procfiles: list[Path] = field(default_factory=list)
    supervisors: list[Path] = field(default_factory=list)
    scripts: list[Path] = field(default_factory=list)
    gunicorn: list[Path] = field(default_factory=list)
    given: bool = False
    """Files were named one by one."""


def find_projects(paths: Sequence[Path]) -> list[Project]:
    """Return the projects below the given paths; named files are one project, whatever their folders."""
    files = [path for path in paths if path.is_file()]
    projects = [_sorted_out(files, _common(files), given=True)] if files else []
    for path in paths:
        if path.is_dir():
            projects += _in_directory(path)
    return projects


def is_nginx_text(text: str) -> bool:
    """Whether a text looks like a part of nginx's configuration that has to do with requests."""
    return _NGINX_TEXT.search(text) is not None


def _common(files: Sequence[Path]) -> Path:
    folders = [str(path.resolve().parent) for path in files]
    return Path(os.path.commonpath(folders))


def _in_directory(folder: Path) -> list[Project]:
    found = list(_walk(folder))
    homes = {path.parent for path in found if _COMPOSE.fullmatch(path.name)} | {folder}
    nearest = sorted(homes, key=lambda home: -len(home.parts))
    groups: dict[Path, list[Path]] = {}
    for path in found:
        home = next(home for home in nearest if home == path.parent or home in path.parents)
        groups.setdefault(home, []).append(path)
    # What stands beside projects, such as a shared nginx folder, belongs to the only project there is.
    others = [home for home in groups if home != folder]
    if len(others) == 1 and not any(_COMPOSE.fullmatch(path.name) for path in groups.get(folder, ())):
        groups = {folder: [path for paths in groups.values() for path in paths]}
    return [_sorted_out(sorted(paths), home) for home, paths in sorted(groups.items())]


def _walk(folder: Path) -> Iterator[Path]:
    count = 0
    for here, folders, names in os.walk(folder, followlinks=False):
        depth = len(Path(here).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if name not in _SKIPPED) if depth < _DEEPEST else []
        for name in sorted(names):
            count += 1
            if count > _MOST_FILES:
                return
            yield Path(here) / name


def _sorted_out(paths: Sequence[Path], folder: Path, *, given: bool = False) -> Project:
    project = Project(folder, given=given)
    for path in paths:
        kind = _kind(path, given=given)
        if kind:
            getattr(project, kind).append(path)
    return project


def _kind(path: Path, *, given: bool) -> str:  # noqa: C901, PLR0911  one line for each kind
    name = path.name
    if _COMPOSE.fullmatch(name):
        return "compose"
    if _DOCKERFILE.fullmatch(name):
        return "dockerfiles"
    if name.endswith(".service"):
        return "units"
    if name.startswith("Procfile"):
        return "procfiles"
    if _GUNICORN.fullmatch(name):
        return "gunicorn"
    text = _head(path)
    if name.endswith((".yaml", ".yml")):
        return "manifests" if is_manifest(text) else "compose" if given and "services:" in text else ""
    if name.endswith((".conf", ".ini")) and is_supervisor(text):
        return "supervisors"
    if name.endswith(".py"):
        return "gunicorn" if given else ""
    if _NGINX_TEXT.search(text) and (given or _NGINX_NAME.fullmatch(name) or "nginx" in str(path.parent).lower()):
        return "" if path.suffix in {".md", ".rst", ".py", ".html", ".js", ".json", ".adoc"} else "nginx"
    if is_script(path, text):
        return "scripts"
    return ""


def _head(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST * 40:
            return ""
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("utf-8", errors="replace")
    except OSError:
        return ""
