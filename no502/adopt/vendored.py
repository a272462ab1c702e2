"""The three files of the ladder, copied into the project: no502 is not on the package index."""

from __future__ import annotations

import fnmatch
from pathlib import PurePosixPath

from no502.adopt.starts import Start
from no502.adopt.variables import before_command
from no502.adopt.workspace import Workspace
from no502.doctor.model import ServiceKind
from no502.installed import GUNICORN_CONF

__all__ = ["FILES", "copy_files", "folder_for", "foreign", "into_image"]

FILES = ("gunicorn_conf.py", "gunicorn_handover.py", "gunicorn_arbiter.py")
_FOLDERS = ("ladder", "gunicorn_ladder")
_SOURCE = GUNICORN_CONF.parent


_OURS = {FILES[0]: "class ServerSettings", FILES[1]: "class HandoverWorker", FILES[2]: "class HandoverArbiter"}
"""By what each copy is known, whatever its version."""


def _is_ours(space: Workspace, name: str) -> bool:
    return space.has(name) and _OURS[PurePosixPath(name).name] in space.text(name)


def folder_for(space: Workspace, home: str) -> str:
    """Return the folder for the copies: where gunicorn runs, or one below where another file has their name."""
    if not space.has(_join(home, FILES[0])) or _is_ours(space, _join(home, FILES[0])):
        return home
    for folder in _FOLDERS:
        place = _join(home, folder)
        if not (space.root / place).exists() or _is_ours(space, _join(place, FILES[0])):
            return place
    return _join(home, _FOLDERS[-1])


def foreign(space: Workspace, home: str, folder: str) -> list[str]:
    """Return what would be imported in the place of a copy, one line each.

    Python looks into the working directory first, so that a module of that name there counts for copies below it, too.

    Args:
        space: The project.
        home: Where gunicorn runs.
        folder: Where the copies go.
    """
    places = [_join(folder, FILES[0]), *(_join(place, name) for place in (home, folder) for name in FILES[1:])]
    packages = [name.removesuffix(".py") for name in places]
    found = [name for name in places if (space.root / name).exists() and not _is_ours(space, name)]
    found += [name for name in packages if (space.root / name / "__init__.py").exists()]
    return [
        f"{name}: a file of your own has the name of one that no502 copies, and gunicorn would import it: rename it"
        for name in dict.fromkeys(found)
    ]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def copy_files(space: Workspace, folder: str) -> list[str]:
    """Copy what is missing; return notes about copies that are there and differ."""
    notes = []
    for file in FILES:
        name, source = _join(folder, file), (_SOURCE / file).read_bytes()
        if space.has(name):
            if (space.root / name).read_bytes() != source:
                notes.append(f"{name} is there and differs from this version's: it is left as it is")
            continue
        space.put(name, source.decode())
        space.copies.append(name)
    return notes


def into_image(space: Workspace, start: Start, folder: str) -> list[str]:
    """Have the image hold the copies at its working directory; return why that cannot be done."""
    built = start.built
    if built is None:
        if start.service is not None and start.service.kind is ServiceKind.KUBERNETES:
            return [f"the image of {start.service.name} has to hold {', '.join(FILES)} in its working directory"]
        return []
    names = [_join(folder, file) for file in FILES]
    below = folder[len(start.home) :].strip("/")
    wanted = [str(PurePosixPath(start.workdir) / below / file) for file in FILES]
    if _mounted(start) or [built.inside(start.workdir, name) for name in names] == wanted:
        _ignored(space, built.context, names)
        return []
    if built.context and not folder.startswith(built.context):
        return [f"{built.file}: {', '.join(names)} are outside of what the image is built from"]
    sources = [name[len(built.context) :].lstrip("/") for name in names]
    target = f"./{below}/" if below else "./"
    before_command(
        space, built.file, f"COPY {' '.join(sources)} {target}", "the image holds the copies where gunicorn runs"
    )
    _ignored(space, built.context, names)
    return []


def _mounted(start: Start) -> bool:
    """Whether a folder of the host is what the working directory inside shows."""
    return start.service is not None and any(
        target.rstrip("/") == start.workdir.rstrip("/") for _, target in start.service.volumes
    )


def _ignored(space: Workspace, context: str, names: list[str]) -> None:
    """Take the copies out of what .dockerignore leaves out."""
    file = _join(context, ".dockerignore")
    if not space.has(file):
        return
    text = space.text(file)
    hidden = [name[len(context) :].lstrip("/") for name in names]
    hidden = [name for name in hidden if _is_hidden(text, name)]
    if hidden:
        end = text if text.endswith("\n") or not text else text + "\n"
        space.put(file, end + "".join(f"!{name}\n" for name in hidden), "the copies belong to the image")


def _is_hidden(text: str, name: str) -> bool:
    hidden = False
    for line in text.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        negated, pattern = pattern.startswith("!"), pattern.lstrip("!").strip("/")
        pattern = pattern.removeprefix("./")
        tails = [name, *(str(parent) for parent in PurePosixPath(name).parents if str(parent) != ".")]
        plain = pattern.removeprefix("**/")
        if any(
            _matches(tail, pattern) or (plain != pattern and _matches(PurePosixPath(tail).name, plain))
            for tail in tails
        ):
            hidden = not negated
    return hidden


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern of .dockerignore means a name: ``*`` stops at a slash."""
    if name.count("/") != pattern.count("/"):
        return False
    return all(fnmatch.fnmatchcase(one, two) for one, two in zip(name.split("/"), pattern.split("/"), strict=True))
