"""All readers together: paths into one model for each project."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from no502.doctor.facts import CONTAINERS
from no502.doctor.model import (
    Address,
    AppServer,
    Deployment,
    Fact,
    Gap,
    NotChecked,
    Origin,
    Problem,
    Service,
    ServiceKind,
    Source,
)
from no502.doctor.options import Options
from no502.doctor.readers.app_server import add_server
from no502.doctor.readers.cannot_start import why_not
from no502.doctor.readers.compose.choice import chosen, variants
from no502.doctor.readers.compose.health import image_health
from no502.doctor.readers.compose.project import ComposeService, read_compose
from no502.doctor.readers.compose.service import copied_files, note_start
from no502.doctor.readers.context import Context, known_environment
from no502.doctor.readers.discovery import Project, find_projects
from no502.doctor.readers.dockerfile import Image, argv_of, read_dockerfile
from no502.doctor.readers.inline import Inline
from no502.doctor.readers.kinds import label_of
from no502.doctor.readers.known_images import image_start, is_other_program
from no502.doctor.readers.kubernetes.helm import render
from no502.doctor.readers.kubernetes.manifests import Container, read_manifests
from no502.doctor.readers.nginx.services import is_nginx, is_nginx_image
from no502.doctor.readers.nginx.sources import read_config_map_nginx, read_project_nginx
from no502.doctor.readers.procfile import Process, read_procfile
from no502.doctor.readers.proxies import read_proxies
from no502.doctor.readers.python.conf import read_python_conf
from no502.doctor.readers.server_words import Place, note_problem
from no502.doctor.readers.shell.commands import Command, Started
from no502.doctor.readers.starts import Starts, as_shell, inside_paths
from no502.doctor.readers.supervisor import read_supervisor
from no502.doctor.readers.systemd import Unit, read_socket, read_unit
from no502.doctor.readers.texts import not_read, read_environment, read_text, shown_path
from no502.doctor.settings import ServiceFacts

__all__ = ["read_deployments"]

_JUDGED = "doctor checks only gunicorn and uvicorn"
_NAMED, _SHORT = 6, 60


def read_deployments(paths: Sequence[Path], options: Options | None = None) -> list[Deployment]:
    """Read what is below the paths, a deployment for each project.

    Args:
        paths: Files and directories. Files named one by one are one deployment.
        options: What the files do not say.

    Raises:
        UserError: The nginx parser is not installed.
    """
    options = options or Options()
    found: list[Deployment] = []
    for project in find_projects([path.resolve() for path in paths], options.reach):
        _render(project, options)
        sets = variants(project, options)
        judged = {path for one in sets for path in (one.compose if one.given else chosen(one))}
        found += _read_sets(sets, options, judged)
    return found


def _render(project: Project, options: Options) -> None:
    """Replace the templates of the project's charts by what helm makes of them, where it is installed."""
    tops = [one for one in project.charts if not any(_below(one, other) for other in project.charts)]
    for chart in tops:
        made = render(chart, options.base or Path(), options.reach)
        if not made.installed or made.problem:
            advice = "run doctor on the output of `helm template`"
            project.unrendered.append((chart, made.problem or advice))
            continue
        project.rendered += made.documents
        project.rendered_from += made.templates
        inside = chart.parent / "templates"
        project.manifests = [path for path in project.manifests if inside not in path.parents]


def _below(chart: Path, other: Path) -> bool:
    """Whether a chart is a dependency of another one, which renders it."""
    return other.parent / "charts" in chart.parents


def _read_sets(sets: Sequence[Project], options: Options, judged: Collection[Path]) -> list[Deployment]:
    """Read a project once for each set of its Compose files.

    What a container of one set has is none of what stands beside the containers of another: the nginx of
    ``compose.yaml`` does not run beside ``compose.monitoring.yaml``.
    """
    readers = [_Project(one, options, judged) for one in sets]
    found = [reader.read() for reader in readers]
    held = {path for reader in readers for path in reader.held}
    guessed: set[Path] = set()
    for number, (one, reader) in enumerate(zip(sets, readers, strict=True)):
        # A file that may be any set's is judged in the first one.
        foreign = (held - reader.held) | (guessed & reader.guessed)
        guessed |= reader.guessed
        own = replace(
            one,
            nginx=[path for path in one.nginx if path.resolve() not in foreign],
            dockerfiles=[path for path in one.dockerfiles if path not in foreign],
            gunicorn=[path for path in one.gunicorn if path not in foreign],
        )
        if own != one:
            found[number] = _Project(own, options, judged).read()
    return found


@dataclass(frozen=True, kw_only=True)
class _Where:
    """What runs a command, and what it finds there."""

    runner: Service | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[Path] = ()
    one: ComposeService | None = None
    directory: str = ""
    inline: Mapping[str, Inline] = field(default_factory=dict)
    listens: Fact[tuple[Address, ...]] | None = None
    manager: Service | None = None
    note: str = ""
    whole: bool = True
    """Nothing else is added to the command when it is run."""


class _Project:
    """Reads one project."""

    def __init__(self, project: Project, options: Options, judged: Collection[Path] = ()) -> None:
        self._project, self._options = project, options
        self._deployment = Deployment(reach=options.reach)
        self._values = read_environment(project.folder / ".env", options.reach)
        self._context = Context(project=project, options=options, deployment=self._deployment, values=self._values)
        self._base = self._context.base
        self._starts = Starts(self._context)
        self._loaded: set[str] = set()
        self._alone: list[ComposeService] = []
        """Images of Dockerfiles that no Compose file builds."""
        self._supervised: set[Path] = set()
        self._judged = judged
        """Compose files that are judged, in this set or another."""
        self.held: set[Path] = set()
        """Dockerfiles, nginx files and gunicorn's configurations that a container of Compose has."""
        self.guessed: set[Path] = set()
        """nginx files that are taken to be those of the only nginx, whose volumes are not here."""

    def read(self) -> Deployment:
        self._not_looked_at()
        compose = self._compose()
        for one in compose:
            self._container(one)
        built = {one.context for one in compose if one.context is not None}
        looked_at = set(self._deployment.looked_at)
        self.held = {path for path in self._project.dockerfiles if shown_path(path, self._base) in looked_at}
        self.held |= {path for path in self._project.gunicorn if path.name in self._loaded}
        self._dockerfiles(built)
        self._units()
        self._manifests(compose)
        for path in self._project.procfiles:
            for process in read_procfile(path, base=self._base, deployment=self._deployment):
                self._process(process, path)
        for path in self._project.supervisors:
            if path not in self._supervised:
                self._supervisor(path, None)
        self._scripts()
        held, self.guessed = read_project_nginx(compose, self._alone, self._context)
        self.held |= held
        read_config_map_nginx(self._context)
        read_proxies(compose, self._context)
        self._configurations()
        return self._deployment

    def _not_looked_at(self) -> None:
        where = Origin(file=shown_path(self._project.folder, self._base))
        for what, why in self._project.skipped:
            self._gap(what, why, where)
        for path in self._project.unreadable:
            not_read(self._deployment, shown_path(path, self._base), "cannot be read: permission denied")
        self._other_kinds()
        for path, why in self._project.unrendered:
            shown = shown_path(path.parent, self._base)
            self._gap(f"the Helm chart in {shown}", why, Origin(file=shown_path(path, self._base)), Gap.CHART)

    def _other_kinds(self) -> None:
        """Name the files of kinds that are not read, those of one kind together."""
        kinds: dict[str, list[str]] = {}
        for path in self._project.others:
            shown = shown_path(path, self._base)
            text = (self._options.reach.head(path, 1_000_000) or b"").decode("utf-8", errors="replace")
            if ("nginx" in text or "nginx" in path.parts) and not {".platform", ".ebextensions"}.isdisjoint(path.parts):
                what = f"{shown} changes the nginx of Elastic Beanstalk"
                self._gap(what, "Elastic Beanstalk's own files are not available", Origin(file=shown))
            else:
                kinds.setdefault(label_of(path.name, text), []).append(shown)
        for label, files in kinds.items():
            what = f"{files[0]} is {label}" if label else f"{files[0]} starts a server"
            if len(files) > 1:
                more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
                what = f"{', '.join(files[:_NAMED])}{more} ({label or 'each starts a server'})"
            self._gap(what, "doctor does not read this kind of file", Origin(file=files[0]), Gap.SERVER)

    def _gap(self, what: str, why: str, origin: Origin, kind: Gap = Gap.OTHER, name: str = "") -> None:
        gap = NotChecked(what=what, why=why, origin=origin, kind=kind, name=name)
        self._deployment.leave_out(gap)

    # --- containers ------------------------------------------------------------------------------------------------

    def _compose(self) -> list[ComposeService]:
        files = chosen(self._project)
        if not files:
            return []
        read = read_compose(files, base=self._base, deployment=self._deployment)
        left = [path for path in self._project.compose if path not in self._judged and path.parent == files[0].parent]
        if left and not self._project.given:
            shown = [shown_path(path, self._base) for path in left]
            judged = ", ".join(shown_path(file, self._base) for file in files)
            what = f"{', '.join(shown[:_NAMED])} beside {judged}"
            self._gap(what, "other sets of Compose files: pass the files of one set to check it", Origin(file=shown[0]))
        return read

    def _container(self, one: ComposeService) -> None:
        environment = known_environment(one.service)
        start = image_start(one, self._options.reach)
        where = _Where(
            runner=one.service,
            environment=environment,
            folders=self._folders_of(one),
            one=one,
            directory=one.workdir,
            inline=one.inline,
            note="its image starts it" if start else "",
        )
        self._serve(self._argv(start or one.argv, one.origin, where), where)

    def _folders_of(self, one: ComposeService) -> list[Path]:
        folders = (
            [path for path in inside_paths(".", one.workdir, one) if self._options.reach.holds(path)]
            if one.workdir
            else []
        )
        context = [one.context] if one.context is not None else []
        return [*folders, *one.mounts.values(), *context, self._project.folder]

    @staticmethod
    def _kind(where: _Where) -> ServiceKind:
        return where.runner.kind if where.runner is not None else ServiceKind.DOCKERFILE

    def _argv(self, argv: Sequence[str], origin: Origin, where: _Where) -> Started:
        refused = why_not(argv, where.manager.kind if where.manager is not None else self._kind(where))
        if refused is not None:
            note_problem(self._deployment, refused[0], origin, refused[1])
            return Started()
        return self._starts.of_argv(
            argv,
            origin,
            one=where.one,
            environment=where.environment,
            directory=where.directory,
        )

    def _serve(self, started: Started, where: _Where) -> None:
        """Add the servers that a command starts; others that it starts are named."""
        for other in started.others:
            if other.name == "supervisord" and self._project.supervisors:
                for path in self._project.supervisors:
                    self._supervised.add(path)
                    self._supervisor(path, where)
                continue
            self._gap(f"{other.name} ({other.what})", _JUDGED, other.origin, Gap.PROGRAM, other.name)
        for command, origin in started.servers:
            self._add(command, origin, where)

    def _add(self, command: Command, origin: Origin, where: _Where) -> None:
        directory = command.directory or where.directory
        folders = [*where.folders, (self._base / origin.file).parent]
        if directory and where.one is None:
            folders = [*self._tails(directory, folders), *folders]
        place = Place(
            origin=origin,
            base=self._base,
            folders=folders,
            environment=where.environment,
            service=where.runner.name if where.runner is not None else None,
            directory=directory,
            files=lambda name: self._files(name, directory, where, folders),
            inline=lambda name: _inline(name, directory, where.inline),
            listens=where.listens,
            manager=where.manager,
            whole=where.whole,
            execute=self._options.exec_config,
        )
        self._note_daemon(command, origin, where)
        server = add_server(command, place, self._deployment)
        server.runner, server.note = where.runner, where.note
        server.likely = server.likely or bool(where.note)
        names = [str(server.conf_file.value)] if server.conf_file is not None and server.conf_file.value else []
        names += [fact.origin.file for fact in server.settings.named().values()]
        worker = server.settings.worker_class
        if names and worker is not None and "gunicorn_handover" in str(worker.value):
            names.append("gunicorn_conf.py")
        self._loaded |= {Path(name.removeprefix("python:").removeprefix("file:")).name for name in names}

    def _note_daemon(self, command: Command, origin: Origin, where: _Where) -> None:
        """Note a gunicorn that is a container's process and leaves it: the container ends with it."""
        contained = where.runner is not None and where.runner.kind in CONTAINERS and where.manager is None
        if not contained or command.shell or command.background or not {"-D", "--daemon"} & {*command.words}:
            return
        message = "--daemon: the process that the container runs ends at once, and the container with it"
        note_problem(self._deployment, message, origin, "Remove --daemon: the container is in the background already.")

    def _files(self, name: str, directory: str, where: _Where, folders: Sequence[Path]) -> Sequence[Path]:
        if where.one is not None:
            return inside_paths(name, directory, where.one)
        return self._tails(name, folders) if name.startswith("/") else [folder / name for folder in folders]

    def _tails(self, inside: str, folders: Sequence[Path]) -> list[Path]:
        """Return where a path of a host may be here: its ends below the project's folders, the longest first."""
        parts = PurePosixPath(inside.lstrip("/")).parts
        roots = dict.fromkeys([self._project.folder, *folders])
        found = [root.joinpath(*parts[at:]) for at in range(len(parts)) for root in roots]
        reach = self._options.reach
        return [path for path in found if reach.has(path) or reach.holds(path)]

    def _dockerfiles(self, built: set[Path]) -> None:
        for path in self._project.dockerfiles:
            shown = shown_path(path, self._base)
            if path.parent.resolve() in built or shown in self._deployment.looked_at:
                continue
            text = read_text(path, self._base, self._deployment)
            image = read_dockerfile(text or "", shown)
            service = _of_image(image, shown, path)
            known = self._deployment.service(service.name)
            if _is_for_developers(path, self._project.dockerfiles):
                continue
            if known is not None and any(server.runner is known for server in self._deployment.servers):
                continue  # the service of that name says itself what it runs
            note_start(image, None, None, self._deployment)
            argv = argv_of(image)
            written = image.cmd or image.entrypoint
            origin = Origin(file=shown, line=written.line if written else 1)
            alone = ComposeService(
                service=known or service,
                argv=argv,
                origin=origin,
                image=image,
                context=path.parent,
                mounts=copied_files(image, path.parent, self._options.reach),
                inline=image.files,
                workdir=image.workdir,
            )
            environment = {**image.environment, **(known_environment(known) if known is not None else {})}
            where = _Where(
                runner=alone.service,
                environment=environment,
                folders=self._folders_of(alone),
                one=alone,
                directory=image.workdir,
                inline=image.files,
                whole=image.entrypoint is None or image.cmd is not None,
            )
            started = self._argv(argv, origin, where)
            if known is None and (started.servers or started.others or is_nginx(alone)):
                self._deployment.services.append(service)
            self._alone.append(alone)
            self._serve(started, where)

    # --- hosts -----------------------------------------------------------------------------------------------------

    def _units(self) -> None:
        sockets = {path.name.partition(".socket")[0] + ".socket": path for path in self._project.sockets}
        for path in self._project.units:
            unit = read_unit(path, base=self._base, deployment=self._deployment)
            if unit is None:
                continue
            where = _Where(
                runner=unit.service,
                environment=known_environment(unit.service),
                folders=[self._project.folder, path.parent, *self._above(path.parent)],
                directory=unit.working_directory,
                listens=self._listens(unit, sockets),
            )
            for argv, origin in unit.commands:
                self._serve(self._argv(argv, origin, where), where)

    def _above(self, folder: Path) -> list[Path]:
        return [
            one
            for one in list(folder.parents)[:3]
            if one == self._project.folder or self._project.folder in one.parents
        ]

    def _listens(self, unit: Unit, sockets: Mapping[str, Path]) -> Fact[tuple[Address, ...]] | None:
        """Return where systemd listens for a service; unknown where the socket's unit is not here."""
        named = [name for name, _ in unit.sockets]
        own = f"{unit.service.name}.socket"
        names = named or ([own] if own in sockets else [])
        for name in names:
            if name in sockets:
                return read_socket(sockets[name], base=self._base, deployment=self._deployment)
        if named:
            origin = unit.sockets[0][1]
            note = f"{named[0]} is not among the files"
            return Fact(None, Origin(file=origin.file, line=origin.line, source=Source.UNKNOWN, note=note))
        return None

    def _process(self, process: Process, path: Path) -> None:
        service = Service(kind=ServiceKind.PROCFILE, name=process.name, origin=process.origin)
        where = _Where(runner=service, environment=self._values, folders=[path.parent])
        started = self._starts.of_text(process.text, process.origin, environment=self._values)
        if started.servers:
            self._deployment.services.append(service)
        elif not started.others and process.name == "web":
            self._gap(f"what {process.name} runs ({_short(process.text)})", _JUDGED, process.origin, Gap.COMMAND)
        before = len(self._deployment.servers)
        self._serve(started, where)
        for server in self._deployment.servers[before:]:
            self._workers_of_platform(server)

    @staticmethod
    def _workers_of_platform(server: AppServer) -> None:
        """Forget the default of workers: Heroku and those like it set WEB_CONCURRENCY, which both servers read.

        https://devcenter.heroku.com/articles/python-concurrency
        """
        workers = server.settings.workers
        if workers is not None and workers.origin.source is Source.DEFAULT:
            note = "the platform may set WEB_CONCURRENCY"
            unknown = Origin(file=server.origin.file, line=server.origin.line, source=Source.UNKNOWN, note=note)
            server.settings = server.settings.changed({"workers": Fact(None, unknown)})

    def _supervisor(self, path: Path, around: _Where | None) -> None:
        """Read the programs of supervisord; ``around`` is the container in which it runs."""
        environment = dict(around.environment if around is not None else self._values)
        for program in read_supervisor(path, base=self._base, environment=environment, deployment=self._deployment):
            if around is not None:
                where = replace(
                    around,
                    environment=program.environment,
                    directory=program.directory or around.directory,
                    listens=program.listens,
                    manager=program.service,
                )
            else:
                where = _Where(
                    runner=program.service,
                    environment=program.environment,
                    folders=[path.parent, self._project.folder],
                    directory=program.directory,
                    listens=program.listens,
                )
            started = self._argv(program.argv, program.origin, where)
            if around is None and started.servers:
                self._deployment.services.append(program.service)
            self._serve(started, where)

    def _scripts(self) -> None:
        """Read what nothing else has led to, where nothing else starts a server: scripts, Python files."""
        if self._deployment.servers:
            return
        for path in self._project.scripts:
            text = read_text(path, self._base, self._deployment)
            shown = shown_path(path, self._base)
            where = _Where(environment=self._values, folders=[path.parent, self._project.folder])
            started = self._starts.of_text(
                as_shell(text or ""), Origin(file=shown, line=1), environment=self._values, script=shown
            )
            plain = [(replace(command, shell=""), origin) for command, origin in started.servers]
            self._serve(Started(plain, started.others), where)
        if self._deployment.servers:
            return
        for path in self._project.python:
            text = read_text(path, self._base, self._deployment)
            where = _Where(environment=self._values, folders=[path.parent])
            for command, origin in self._starts.of_python(text or "", shown_path(path, self._base), self._values):
                self._add(replace(command, likely=True), origin, where)

    # --- clusters --------------------------------------------------------------------------------------------------

    def _manifests(self, compose: Sequence[ComposeService]) -> None:
        if not self._project.manifests and not self._project.rendered:
            return
        self._deployment.looked_at += self._project.rendered_from
        images = [one for one in [*self._alone, *compose] if one.image is not None and one.argv and not is_nginx(one)]
        for one in read_manifests(
            self._project.manifests,
            base=self._base,
            deployment=self._deployment,
            rendered=self._project.rendered,
        ):
            where = _Where(
                runner=one.service,
                environment=known_environment(one.service),
                folders=[self._project.folder],
                directory=one.workdir,
                inline=one.files,
            )
            other = is_nginx_image(one.service) or is_other_program(one.service)
            if not one.overrides and not other and len(images) == 1:
                self._from_image(one, images[0], where)
            else:
                self._serve(self._argv(one.argv, one.origin, where), where)

    def _from_image(self, container: Container, built: ComposeService, where: _Where) -> None:
        """Read a container without a command: it runs what the only image of the project runs."""
        image = built.image
        argv = argv_of(image, container.argv or None)
        fact = container.service.settings.image
        # Compose may run something else in that image: a pod gets what the image itself says.
        written = (image.cmd or image.entrypoint) if image is not None else None
        origin = Origin(file=written.file, line=written.line) if written is not None else built.origin
        note = f"image {fact.value if fact is not None else ''} is taken to be {origin.file}"
        environment = {**(image.environment if image is not None else {}), **where.environment}
        where = replace(
            where,
            one=replace(built, service=container.service),
            environment=environment,
            folders=self._folders_of(built),
            directory=where.directory or built.workdir,
            note=note,
        )
        started = self._argv(argv, container.origin if container.argv else origin, where)
        if started.servers and built in self._alone:
            # The pod's container is that image's, which does not run beside it.
            self._deployment.servers = [one for one in self._deployment.servers if one.runner is not built.service]
            self._deployment.services = [one for one in self._deployment.services if one is not built.service]
        self._serve(started, where)

    # --- configuration files of gunicorn ---------------------------------------------------------------------------

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
                where = _Where(environment=self._values, folders=[path.parent])
                self._add(command, Origin(file=shown, line=1), replace(where, whole=False))
                continue
            read = read_python_conf(text, shown, {})
            unknown_file = any(server.conf_file is not None and not server.conf_file.known for server in gunicorns)
            if not read.settings or unknown_file or _example(path, self._project.folder):
                continue
            if path.name == "gunicorn.conf.py" and any(server.conf_file is None for server in gunicorns):
                self._maybe_loaded(path, shown)
                continue
            message = f"gunicorn loads only ./gunicorn.conf.py automatically, and no command passes -c {path.name}"
            if path.name == "gunicorn.conf.py":
                message = f"no command loads {path.name}: the commands pass another configuration file with -c"
            place = Origin(file=shown, line=1)
            fix = f"Start gunicorn with -c {path.name}."
            self._deployment.problems.append(Problem(rule="C005", message=message, origin=place, fix=fix))

    def _maybe_loaded(self, path: Path, shown: str) -> None:
        """Say that a ./gunicorn.conf.py may be loaded: what gunicorn's defaults are is not known then."""
        folder = PurePosixPath(shown).parent.as_posix()
        why = "its working directory is unknown, and it loads ./gunicorn.conf.py from there"
        for server in self._deployment.servers:
            if server.program == "gunicorn" and server.conf_file is None:
                self._gap(f"whether gunicorn runs in {folder}/", why, server.origin)
                note = f"{path.name} in {folder}/ may say otherwise"
                unknown = Origin(file=server.origin.file, line=server.origin.line, source=Source.UNKNOWN, note=note)
                server.settings = server.settings.changed(
                    {
                        name: Fact(None, unknown)
                        for name, fact in server.settings.named().items()
                        if fact.origin.source is Source.DEFAULT
                    }
                )


def _inline(name: str, directory: str, files: Mapping[str, Inline]) -> Inline | None:
    """Return the file of a ConfigMap that a path inside means."""
    path = name.removeprefix("file:")
    whole = path if path.startswith("/") else str(PurePosixPath(directory or "/") / path)
    return files.get(whole)


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}..."


def _example(path: Path, folder: Path) -> bool:
    """Whether a name says that nothing is meant to load the file."""
    name = str(path.resolve()).removeprefix(str(folder.resolve())).lower()
    return any(word in name for word in ("example", "sample", "template", "test"))


def _is_for_developers(path: Path, others: Sequence[Path]) -> bool:
    """Whether a Dockerfile is for development, and one beside it is not."""
    pattern = re.compile(r"[._-](?:dev|devel|development|local|tests?|debug)(?![a-z])", re.IGNORECASE)
    beside = [one for one in others if one.parent == path.parent and not pattern.search(one.name)]
    return pattern.search(path.name) is not None and bool(beside)


def _of_image(image: Image, shown: str, path: Path) -> Service:
    folder = path.parent.name or "image"
    name = folder if path.name in {"Dockerfile", "Containerfile"} else f"{folder}/{path.name}"
    ports = tuple(Fact(port, Origin(file=shown, line=line)) for line, port in image.ports)
    environment = {key: Fact(value, Origin(file=shown)) for key, value in image.environment.items()}
    settings: dict[str, Fact[Any]] = {}
    if image.stop_signal is not None:
        settings["stop_signal"] = Fact(image.stop_signal[1], Origin(file=shown, line=image.stop_signal[0]))
    return Service(
        kind=ServiceKind.DOCKERFILE,
        name=name,
        origin=Origin(file=shown, line=1),
        settings=ServiceFacts.of(settings),
        ports=ports,
        healthchecks=image_health(image),
        environment=environment,
    )
