"""A project's nginx: which files are whose, and in which nginx they are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath

from no502.doctor.facts import in_container
from no502.doctor.model import NginxConfig, NotChecked, Origin, Service
from no502.doctor.readers.compose.project import ComposeService
from no502.doctor.readers.context import Context, known_environment
from no502.doctor.readers.gaps import mark_gaps
from no502.doctor.readers.inline import Inline
from no502.doctor.readers.kinds import kind_of_file, looks_like_nginx
from no502.doctor.readers.kubernetes.manifests import read_config_maps
from no502.doctor.readers.nginx.configuration import read_nginx
from no502.doctor.readers.nginx.services import is_nginx, is_nginx_image, is_stock, nginx_versions
from no502.doctor.readers.texts import shown_path

__all__ = ["read_config_map_nginx", "read_project_nginx"]

_LARGEST, _MOST_MOUNTED, _NAMED = 4_000_000, 200, 6
_MAIN_BLOCK = re.compile(r"^[ \t]*+(?:http|events)\s*+\{|^# configuration file \S++:", re.MULTILINE)
_FRAGMENT = re.compile(r"^[ \t]*+(?:server|upstream[ \t]++[^\s{]++|map[ \t]++\S++[ \t]++[^\s{]++)\s*+\{", re.MULTILINE)
_WHOLE = re.compile(r"(?:^|[;{}\s])(?:http|server|events)\s*+\{|^# configuration file \S++:", re.MULTILINE)
_EXAMPLE = re.compile(
    r"example|sample|variant|(?:^|[/._-])(?:test|demo|old|bak|backup|alternative|optional)s?(?:[/._-]|$)", re.IGNORECASE
)


def read_project_nginx(
    compose: Sequence[ComposeService], images: Sequence[ComposeService], context: Context
) -> tuple[set[Path], set[Path]]:
    """Read the nginx files of a project.

    Args:
        compose: The services of its Compose files.
        images: The images of its other Dockerfiles.
        context: The project.

    Returns:
        The files that a container of Compose has, and those that are only taken to be its own.
    """
    containers = [*compose, *images]
    fronts = [one for one in containers if is_nginx(one)]
    _follow_mounts(fronts, context)
    files = [path for path in _roots(context) if not _is_covered(path, fronts)]
    for one in fronts:
        for inside, inline in one.inline.items():
            if "nginx" in inside and looks_like_nginx(inline.text):
                _read_inline(inline, one.service, context)
    served = [path for path in files if _serving(path, fronts)]
    read: set[Path] = set()
    held: set[Path] = set()
    guessed: set[Path] = set()
    for path in served:
        if path.resolve() in read or _is_inert(path, fronts, context):
            continue
        front = _serving(path, fronts)
        files_of = _read(path, front, front.service if front else None, served, fronts, context, read)
        read |= files_of
        held |= files_of if any(front is one for one in compose) else set()
    # Where volumes or an image say which files an nginx has, variants and examples are not its own.
    others = [path for path in files if path not in served and path.resolve() not in read]
    for path in others if not served else [path for path in others if _of_host(path, context)]:
        if path.resolve() in read or not _is_whole(path, context):
            continue
        front = fronts[0] if len(fronts) == 1 and not served and not is_stock(fronts[0]) else None
        pods = [one for one in context.deployment.services if is_nginx_image(one) and not _config_maps(one)]
        alone = not containers and len(pods) == 1
        service = front.service if front else pods[0] if alone else None
        seen, reported = len(context.deployment.looked_at), len(context.deployment.problems)
        files_of = _read(path, front, service, served, fronts, context, read)
        if (served or (fronts and front is None)) and _leads_into(context.deployment.nginx, path, compose, context):
            # Another one for the container: on the host, no name of Compose leads anywhere.
            context.deployment.nginx.pop()
            del context.deployment.looked_at[seen:], context.deployment.problems[reported:]
            continue
        read |= files_of
        guessed |= files_of if front is not None else set()
    _name_rest([path for path in files if path.resolve() not in read], context)
    return held, guessed


def _follow_mounts(fronts: Sequence[ComposeService], context: Context) -> None:
    """Add the nginx files that containers mount and that were not found by themselves: Compose was named alone."""
    known = {path.resolve() for path in context.project.nginx}
    for front in fronts:
        for inside, here in front.mounts.items():
            if not inside.startswith("/etc/nginx") and "/nginx/" not in inside:
                continue
            reach = context.options.reach
            paths = reach.listing(here, _MOST_MOUNTED) if reach.holds(here) else [here]
            for path in paths:
                new = context.options.reach.has(path) and path.resolve() not in known
                if new and kind_of_file(PurePath(path.name), _text(path, context), given=False) == "nginx":
                    known.add(path.resolve())
                    context.project.nginx.append(path)


def _read(
    path: Path,
    front: ComposeService | None,
    service: Service | None,
    served: Sequence[Path],
    fronts: Sequence[ComposeService],
    context: Context,
    read: set[Path],
) -> set[Path]:
    """Read one nginx and return the files that it has."""
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
        known=context.project.nginx,
        deployment=context.deployment,
    )
    config.runner = service
    _keep(config, context)
    new = set(context.deployment.looked_at) - before
    return {path.resolve()} | {
        other.resolve() for other in context.project.nginx if shown_path(other, context.base) in new
    }


def _leads_into(read: Sequence[NginxConfig], path: Path, compose: Sequence[ComposeService], context: Context) -> bool:
    """Whether the nginx that was read last, from that file, connects to Compose's services by their names."""
    if not read or read[-1].origin.file != shown_path(path, context.base):
        return False
    names = {name for one in compose for name in (one.service.name, *one.service.aliases)}
    peers = [peer for one in read[-1].locations if one.upstream is not None for peer in one.upstream.servers]
    return any(peer.address.value is not None and peer.address.value.host in names for peer in peers)


def _keep(config: NginxConfig, context: Context) -> None:
    mark_gaps(config, context.deployment)
    if not config.locations and not config.upstreams:
        context.deployment.nginx.remove(config)


def read_config_map_nginx(context: Context) -> None:
    """Read the configurations that a cluster gives its nginx containers."""
    services = [one for one in context.deployment.services if is_nginx_image(one)]
    for name, inline in read_config_maps(
        context.project.manifests,
        base=context.base,
        is_nginx=looks_like_nginx,
        reach=context.options.reach,
        rendered=context.project.rendered,
    ):
        service = next((one for one in services if name in _config_maps(one)), None)
        _read_inline(inline, service, context)


def _read_inline(inline: Inline, service: Service | None, context: Context) -> None:
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
    config.runner = service
    _keep(config, context)


def _of_host(path: Path, context: Context) -> bool:
    """Whether a file that no container has may be the host's: something on the host, or published to it, serves."""
    if _EXAMPLE.search(shown_path(path, context.project.folder)):
        return False
    deployment = context.deployment
    return any(not in_container(one.runner) for one in deployment.servers)


def _name_rest(left: Sequence[Path], context: Context) -> None:
    """Say which nginx files are not judged: no container has them, or nothing includes them."""
    named: dict[str, list[str]] = {}
    for path in left:
        shown = shown_path(path, context.base)
        if _EXAMPLE.search(shown) or shown in context.deployment.looked_at or path.suffix == ".md":
            continue  # a page about nginx has lines of nginx, and is no part of the deployment
        text = _text(path, context)
        if "{%" in text and text.count("{") != text.count("}"):
            why = "the template's branches change its braces"
        elif _is_whole(path, context):
            why = "no nginx in these files includes it"
        else:
            why = "it has no server{}, and no file includes it"
        named.setdefault(why, []).append(shown)
    for why, files in named.items():
        more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
        gap = NotChecked(what=", ".join(files[:_NAMED]) + more, why=why, origin=Origin(file=files[0]))
        context.deployment.leave_out(gap)


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
        and not _is_inert(other, fronts, context)
    ]


def _is_covered(path: Path, fronts: Sequence[ComposeService]) -> bool:
    """Whether another file is mounted over this one, which is in a mounted folder: nginx never sees it."""
    front = _serving(path, fronts)
    here = front.mounts.get(_inside(path, front)) if front is not None else None
    return here is not None and here != path.resolve()


def _is_inert(path: Path, fronts: Sequence[ComposeService], context: Context) -> bool:
    """Whether an nginx has a file in a place that its own main file does not include: another file has to do it."""
    front = _serving(path, fronts)
    inside = _inside(path, front) if front is not None else ""
    if not inside or _MAIN_BLOCK.search(_text(path, context)):
        return False
    name = inside.replace("/etc/nginx/templates/", "/etc/nginx/conf.d/").removesuffix(".template")
    if re.fullmatch(r"/etc/nginx/(?:conf\.d|http\.d)/[^/]+\.conf", name) or "/sites-" in name:
        return False
    return name.startswith("/etc/nginx/") or not _is_whole(path, context)


def _inside(path: Path, front: ComposeService) -> str:
    """Return where a file is in a container; empty where that is not known."""
    real = path.resolve()
    for inside, here in front.mounts.items():
        if here == real:
            return inside
        if here in real.parents:
            return str(PurePosixPath(inside) / real.relative_to(here).as_posix())
    return ""


def _config_maps(service: Service) -> Sequence[str]:
    fact = service.settings.config_maps
    return (fact.value or ()) if fact is not None else ()


def _roots(context: Context) -> list[Path]:
    """Return the files to begin with: main files first, so that what they include is not read by itself again."""
    paths = context.project.nginx
    return sorted(
        paths,
        key=lambda path: (
            _MAIN_BLOCK.search(_text(path, context)) is None,
            not _is_whole(path, context),
            len(path.parts),
            str(path),
        ),
    )


def _text(path: Path, context: Context) -> str:
    return (context.options.reach.head(path, _LARGEST) or b"").decode("utf-8-sig", errors="replace")


def _is_whole(path: Path, context: Context) -> bool:
    """Whether a file has a server of its own; without one it is a part of another file."""
    text = _text(path, context)
    return _WHOLE.search(text) is not None or (not text and path.name.endswith(".conf"))


def _is_fragment(path: Path, context: Context) -> bool:
    """Whether a file is one of conf.d: no main file, no dump, no snippet of a server."""
    text = _text(path, context)
    return _MAIN_BLOCK.search(text) is None and _FRAGMENT.search(text) is not None


def _serving(path: Path, fronts: Sequence[ComposeService]) -> ComposeService | None:
    """Return the nginx whose volumes or image hold the file."""
    real = path.resolve()
    for front in fronts:
        for here in front.mounts.values():
            if here == real or here in real.parents:
                return front
    for front in fronts:
        mine = front.context is not None and front.context in real.parents
        if mine and front.image is not None and not front.image.copies:
            return front
        if mine and front.context is not None and front.context.name and _base_is_nginx(front):
            return front
    return None


def _base_is_nginx(front: ComposeService) -> bool:
    return front.image is not None and "nginx" in front.image.base
