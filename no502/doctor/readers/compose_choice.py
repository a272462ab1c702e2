"""Which of a project's Compose files are the deployment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from no502.doctor.model import Deployment
from no502.doctor.readers.compose import read_compose
from no502.doctor.readers.context import Options
from no502.doctor.readers.discovery import Project
from no502.doctor.readers.nginx_services import is_nginx

__all__ = ["chosen", "variants"]

_OVERRIDE = re.compile(r"(?:docker-)?compose\.override\.ya?ml$")
_MAIN = re.compile(r"(?:docker-)?compose\.ya?ml$")
_DEVELOPMENT = re.compile(r"[.-](?:dev|devel|development|local|tests?|testing|ci|debug|e2e)\b")


def variants(project: Project, options: Options) -> list[Project]:
    """Return the project once for each Compose file that has the nginx which the usual one has not.

    ``docker-compose.yml`` is for developers then, and ``docker-compose.prod.yml`` is what serves.
    """
    main = chosen(project)
    others = [path for path in project.compose if path not in main and path.parent == project.compose[0].parent]
    if project.given or not others or not project.nginx or _has_nginx(main, options):
        return [project]
    found = [files for path in others for files in ([path], [*main, path]) if _has_nginx(files, options)]
    alone = {files[0] for files in found if len(files) == 1 and _is_whole(files[0], options)}
    serving = [files for files in found if (files[0] in alone if len(files) == 1 else files[-1] not in alone)]
    return [replace(project, compose=files, given=True) for files in serving] or [project]


def chosen(project: Project) -> list[Path]:
    """Return the Compose files that ``docker compose up`` reads."""
    files = project.compose
    main = [path for path in files if _MAIN.fullmatch(path.name)]
    over = [path for path in files if _OVERRIDE.fullmatch(path.name)]
    if project.given or not main:
        serving = [path for path in files if not _DEVELOPMENT.search(path.name)]
        return files if project.given else (serving or files)[:1]
    return [*main[:1], *(path for path in over if path.parent == main[0].parent)]


def _has_nginx(files: Sequence[Path], options: Options) -> bool:
    if not files:
        return False
    read = read_compose(files, base=options.base or Path(), deployment=Deployment(reach=options.reach))
    return any(is_nginx(one) for one in read)


def _is_whole(path: Path, options: Options) -> bool:
    """Whether a Compose file stands alone: each of its services says what it runs."""
    read = read_compose([path], base=Path(), deployment=Deployment(reach=options.reach))
    return all("image" in one.service.settings or "build" in one.service.settings for one in read)
