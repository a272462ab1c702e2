"""All readers together: paths into one model for each project."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from no502.doctor.model import Deployment, Fact, Origin, Problem, Service, ServiceKind
from no502.doctor.readers.app_server import add_server
from no502.doctor.readers.compose import ComposeService, read_compose
from no502.doctor.readers.discovery import Project, find_projects, is_nginx_text
from no502.doctor.readers.dockerfile import Image, read_dockerfile
from no502.doctor.readers.gaps import mark_gaps
from no502.doctor.readers.kubernetes import read_config_maps, read_manifests
from no502.doctor.readers.nginx import find_versions, read_nginx
from no502.doctor.readers.python_conf import read_python_conf
from no502.doctor.readers.scripts import read_procfile, read_script
from no502.doctor.readers.server_words import Place
from no502.doctor.readers.shell_words import Command, find_commands
from no502.doctor.readers.supervisor import read_supervisor
from no502.doctor.readers.systemd import read_unit
from no502.doctor.readers.texts import read_environment, read_text, shown_path

__all__ = ["Options", "read_deployments"]

_NGINX_IMAGE = re.compile(r"(?:^|/)(?:nginx|nginx-unprivileged|openresty|nginx-alpine)(?::([^@]+))?(?:@.*)?$")
_OVERRIDE = re.compile(r"(?:docker-)?compose\.override\.ya?ml$")
_LARGEST = 4_000_000
_MAIN_BLOCK = re.compile(r"^\s*(?:http|events)\s*\{|^# configuration file \S+:", re.MULTILINE)
_FRAGMENT = re.compile(r"^\s*(?:server|upstream\s+\S+|map\s+\S+\s+\S+)\s*\{", re.MULTILINE)
_DEVELOPMENT = re.compile(r"[.-](?:dev|devel|development|local|tests?|testing|ci|debug|e2e)\b")
_MAIN = re.compile(r"(?:docker-)?compose\.ya?ml$")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user says about a deployment."""

    nginx_version: str | None = None
    base: Path | None = None
    """Paths are shown relative to it; by default the working directory."""
    exec_config: bool = False
    """Run gunicorn's configuration files for what reading them does not tell."""


def read_deployments(paths: Sequence[Path], options: Options | None = None) -> list[Deployment]:
    """Read what is below the paths, a deployment for each project.

    Args:
        paths: Files and directories. Files named one by one are one deployment.
        options: What the files do not say.

    Raises:
        UserError: The nginx parser is not installed.
    """
    options = options or Options()
    return [_Project(one, options).read() for project in find_projects(paths) for one in _variants(project, options)]


def _variants(project: Project, options: Options) -> list[Project]:
    """Return the project once for each Compose file that has the nginx which the usual one has not.

    ``docker-compose.yml`` is for developers then, and ``docker-compose.prod.yml`` is what serves.
    """
    main = _chosen(project)
    others = [path for path in project.compose if path not in main and path.parent == project.compose[0].parent]
    if project.given or not others or not project.nginx or _has_nginx(project, main, options):
        return [project]
    found = [files for path in others for files in ([path], [*main, path]) if _has_nginx(project, files, options)]
    alone = {files[0] for files in found if len(files) == 1 and _is_whole(files[0])}
    chosen = [files for files in found if (files[0] in alone if len(files) == 1 else files[-1] not in alone)]
    return [replace(project, compose=files, given=True) for files in chosen] or [project]


def _chosen(project: Project) -> list[Path]:
    """Return the Compose files that ``docker compose up`` reads."""
    files = project.compose
    main = [path for path in files if _MAIN.fullmatch(path.name)]
    over = [path for path in files if _OVERRIDE.fullmatch(path.name)]
    if project.given or not main:
        serving = [path for path in files if not _DEVELOPMENT.search(path.name)]
        return files if project.given else (serving or files)[:1]
    return [*main[:1], *(path for path in over if path.parent == main[0].parent)]


def _has_nginx(project: Project, files: Sequence[Path], options: Options) -> bool:
    if not files:
        return False
    reader = _Project(project, options)
    read = read_compose(files, base=options.base or Path(), deployment=Deployment())
    return any(reader.is_nginx(one) for one in read)


def _is_whole(path: Path) -> bool:
    """Whether a Compose file stands alone: each of its services says what it runs."""
    read = read_compose([path], base=Path(), deployment=Deployment())
    return all("image" in one.service.settings or "build" in one.service.settings for one in read)


class _Project:
    """Reads one project."""

    def __init__(self, project: Project, options: Options) -> None:
        self._project, self._options = project, options
        self._base = options.base or Path()
        self._deployment = Deployment()
        self._values = read_environment(project.folder / ".env")
        self._loaded: set[str] = set()

    def read(self) -> Deployment:
        compose = self._compose()
        for one in compose:
            self._servers_of(one)
        built = {one.context for one in compose if one.context is not None}
        self._dockerfiles(built)
        self._units()
        self._manifests()
        self._procfiles()
        self._scripts()
        self._nginx(compose)
        self._nginx_in_config_maps()
        self._configurations()
        return self._deployment

    def _compose(self) -> list[ComposeService]:
        chosen = _chosen(self._project)
        if not chosen:
            return []
        return read_compose(chosen, base=self._base, deployment=self._deployment)

    def _servers_of(self, one: ComposeService) -> None:
        environment = self._known(one.service)
        folders = [*one.mounts.values(), *([one.context] if one.context else []), self._project.folder]
        for command, origin in self._commands(one.argv, one.origin, one, environment):
            self._add(command, origin, folders, environment, one.service.name)

    def _commands(
        self, argv: Sequence[str], origin: Origin, one: ComposeService | None, environment: Mapping[str, str]
    ) -> Iterable[tuple[Command, Origin]]:
        found = [(command, origin) for command in find_commands(argv)]
        if found or not argv:
            return found
        words = [part for text in argv if not text.startswith("-") for part in text.split()]
        for word in words:
            path = self._script(word, one)
            if path is not None:
                arguments = _after(word, argv)
                found = list(
                    read_script(
                        path,
                        base=self._base,
                        environment=environment,
                        deployment=self._deployment,
                        arguments=arguments,
                    )
                )
                return found or self._commands(arguments or (), origin, one, environment)
        # An entrypoint that is not among the files usually ends with exec "$@".
        first = argv[0].rsplit("/", 1)[-1]
        if "entrypoint" in first or "wait" in first or first.endswith(".sh"):
            rest = argv[argv.index("--") + 1 :] if "--" in argv else argv[1:]
            return [(command, origin) for command in find_commands(rest)]
        return []

    def _script(self, word: str, one: ComposeService | None) -> Path | None:
        """Return where an entrypoint of a container is here."""
        name = Path(word)
        if not name.name or name.name in {"sh", "bash", "python", "env"} or ("/" not in word and not name.suffix):
            return None
        candidates: list[Path] = []
        if one is not None:
            for inside, here in one.mounts.items():
                if word == inside or here.name == name.name:
                    candidates.append(here)
                candidates.append(here / name.name)
            if one.context is not None:
                candidates += [one.context / word.lstrip("/"), one.context / name.name]
        candidates += [path for path in self._project.scripts if path.name == name.name]
        return next((path for path in candidates if path.is_file()), None)

    def _add(
        self,
        command: Command,
        origin: Origin,
        folders: Sequence[Path],
        environment: Mapping[str, str],
        service: str | None,
    ) -> None:
        folders = [*folders, (self._base / origin.file).parent]
        place = Place(
            origin=origin,
            base=self._base,
            folders=folders,
            environment=environment,
            service=service,
            execute=self._options.exec_config,
        )
        server = add_server(command, place, self._deployment)
        names = [str(server.conf_file.value)] if server.conf_file is not None and server.conf_file.value else []
        names += [fact.origin.file for fact in server.settings.values() if fact.origin.file.endswith(".py")]
        if (
            names
            and server.settings.get("worker_class")
            and "gunicorn_handover" in str(server.settings["worker_class"].value)
        ):
            names.append("gunicorn_conf.py")
        self._loaded |= {Path(name.removeprefix("python:").removeprefix("file:")).name for name in names}

    def _known(self, service: Service) -> dict[str, str]:
        return {name: fact.value for name, fact in service.environment.items() if fact.known and fact.value is not None}

    def _dockerfiles(self, built: set[Path]) -> None:
        for path in self._project.dockerfiles:
            shown = shown_path(path, self._base)
            if path.parent.resolve() in built or shown in self._deployment.looked_at:
                continue
            text = read_text(path, self._base, self._deployment, rule="C003")
            image = read_dockerfile(text or "", shown)
            service = _of_image(image, shown, path)
            known = self._deployment.service(service.name)
            if any(server.service == service.name for server in self._deployment.servers):
                continue  # the service of that name says itself what it runs
            environment = {**image.environment, **(self._known(known) if known is not None else {})}
            argv = (*(image.entrypoint.argv if image.entrypoint else ()), *(image.cmd.argv if image.cmd else ()))
            written = image.cmd or image.entrypoint
            origin = Origin(file=shown, line=written.line if written else 1)
            alone = ComposeService(
                service=service, argv=argv, origin=origin, image=image, context=path.parent, mounts={}
            )
            commands = list(self._commands(argv, origin, alone, environment))
            if commands and known is None:
                self._deployment.services.append(service)
            for command, place in commands:
                self._add(command, place, [path.parent, self._project.folder], environment, service.name)

    def _units(self) -> None:
        for path in self._project.units:
            unit = read_unit(path, base=self._base, deployment=self._deployment)
            if unit is None:
                continue
            environment = self._known(unit.service)
            folders = [self._project.folder, path.parent, *path.parent.parents[:3]]
            for argv, origin in unit.commands:
                for command, place in self._commands(argv, origin, None, environment):
                    self._add(command, place, folders, environment, unit.service.name)

    def _manifests(self) -> None:
        if not self._project.manifests:
            return
        for one in read_manifests(self._project.manifests, base=self._base, deployment=self._deployment):
            environment = self._known(one.service)
            for command, place in self._commands(one.argv, one.origin, None, environment):
                self._add(command, place, [self._project.folder], environment, one.service.name)

    def _procfiles(self) -> None:
        for path in self._project.procfiles:
            for name, command, origin in read_procfile(path, base=self._base, deployment=self._deployment):
                service = Service(kind=ServiceKind.PROCFILE, name=name, origin=origin)
                self._deployment.services.append(service)
                self._add(command, origin, [path.parent], self._values, name)

    def _scripts(self) -> None:
        """Read what nothing else has led to, where nothing else starts a server: supervisord's files, scripts."""
        for path in () if self._deployment.servers else self._project.supervisors:
            for command, origin in read_supervisor(path, base=self._base, deployment=self._deployment):
                self._add(command, origin, [path.parent, self._project.folder], self._values, None)
        if self._deployment.servers:
            return
        for path in self._project.scripts:
            found = read_script(path, base=self._base, environment=self._values, deployment=self._deployment)
            for command, origin in list(found):
                plain = Command(program=command.program, words=command.words, environment=command.environment)
                self._add(plain, origin, [path.parent, self._project.folder], command.environment, None)

    def _nginx(self, compose: Sequence[ComposeService]) -> None:
        fronts = [one for one in compose if self.is_nginx(one)]
        read: set[Path] = set()
        files = _roots(self._project.nginx)
        # Where volumes or an image say which files an nginx has, others (variants, examples) are not its own.
        served = [path for path in files if _serving(path, fronts)]
        for path in served or files:
            if path.resolve() in read:
                continue
            front = _serving(path, fronts) or (fronts[0] if len(fronts) == 1 else None)
            pods = [] if compose else [one for one in self._deployment.services if self._is_nginx_image(one)]
            versions, note = self._version(front.service if front else pods[0] if len(pods) == 1 else None, front)
            environment = {**self._values, **(self._known(front.service) if front else {})}
            mounts = {inside: self._here(here) for inside, here in front.mounts.items()} if front else {}
            before = set(self._deployment.looked_at)
            config, _ = read_nginx(
                path,
                base=self._base,
                versions=versions,
                version_note=note,
                environment=environment,
                path_map=mounts,
                service=front.service.name if front else pods[0].name if len(pods) == 1 else None,
                beside=self._beside(path, served, read, fronts),
                deployment=self._deployment,
            )
            mark_gaps(config, self._deployment)
            new = set(self._deployment.looked_at) - before
            read |= {other.resolve() for other in self._project.nginx if shown_path(other, self._base) in new}
            if not config.locations and not config.upstreams:
                self._deployment.nginx.remove(config)

    def _nginx_in_config_maps(self) -> None:
        """Read the configurations that a cluster gives its nginx containers."""
        services = [one for one in self._deployment.services if self._is_nginx_image(one)]
        for name, inline in read_config_maps(self._project.manifests, base=self._base, is_nginx=is_nginx_text):
            mounted = [one for one in services if name in _config_maps(one)]
            service = next(iter(mounted), None)
            versions, note = self._version(service, None)
            config, _ = read_nginx(
                self._project.folder / "nginx.conf",
                base=self._base,
                versions=versions,
                version_note=note,
                service=service.name if service is not None else None,
                inline=inline,
                deployment=self._deployment,
            )
            mark_gaps(config, self._deployment)
            if not config.locations and not config.upstreams:
                self._deployment.nginx.remove(config)

    def _here(self, path: Path) -> str:
        """Return a path as the other files are named, so that no file has two names."""
        return str(self._base / shown_path(path, self._base))

    @staticmethod
    def _beside(path: Path, served: Sequence[Path], read: set[Path], fronts: Sequence[ComposeService]) -> list[Path]:
        """Return the other fragments that the image's own main file includes together with this one."""
        front = _serving(path, fronts)
        if front is None or not _is_fragment(path):
            return []
        return [
            other
            for other in served
            if other != path
            and other.resolve() not in read
            and _serving(other, fronts) is front
            and _is_fragment(other)
        ]

    @staticmethod
    def _is_nginx_image(service: Service) -> bool:
        image = service.settings.get("image")
        return image is not None and bool(_NGINX_IMAGE.search(str(image.value or "")))

    def is_nginx(self, one: ComposeService) -> bool:
        """Whether a service runs nginx, by its image or by what that is built from."""
        base = one.image.base if one.image is not None else ""
        return self._is_nginx_image(one.service) or bool(_NGINX_IMAGE.search(base))

    def _version(
        self, service: Service | None, front: ComposeService | None
    ) -> tuple[Sequence[tuple[int, int, int]], str]:
        if self._options.nginx_version is not None:
            return find_versions(self._options.nginx_version)
        image = service.settings.get("image") if service is not None else None
        name = str(image.value) if image is not None else front.image.base if front and front.image else ""
        found = _NGINX_IMAGE.search(name)
        return find_versions(found[1] or "latest" if found else None)

    def _configurations(self) -> None:
        """Report gunicorn configuration files that nothing loads; read one that stands alone."""
        gunicorns = [server for server in self._deployment.servers if server.program == "gunicorn"]
        for path in self._project.gunicorn:
            shown = shown_path(path, self._base)
            if path.name in self._loaded or shown in self._deployment.looked_at:
                continue
            text = read_text(path, self._base, self._deployment, rule="C003") or ""
            if not gunicorns and self._deployment.servers:
                continue  # another server is what runs
            if not gunicorns:
                command = Command(program="gunicorn", words=("-c", str(path)))
                origin = Origin(file=shown, line=1)
                self._add(command, origin, [path.parent], self._values, None)
                continue
            read = read_python_conf(text, shown, {})
            unknown_file = any(server.conf_file is not None and not server.conf_file.known for server in gunicorns)
            if read.settings and not unknown_file and not _example(path, self._project.folder):
                message = f"gunicorn loads only ./gunicorn.conf.py by itself, and no command names {path.name}"
                place = Origin(file=shown, line=1)
                fix = f"Start gunicorn with -c {path.name}."
                self._deployment.problems.append(Problem(rule="C005", message=message, origin=place, fix=fix))


def _after(word: str, argv: Sequence[str]) -> list[str] | None:
    """Return the arguments of a script in an argument list; None if it stands inside of a shell's line."""
    if word not in argv:
        return None
    return list(argv[argv.index(word) + 1 :])


def _config_maps(service: Service) -> Sequence[str]:
    fact = service.settings.get("config_maps")
    return (fact.value or ()) if fact is not None else ()


def _example(path: Path, folder: Path) -> bool:
    """Whether a name says that nothing is meant to load the file."""
    name = str(path.resolve()).removeprefix(str(folder.resolve())).lower()
    return any(word in name for word in ("example", "sample", "template", "test"))


def _of_image(image: Image, shown: str, path: Path) -> Service:
    name = path.parent.name or "image"
    ports = tuple(Fact(port, Origin(file=shown, line=line)) for line, port in image.ports)
    environment = {key: Fact(value, Origin(file=shown)) for key, value in image.environment.items()}
    settings: dict[str, Fact[Any]] = {}
    if image.stop_signal is not None:
        settings["stop_signal"] = Fact(image.stop_signal[1], Origin(file=shown, line=image.stop_signal[0]))
    return Service(
        kind=ServiceKind.DOCKERFILE,
        name=name,
        origin=Origin(file=shown, line=1),
        settings=settings,
        ports=ports,
        environment=environment,
    )


def _roots(paths: Sequence[Path]) -> list[Path]:
    """Return the files to begin with: main files first, so that what they include is not read by itself again."""
    return sorted(paths, key=lambda path: (path.name != "nginx.conf", len(path.parts), str(path)))


def _is_fragment(path: Path) -> bool:
    """Whether a file is one of conf.d: no main file, no dump, no snippet of a server."""
    try:
        text = path.read_bytes()[:_LARGEST].decode("utf-8", errors="replace")
    except OSError:
        return False
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
