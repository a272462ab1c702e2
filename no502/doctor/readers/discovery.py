"""Which files of a directory say something about a deployment, and which of them belong together.

A *project* is a folder with a Compose file, or the folder that was given. A file belongs to the nearest project above
it, so two services of one repository with Compose files of their own are not mixed up.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from no502.doctor.reach import Reach
from no502.doctor.readers.compose.project import extended, included
from no502.doctor.readers.kinds import HEAD, kind_by_name, kind_of_file
from no502.doctor.readers.yaml_nodes import Node

__all__ = ["Project", "find_projects"]

_SKIPPED = {
    *(".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", "site-packages", ".tox", ".nox"),
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".terraform", ".eggs", ".cache", ".direnv"),
}
_OTHERS_CODE = {"vendor", "third_party", "bower_components"}
_TESTS = {"tests", "test", "testdata", "fixtures", "__tests__", "e2e", "playwright", "cypress", "integration-tests"}
_TESTS_AT_TOP = {*_TESTS, "spec"}
_MOST_FILES, _DEEPEST, _NAMED = 20_000, 24, 6
_SMALL = 65_536
_MAIN = re.compile(r"(?:docker-)?compose(?:\.override)?\.ya?ml")
_ALWAYS_SMALL = {".csv", ".tsv", ".log", ".sql", ".txt", ".dat"}


@dataclass
class Project:
    """The files that are judged together."""

    folder: Path
    nginx: list[Path] = field(default_factory=list)
    compose: list[Path] = field(default_factory=list)
    dockerfiles: list[Path] = field(default_factory=list)
    units: list[Path] = field(default_factory=list)
    sockets: list[Path] = field(default_factory=list)
    manifests: list[Path] = field(default_factory=list)
    procfiles: list[Path] = field(default_factory=list)
    supervisors: list[Path] = field(default_factory=list)
    scripts: list[Path] = field(default_factory=list)
    python: list[Path] = field(default_factory=list)
    gunicorn: list[Path] = field(default_factory=list)
    charts: list[Path] = field(default_factory=list)
    proxies: list[Path] = field(default_factory=list)
    """Configurations of other proxies: Caddy, HAProxy, Traefik, Envoy."""
    others: list[Path] = field(default_factory=list)
    """Files that start a server and are of a kind that is not read."""
    rendered: list[tuple[Node, str]] = field(default_factory=list)
    """What helm makes of the charts: manifests with the names of their templates."""
    rendered_from: list[str] = field(default_factory=list)
    """These templates, as shown to the user."""
    unrendered: list[tuple[Path, str]] = field(default_factory=list)
    """Charts that are not rendered, and why."""
    given: bool = False
    """Files were named one by one."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(what, why) of what was not looked at."""
    unreadable: list[Path] = field(default_factory=list)


@dataclass
class _Found:
    """What a walk over a directory gave."""

    files: list[Path] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def find_projects(paths: Sequence[Path], reach: Reach) -> list[Project]:
    """Return the projects below the given paths; named files are one project, whatever their folders."""
    files = [path for path in paths if not path.is_dir()]
    projects: list[Project] = []
    if files:
        common = _common(files)
        projects = [_sorted_out(files, common, common, reach, given=True)]
    for path in paths:
        if path.is_dir():
            projects += _in_directory(path, reach)
    return projects


def _common(files: Sequence[Path]) -> Path:
    folders = [str(path.resolve().parent) for path in files]
    return Path(os.path.commonpath(folders))


def _in_directory(folder: Path, reach: Reach) -> list[Project]:
    walked = _walk(folder)
    tests = [path for path in walked.files if _is_test(path, folder)]
    whole = _sorted_out([path for path in walked.files if not _is_test(path, folder)], folder, folder, reach)
    passed = _sorted_out(tests, folder, folder, reach)
    if passed.compose or passed.nginx or passed.units or passed.manifests:
        homes_of_tests = sorted({_test_folder(path, folder) for path in tests})
        more = f" and {len(homes_of_tests) - _NAMED} more" if len(homes_of_tests) > _NAMED else ""
        named = ", ".join(f"{name}/" for name in homes_of_tests[:_NAMED]) + more
        whole.skipped.append((named, "test files are not judged: give the folder to do it"))
    whole.skipped += walked.skipped
    # What a Compose file includes is a part of it, not a project of its own.
    parts = {
        os.path.realpath(one) for path in whole.compose for files, _ in included(path, folder, reach) for one in files
    }
    # Nor is what others extend, unless its name makes it what `docker compose up` reads.
    bases = {os.path.realpath(one) for path in whole.compose for one in extended(path, folder, reach)}
    parts |= {one for one in bases if not _MAIN.fullmatch(Path(one).name)}
    whole.compose = [path for path in whole.compose if os.path.realpath(path) not in parts] or whole.compose
    homes = {path.parent for path in whole.compose} | {folder}
    if len(homes) == 1:
        return [whole]
    # What stands beside projects, such as a shared nginx folder, belongs to the only project there is.
    others = homes - {folder}
    if len(others) == 1 and not any(path.parent == folder for path in whole.compose):
        return [whole]
    nearest = sorted(homes, key=lambda home: -len(home.parts))
    projects = {home: Project(home) for home in sorted(homes)}
    for name in _LISTS:
        for path in getattr(whole, name):
            home = next(home for home in nearest if home == path.parent or home in path.parents)
            getattr(projects[home], name).append(path)
    kept = [one for one in projects.values() if any(getattr(one, name) for name in _LISTS)]
    kept[0].skipped, kept[0].unreadable = whole.skipped, whole.unreadable
    return kept


def _is_test(path: Path, folder: Path) -> bool:
    """Whether a file belongs to the tests of a project: they hold deployments that are not meant to run."""
    return bool(_test_folder(path, folder))


def _test_folder(path: Path, folder: Path) -> str:
    """Return the folder of tests in which a file is, from the project's on; empty if it is in none."""
    parts = path.relative_to(folder).parts[:-1]
    for number, part in enumerate(parts):
        if part in (_TESTS if number else _TESTS_AT_TOP):
            return "/".join(parts[: number + 1])
    return ""


_CONFIGURATIONS = {".conf", ".cfg", ".yaml", ".yml", ".toml", ".service", ".py", ".template", ".j2", ".ini"}
_CONFIGURED = ("dockerfile", "caddyfile", "procfile", "makefile")

_LISTS = (
    *("nginx", "compose", "dockerfiles", "units", "sockets", "manifests", "procfiles", "supervisors", "scripts"),
    *("python", "gunicorn", "charts", "proxies", "others"),
)


def _walk(folder: Path) -> _Found:
    found = _Found()
    for here, folders, names in os.walk(folder, followlinks=False):
        inside = Path(here).relative_to(folder)
        foreign = sorted(name for name in folders if name in _OTHERS_CODE)
        found.skipped += [((inside / name).as_posix() + "/", "other people's code: not looked at") for name in foreign]
        folders[:] = sorted(set(folders) - _SKIPPED - _OTHERS_CODE)
        if len(inside.parts) >= _DEEPEST and folders:
            found.skipped.append((inside.as_posix() + "/", f"more than {_DEEPEST} folders deep: not looked at"))
            folders[:] = []
        for name in sorted(names):
            if len(found.files) >= _MOST_FILES:
                why = f"stopped after {_MOST_FILES:,} files: give the folder with the deployment's files"
                found.skipped.append((f"{folder.name}/ from {(inside / name).as_posix()} on", why))
                return found
            found.files.append(Path(here) / name)
    return found


def _sorted_out(paths: Sequence[Path], folder: Path, base: Path, reach: Reach, *, given: bool = False) -> Project:
    project = Project(folder, given=given)
    for path in sorted(paths) if not given else paths:
        kind = _kind(path, base, reach, project, given=given)
        if kind:
            getattr(project, kind).append(path)
    charts = {path.parent / "templates" for path in project.charts}
    # The line about their chart stands for its templates.
    project.manifests = [path for path in project.manifests if given or not _is_of_chart(path, charts, reach)]
    return project


def _is_of_chart(path: Path, charts: Collection[Path], reach: Reach) -> bool:
    """Whether a manifest is a template of a Helm chart that is here."""
    return any(chart in path.parents for chart in charts) and b"{{" in (reach.head(path, HEAD) or b"")


def _is_special(path: Path) -> bool:
    """Whether a path with the name of a configuration is a pipe, a socket or a device, which is never opened."""
    if path.suffix.lower() not in _CONFIGURATIONS and not path.name.lower().startswith(_CONFIGURED):
        return False
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _shown(path: Path, base: Path) -> str:
    try:
        return path.relative_to(base).as_posix()
    except ValueError:
        return path.name


def _kind(path: Path, base: Path, reach: Reach, project: Project, *, given: bool) -> str:
    if _is_special(path):
        project.skipped.append((_shown(path, base), "is not a regular file (a pipe, a socket or a device): not read"))
        return ""
    kind = kind_by_name(path.name)
    if kind:
        return "" if kind == "nothing" else kind
    head = reach.head(path, _SMALL if path.suffix.lower() in _ALWAYS_SMALL and not given else HEAD)
    if head is None:
        project.unreadable.append(path)
        return ""
    try:
        inside = path.relative_to(base)
    except ValueError:
        inside = Path(path.name)
    return kind_of_file(inside, head.decode("utf-8-sig", errors="replace"), given=given)
