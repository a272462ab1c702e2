"""Which of a project's Compose files are the deployment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from no502.doctor.model import Deployment
from no502.doctor.options import Options
from no502.doctor.readers.compose.project import ComposeService, read_compose
from no502.doctor.readers.discovery import Project
from no502.doctor.readers.nginx.services import is_nginx

__all__ = ["chosen", "variants"]

_OVERRIDE = re.compile(r"(?:docker-)?compose\.override\.ya?ml$")
_MAIN = re.compile(r"(?:docker-)?compose\.ya?ml$")
_DEVELOPMENT = re.compile(r"[._-](?:dev|devel|development|local|tests?|testing|ci|debug|e2e|override|docs)(?![a-z])")
_PRODUCTION = re.compile(r"prod")
_MOST_SETS = 6


def variants(project: Project, options: Options) -> list[Project]:
    """Return the project once for each set of its Compose files that may be what serves.

    ``docker-compose.yml`` is often for developers, and ``docker-compose.prod.yml``, alone or over it, is what serves: a
    file that stands alone is judged alone, one that changes others or adds an nginx is judged over the usual ones.
    """
    main = chosen(project)
    others = [
        path
        for path in project.compose
        if path not in main and main and path.parent == main[0].parent and not _DEVELOPMENT.search(path.name)
    ]
    if project.given or not others:
        return [project]
    alone = [path for path in others if _is_whole(path, main, options)]
    sets = [[path] if path in alone else [*main, path] for path in others][:_MOST_SETS]
    serving = [files for files in sets if _has_server(files, options)]
    if project.nginx and not _has_nginx(main, options) and any(_has_nginx(files, options) for files in serving):
        # The usual file is for developers: nothing stands in front of it.
        return [replace(project, compose=files, given=True) for files in serving if _has_nginx(files, options)]
    return [project, *(replace(project, compose=files, given=True) for files in serving)]


def _has_server(files: Sequence[Path], options: Options) -> bool:
    """Whether a set of files says what a service runs: others (monitoring, a database) are none of ours."""
    read = _read(files, options)
    own = {one.service.name for one in _read(files[-1:], options) if one.argv or one.service.settings.build is not None}
    return any(one.argv and one.service.name in own for one in read) or any(is_nginx(one) for one in read)


def _read(files: Sequence[Path], options: Options) -> list[ComposeService]:
    return read_compose(files, base=options.base or Path(), deployment=Deployment(reach=options.reach))


def chosen(project: Project) -> list[Path]:
    """Return the Compose files that ``docker compose up`` reads."""
    files = project.compose
    main = [path for path in files if _MAIN.fullmatch(path.name)]
    over = [path for path in files if _OVERRIDE.fullmatch(path.name)]
    if project.given or not main:
        serving = [path for path in files if not _DEVELOPMENT.search(path.name)]
        serving.sort(key=lambda path: _PRODUCTION.search(path.name) is None)
        return files if project.given else (serving or files)[:1]
    return [*main[:1], *(path for path in over if path.parent == main[0].parent)]


def _has_nginx(files: Sequence[Path], options: Options) -> bool:
    return any(is_nginx(one) for one in _read(files, options)) if files else False


def _is_whole(path: Path, main: Sequence[Path], options: Options) -> bool:
    """Whether a Compose file stands alone: each of its services says what it runs, and needs no other file's.

    An nginx without an application is put in front of what the usual file has.
    """
    read = _read([path], options)
    names = {one.service.name for one in read}
    said = all(one.service.settings.image is not None or one.service.settings.build is not None for one in read)
    if not said or any(not names.issuperset(one.service.depends_on) for one in read):
        return False
    serves = any((one.argv or one.service.settings.build is not None) and not is_nginx(one) for one in read)
    if serves or not any(is_nginx(one) for one in read):
        return True
    return not names.isdisjoint(one.service.name for one in _read(main, options))
