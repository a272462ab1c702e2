"""All readers together: paths into one model for each project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from no502.doctor.model import Deployment, Fact, NotChecked, Origin, Problem, Service, ServiceKind
from no502.doctor.readers.app_server import add_server
from no502.doctor.readers.compose import ComposeService, read_compose
from no502.doctor.readers.compose_choice import chosen, variants
from no502.doctor.readers.context import Context, Options, known_environment
from no502.doctor.readers.discovery import Project, find_projects
from no502.doctor.readers.dockerfile import Image, read_dockerfile
from no502.doctor.readers.kubernetes import read_manifests
from no502.doctor.readers.project_nginx import read_config_map_nginx, read_project_nginx
from no502.doctor.readers.python_conf import read_python_conf
from no502.doctor.readers.scripts import read_procfile, read_script
from no502.doctor.readers.server_commands import server_commands
from no502.doctor.readers.server_words import Place
from no502.doctor.readers.shell_words import Command
from no502.doctor.readers.supervisor import read_supervisor
from no502.doctor.readers.systemd import read_unit
from no502.doctor.readers.texts import not_read, read_environment, read_text, shown_path

__all__ = ["Options", "read_deployments"]


def read_deployments(paths: Sequence[Path], options: Options | None = None) -> list[Deployment]:
    """Read what is below the paths, a deployment for each project.

    Args:
        paths: Files and directories. Files named one by one are one deployment.
        options: What the files do not say.

    Raises:
        UserError: The nginx parser is not installed.
    """
    options = options or Options()
    return [
        _Project(one, options).read()
        for project in find_projects([path.resolve() for path in paths], options.reach)
        for one in variants(project, options)
    ]


class _Project:
    """Reads one project."""

    def __init__(self, project: Project, options: Options) -> None:
        self._project, self._options = project, options
        self._deployment = Deployment(reach=options.reach)
        self._values = read_environment(project.folder / ".env", options.reach)
        self._context = Context(project=project, options=options, deployment=self._deployment, values=self._values)
        self._base = self._context.base
        self._loaded: set[str] = set()

    def read(self) -> Deployment:
        self._not_looked_at()
        compose = self._compose()
        for one in compose:
            self._servers_of(one)
        built = {one.context for one in compose if one.context is not None}
        self._dockerfiles(built)
        self._units()
        self._manifests()
        self._procfiles()
        self._scripts()
        read_project_nginx(compose, self._context)
        read_config_map_nginx(self._context)
        self._configurations()
        return self._deployment

    def _not_looked_at(self) -> None:
        where = Origin(file=shown_path(self._project.folder, self._base))
        self._deployment.not_checked += [
            NotChecked(what=what, why=why, origin=where) for what, why in self._project.skipped
        ]
        for path in self._project.unreadable:
            not_read(self._deployment, shown_path(path, self._base), "cannot be read: permission denied")

    def _compose(self) -> list[ComposeService]:
        files = chosen(self._project)
        if not files:
            return []
        return read_compose(files, base=self._base, deployment=self._deployment)

    def _servers_of(self, one: ComposeService) -> None:
        environment = known_environment(one.service)
        folders = [*one.mounts.values(), *([one.context] if one.context else []), self._project.folder]
        for command, origin in server_commands(one.argv, one.origin, one, environment, self._context):
            self._add(command, origin, folders, environment, one.service.name)

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

    def _dockerfiles(self, built: set[Path]) -> None:
        for path in self._project.dockerfiles:
            shown = shown_path(path, self._base)
            if path.parent.resolve() in built or shown in self._deployment.looked_at:
                continue
            text = read_text(path, self._base, self._deployment)
            image = read_dockerfile(text or "", shown)
            service = _of_image(image, shown, path)
            known = self._deployment.service(service.name)
            if any(server.service == service.name for server in self._deployment.servers):
                continue  # the service of that name says itself what it runs
            environment = {**image.environment, **(known_environment(known) if known is not None else {})}
            argv = (*(image.entrypoint.argv if image.entrypoint else ()), *(image.cmd.argv if image.cmd else ()))
            written = image.cmd or image.entrypoint
            origin = Origin(file=shown, line=written.line if written else 1)
            alone = ComposeService(
                service=service, argv=argv, origin=origin, image=image, context=path.parent, mounts={}
            )
            commands = list(server_commands(argv, origin, alone, environment, self._context))
            if commands and known is None:
                self._deployment.services.append(service)
            for command, place in commands:
                self._add(command, place, [path.parent, self._project.folder], environment, service.name)

    def _units(self) -> None:
        for path in self._project.units:
            unit = read_unit(path, base=self._base, deployment=self._deployment)
            if unit is None:
                continue
            environment = known_environment(unit.service)
            folders = [self._project.folder, path.parent, *path.parent.parents[:3]]
            for argv, origin in unit.commands:
                for command, place in server_commands(argv, origin, None, environment, self._context):
                    self._add(command, place, folders, environment, unit.service.name)

    def _manifests(self) -> None:
        if not self._project.manifests:
            return
        for one in read_manifests(self._project.manifests, base=self._base, deployment=self._deployment):
            environment = known_environment(one.service)
            for command, place in server_commands(one.argv, one.origin, None, environment, self._context):
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

    def _configurations(self) -> None:
        """Report gunicorn configuration files that nothing loads; read one that stands alone."""
        gunicorns = [server for server in self._deployment.servers if server.program == "gunicorn"]
        for path in self._project.gunicorn:
            shown = shown_path(path, self._base)
            if path.name in self._loaded or shown in self._deployment.looked_at:
                continue
            text = read_text(path, self._base, self._deployment) or ""
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
