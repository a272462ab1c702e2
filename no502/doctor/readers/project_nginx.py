"""A project's nginx: which files are whose, and in which nginx they are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from no502.doctor.model import Service
from no502.doctor.readers.compose import ComposeService
from no502.doctor.readers.context import Context, known_environment
from no502.doctor.readers.gaps import mark_gaps
from no502.doctor.readers.kinds import looks_like_nginx
from no502.doctor.readers.kubernetes import read_config_maps
from no502.doctor.readers.nginx import read_nginx
from no502.doctor.readers.nginx_services import is_nginx, is_nginx_image, nginx_versions
from no502.doctor.readers.texts import shown_path

__all__ = ["read_config_map_nginx", "read_project_nginx"]

_LARGEST = 4_000_000
_MAIN_BLOCK = re.compile(r"^[ \t]*+(?:http|events)\s*+\{|^# configuration file \S+:", re.MULTILINE)
_FRAGMENT = re.compile(r"^[ \t]*+(?:server|upstream[ \t]++\S++|map[ \t]++\S++[ \t]++\S++)\s*+\{", re.MULTILINE)


def read_project_nginx(compose: Sequence[ComposeService], context: Context) -> None:
    """Read the nginx files of a project: those that a service has, else all.

    Args:
        compose: The services of its Compose files.
        context: The project.
    """
    fronts = [one for one in compose if is_nginx(one)]
    read: set[Path] = set()
    files = _roots(context.project.nginx)
    # Where volumes or an image say which files an nginx has, others (variants, examples) are not its own.
    served = [path for path in files if _serving(path, fronts)]
    for path in served or files:
        if path.resolve() in read:
            continue
        front = _serving(path, fronts) or (fronts[0] if len(fronts) == 1 else None)
        pods = [] if compose else [one for one in context.deployment.services if is_nginx_image(one)]
        service = front.service if front else pods[0] if len(pods) == 1 else None
        versions, note = nginx_versions(context.options.nginx_version, service, front)
        environment = {**context.values, **(known_environment(front.service) if front else {})}
        mounts = {inside: _here(here, context) for inside, here in front.mounts.items()} if front else {}
        before = set(context.deployment.looked_at)
        config, _ = read_nginx(
            path,
            base=context.base,
            versions=versions,
            version_note=note,
            environment=environment,
            path_map=mounts,
            service=service.name if service is not None else None,
            beside=_beside(path, served, read, fronts, context),
            deployment=context.deployment,
        )
        mark_gaps(config, context.deployment)
        new = set(context.deployment.looked_at) - before
        read |= {other.resolve() for other in context.project.nginx if shown_path(other, context.base) in new}
        if not config.locations and not config.upstreams:
            context.deployment.nginx.remove(config)


def read_config_map_nginx(context: Context) -> None:
    """Read the configurations that a cluster gives its nginx containers."""
    services = [one for one in context.deployment.services if is_nginx_image(one)]
    for name, inline in read_config_maps(
        context.project.manifests, base=context.base, is_nginx=looks_like_nginx, reach=context.options.reach
    ):
        mounted = [one for one in services if name in _config_maps(one)]
        service = next(iter(mounted), None)
        versions, note = nginx_versions(context.options.nginx_version, service, None)
        config, _ = read_nginx(
            context.project.folder / "nginx.conf",
            base=context.base,
            versions=versions,
            version_note=note,
            service=service.name if service is not None else None,
            inline=inline,
            deployment=context.deployment,
        )
        mark_gaps(config, context.deployment)
        if not config.locations and not config.upstreams:
            context.deployment.nginx.remove(config)


def _here(path: Path, context: Context) -> str:
    """Return a path as the other files are named, so that no file has two names."""
    return str(context.base / shown_path(path, context.base))


def _beside(
    path: Path, served: Sequence[Path], read: set[Path], fronts: Sequence[ComposeService], context: Context
) -> list[Path]:
    """Return the other fragments that the image's own main file includes together with this one."""
    front = _serving(path, fronts)
    if front is None or not _is_fragment(path, context):
        return []
    return [
        other
        for other in served
        if other != path
        and other.resolve() not in read
        and _serving(other, fronts) is front
        and _is_fragment(other, context)
    ]


def _config_maps(service: Service) -> Sequence[str]:
    fact = service.settings.get("config_maps")
    return (fact.value or ()) if fact is not None else ()


def _roots(paths: Sequence[Path]) -> list[Path]:
    """Return the files to begin with: main files first, so that what they include is not read by itself again."""
    return sorted(paths, key=lambda path: (path.name != "nginx.conf", len(path.parts), str(path)))


def _is_fragment(path: Path, context: Context) -> bool:
    """Whether a file is one of conf.d: no main file, no dump, no snippet of a server."""
    text = (context.options.reach.head(path, _LARGEST) or b"").decode("utf-8", errors="replace")
    return _MAIN_BLOCK.search(text) is None and _FRAGMENT.search(text) is not None


def _serving(path: Path, fronts: Sequence[ComposeService]) -> ComposeService | None:
    """Return the nginx whose volumes or image hold the file."""
    real = path.resolve()
    for front in fronts:
        for here in front.mounts.values():
            if here == real or here in real.parents:
                return front
        if front.context is not None and front.context in real.parents:
            return front
    return None
