"""Finding the files that an ``include`` of nginx means, and reading them within bounds."""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from no502.doctor.reach import Reach

__all__ = ["find_included", "load"]

_LARGEST = 16 * 1024 * 1024
_LONGEST_LINE = 1024 * 1024
_MOST_MATCHES = 5000
_MOST_WILD = 2
_MOST_UP = 2
_UPSTREAM = re.compile(r"^[ \t]*+upstream[ \t]++([^\s{]++)", re.MULTILINE)
_SERVER = re.compile(r"^[ \t]*+(?:server|upstream[ \t]++\S++)\s*+\{", re.MULTILINE)
_TEMPLATES = "/etc/nginx/templates/"
_OF_THE_MAIN_FILE = {"", "nginx", "conf", "conf.d", "http.d", "sites-enabled", "sites-available", "vhosts.d"}
"""Folders whose files may stand beside the main file here; those of another folder are parts of a server."""
_WELL_KNOWN = ("/etc/nginx/", "/usr/local/nginx/conf/", "/opt/nginx/conf/", "/usr/local/etc/nginx/")


def load(path: Path, reach: Reach) -> tuple[str | None, str]:
    """Return a file's text, else why it cannot be had: only regular files of a bounded size are read."""
    found, why = reach.read(path, _LARGEST)
    if found is None:
        return None, why
    text = found.decode("utf-8-sig", errors="replace")
    if "\0" in text:
        return None, "holds binary data"
    if any(len(line) > _LONGEST_LINE for line in text.split("\n")):
        return None, f"has a line of more than {_LONGEST_LINE} characters"
    return text, ""


def find_included(wanted: str, *, root: Path, folder: Path, path_map: Mapping[str, str], reach: Reach) -> list[Path]:
    """Return the files that ``include wanted`` means, in nginx's order.

    Args:
        wanted: The argument; a pattern may have wildcards in two parts of its path, and go up two folders.
        root: The folder of the main file.
        folder: The folder of the file with the include, for files that are not where nginx will have them.
        path_map: Folders or files inside nginx's container -> those here. Absolute paths that are neither mapped
            nor known places of nginx's files are not opened: they mean the container's files, not this machine's.
        reach: Which files may be opened; others are left out.
    """
    if sum(glob.has_magic(part) for part in wanted.split("/")) > _MOST_WILD or wanted.count("..") > _MOST_UP:
        return []
    if glob.has_magic(wanted) and (mapped := _mapped(wanted, path_map, reach)):
        return mapped
    for candidate in _candidates(wanted, root, folder, path_map):
        for pattern in (str(candidate), f"{candidate}.template"):
            matches = itertools.islice(glob.iglob(pattern), _MOST_MATCHES)  # noqa: PTH207  nginx's own pattern syntax
            try:
                files = [path for path in map(Path, sorted(matches)) if reach.has(path)]
                if candidate == root / PurePosixPath(wanted).name and glob.has_magic(wanted):
                    # A guess: whole configurations beside the main file are not what its conf.d holds.
                    files = [path for path in files if not _is_main(path, reach)]
                    if PurePosixPath(wanted).parent.name not in _OF_THE_MAIN_FILE:
                        files = [path for path in files if not _has_server(path, reach)]
            except (OSError, ValueError):
                continue
            if files:
                return files
    return _available(wanted, root, folder, path_map, reach) if "/sites-enabled/" in f"/{wanted}" else []


def _available(wanted: str, root: Path, folder: Path, path_map: Mapping[str, str], reach: Reach) -> list[Path]:
    """Return the sites of which a host enables some, where a repository has those only: none where two exclude another.

    Two files with an upstream of one name cannot both be enabled.
    """
    available = wanted.replace("sites-enabled/", "sites-available/")
    found = find_included(available, root=root, folder=folder, path_map=path_map, reach=reach)
    found = [path for path in found if path.parent.name == "sites-available"]
    names = [name for path in found for name in _UPSTREAM.findall(load(path, reach)[0] or "")]
    return found if len(names) == len(set(names)) else []


def _mapped(wanted: str, path_map: Mapping[str, str], reach: Reach) -> list[Path]:
    """Return the files that a container gets one by one under names that a pattern matches.

    With them come the files of a mounted folder, unless one of them is mounted over the folder's file of that name.
    """
    inside = wanted if wanted.startswith("/") else f"/etc/nginx/{wanted}"
    names = {_made(name): Path(here) for name, here in path_map.items() if PurePosixPath(_made(name)).match(inside)}
    names = {name: path for name, path in names.items() if reach.has(path)}
    if not names:
        return []
    parent = PurePosixPath(inside).parent
    folders = [] if glob.has_magic(str(parent)) else _mounted(inside, path_map)
    for pattern in [f"{candidate}{ending}" for candidate in folders for ending in ("", ".template")]:
        for path in itertools.islice(glob.iglob(pattern), _MOST_MATCHES):  # noqa: PTH207  nginx's own pattern syntax
            if reach.has(Path(path)):
                names.setdefault(str(parent / Path(path).name.removesuffix(".template")), Path(path))
    return [names[name] for name in sorted(names)]


def _made(name: str) -> str:
    """Return the file that the official image makes of a template: templates/X.template becomes conf.d/X."""
    if not name.startswith(_TEMPLATES):
        return name
    return "/etc/nginx/conf.d/" + name.removeprefix(_TEMPLATES).removesuffix(".template")


def _candidates(wanted: str, root: Path, folder: Path, path_map: Mapping[str, str]) -> Iterator[Path]:
    yield from _mounted(wanted if wanted.startswith("/") else f"/etc/nginx/{wanted}", path_map)
    if not wanted.startswith("/"):
        yield from _relative(wanted, root, folder)
    for known in _WELL_KNOWN:
        if wanted.startswith(known):
            rest = wanted.removeprefix(known)
            yield from _relative(rest, root, folder)
            yield from (root / PurePosixPath(rest).name, root.parent / rest)


def _mounted(inside: str, path_map: Mapping[str, str]) -> Iterator[Path]:
    """Yield where a path in the container may be here, by what is mounted: the longest prefix first."""
    for mapped, here in sorted(path_map.items(), key=lambda item: -len(item[0])):
        prefix = mapped.rstrip("/")
        if inside == prefix:
            yield Path(here)
        elif inside.startswith(f"{prefix}/"):
            yield Path(here) / inside[len(prefix) + 1 :]
        elif inside == _made(prefix):
            yield Path(here)
        elif inside.startswith("/etc/nginx/conf.d/") and f"{prefix}/" == _TEMPLATES:
            yield Path(here) / inside.removeprefix("/etc/nginx/conf.d/")


def _relative(wanted: str, root: Path, folder: Path) -> Iterator[Path]:
    yield from (root / wanted, folder / wanted)
    if wanted.startswith("conf.d/"):
        # The official image writes conf.d from the templates beside it.
        yield root / "templates" / wanted.removeprefix("conf.d/")
        if root.name == "templates":
            yield root / wanted.removeprefix("conf.d/")


def _has_server(path: Path, reach: Reach) -> bool:
    return _SERVER.search(load(path, reach)[0] or "") is not None


def _is_main(path: Path, reach: Reach) -> bool:
    return re.search(r"^[ \t]*+(?:events|http)\s*+\{", load(path, reach)[0] or "events {", re.MULTILINE) is not None
