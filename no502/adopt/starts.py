"""The start commands of a project: which application each serves, from where, and whether it can have the ladder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

from no502.adopt.diagnosis import setting
from no502.adopt.images import Built, built_of
from no502.adopt.options import gunicorn_words, uvicorn_words
from no502.adopt.workspace import Workspace
from no502.adopt.written import Word
from no502.adopt.yaml_edit import services_of, value_of
from no502.doctor.model import AppServer, Deployment, Service, ServiceKind
from no502.ladder.conf_file import imports_ladder

__all__ = ["Start", "find_start", "is_adopted", "known_variables", "why_not"]

_INSTALLED = frozenset({"python:gunicorn_conf", "python:no502.gunicorn"})
_UVICORN_CLASSES = frozenset(
    {
        *("uvicorn.workers.UvicornWorker", "uvicorn.workers.UvicornH11Worker"),
        *("uvicorn_worker.UvicornWorker", "uvicorn_worker.UvicornH11Worker", "asgi", "egg:gunicorn#asgi"),
    }
)
_WSGI = frozenset({"sync", "gthread", "gevent", "eventlet", "tornado"})


@dataclass
class Start:
    """One place that starts the application."""

    deployment: Deployment
    server: AppServer
    service: Service | None
    application: str
    """As the command has it: ``app.main:app``, ``app:create_app()``, a file for ``fastapi run``."""
    home: str
    """The folder of the project that is gunicorn's working directory there; empty for the project itself."""
    built: Built | None
    workdir: str
    """The working directory inside a container; empty where it is not known."""

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.server.origin.file}:{self.server.origin.line}"


def is_adopted(space: Workspace, server: AppServer) -> bool:
    """Whether a server has the ladder already, by a copy, by the installed package or by its own configuration."""
    worker = setting(server, "worker_class") or ""
    conf = server.conf_file.value if server.conf_file is not None else None
    if server.program != "gunicorn" or conf is None:
        return False
    by_file = space.has(conf) and imports_ladder(space.text(conf))
    return conf in _INSTALLED or by_file or worker.endswith("HandoverWorker")


def why_not(space: Workspace, server: AppServer) -> list[str]:
    """Return why a server cannot have the ladder, one line each; nothing where it can."""
    place = f"{server.origin.file}:{server.origin.line}"
    found: list[str] = []
    if server.origin.file.endswith(".py") and server.program == "gunicorn":
        found.append(
            f"{server.origin.file}: no command that loads it is in this directory: add the one that starts gunicorn"
        )
        return found
    if server.origin.file.endswith(".py"):
        found.append(f"{place}: the file starts uvicorn itself: start it with a command, then run no502 adopt again")
        return found
    if "--reload" in (server.command.value or ()):
        found.append(f"{place}: --reload is a development server: give the command that production runs")
    if server.background:
        found.append(f"{place}: it is started with & beside another program: give each a container or unit of its own")
    if not server.starts:
        found.append(f"{place}: the command does not start as it is: see `no502 doctor`")
    if server.program != "gunicorn":
        return found
    if server.conf_file is not None:
        conf = server.conf_file.value
        if conf is None:
            found.append(
                f"{place}: the name of gunicorn's configuration file is a variable without a value among the files"
            )
        elif conf not in _INSTALLED and not (space.has(conf) and conf.endswith(".py")):
            found.append(f"{place}: its configuration {conf} is no file of this directory")
    return found + _class(server, place)


def _class(server: AppServer, place: str) -> list[str]:
    fact = server.settings.worker_class
    if fact is None or not fact.known:
        return [f"{place}: the worker class could not be determined ({fact.origin if fact is not None else 'unset'})"]
    name = str(fact.value)
    if name in _UVICORN_CLASSES:
        return []
    if name.removeprefix("egg:gunicorn#") in _WSGI:
        serves = f"{place}: worker class {name} serves a WSGI application, and HandoverWorker serves ASGI"
        return [f"{serves}: see docs/how-to/django-and-wsgi.md, or serve the project's ASGI application first"]
    own = f"{place}: worker class {name} is not uvicorn's, and its own settings would be lost"
    return [f"{own}: make it a subclass of gunicorn_handover.HandoverWorker"]


def application_of(server: AppServer) -> str | None:
    """Return the application among a server's words; None where none can be told."""
    words = [Word(word, 0, 0) for word in server.command.value or ()]
    raw = [word.text for word in words]
    options = gunicorn_words(words, raw) if server.program == "gunicorn" else uvicorn_words(words, raw)
    pattern = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::[A-Za-z_][\w.]*(?:\(.*\))?)?|[\w./-]+\.py"
    plain = [raw[option.first] for option in options if option.name == "application"]
    return next((word for word in plain if re.fullmatch(pattern, word)), None)


def find_start(space: Workspace, deployment: Deployment, server: AppServer) -> Start | list[str]:
    """Return a start with its place in the project, or why that cannot be told."""
    service = deployment.runner(server)
    built = _built(space, deployment, server, service)
    workdir = _workdir(space, service, built)
    application = application_of(server)
    place = f"{server.origin.file}:{server.origin.line}"
    if application is None:
        return [f"{place}: the application is not among the words of the command"]
    homes = _homes(space, application, built, workdir, _below(server))
    if not homes:
        module = application.partition(":")[0]
        return [f"{place}: there is no module {module} in this directory"]
    if len(homes) > 1:
        shown = ", ".join(home or "." for home in homes)
        return [f"{place}: {application} is in several folders ({shown}): give the directory of one of them"]
    return Start(deployment, server, service, application, homes[0], built, workdir)


def _built(space: Workspace, deployment: Deployment, server: AppServer, service: Service | None) -> Built | None:
    if service is None:
        return None
    if service.kind is ServiceKind.COMPOSE:
        return built_of(space, service.origin.file, service.name)
    if service.kind is ServiceKind.DOCKERFILE:
        return built_of(space, service.origin.file, None)
    if service.kind is ServiceKind.KUBERNETES:
        from no502.adopt.images import dockerfiles

        files = dockerfiles(space)
        return built_of(space, files[0], None) if len(files) == 1 else None
    del deployment, server
    return None


def _workdir(space: Workspace, service: Service | None, built: Built | None) -> str:
    if service is not None and service.kind is ServiceKind.COMPOSE and space.has(service.origin.file):
        node = value_of(services_of(space.text(service.origin.file), service.name), "working_dir")
        if node is not None and isinstance(node.value, str):
            return node.value
    return (built.image.workdir or "/") if built is not None else ""


def _below(server: AppServer) -> str:
    """Return the folder below the working directory from which the application is imported."""
    words = list(server.command.value or ())
    for before, word in pairwise(words):
        if before in {"--chdir", "--pythonpath", "--app-dir"} and not word.startswith("/"):
            return word.strip("./")
    for word in words:
        flag, _, value = word.partition("=")
        if flag in {"--chdir", "--pythonpath", "--app-dir"} and value and not value.startswith("/"):
            return value.strip("./")
    return ""


def _homes(space: Workspace, application: str, built: Built | None, workdir: str, below: str) -> list[str]:
    """Return the folders from which the application can be imported, the one that the image runs from first."""
    if application.endswith(".py"):
        tails = [application]
    else:
        module = application.partition(":")[0].replace(".", "/")
        tails = [f"{module}.py", f"{module}/__init__.py"]
    tails = [f"{below}/{tail}" if below else tail for tail in tails]
    if built is not None and workdir:
        for tail in tails:
            name = built.here(space, str(PurePosixPath(workdir) / tail))
            if name is not None and space.has(name) and name.endswith(tail):
                return [name[: len(name) - len(tail)].rstrip("/")]
            if name is not None and space.has(name):
                folder = built.here(space, workdir)
                return [folder if folder is not None else name.rsplit("/", 1)[0]]
    return _shallowest(name[: len(name) - len(tail)].rstrip("/") for tail in tails for name in _ending(space, tail))


def _ending(space: Workspace, tail: str) -> list[str]:
    last = PurePosixPath(tail).name
    return [name for name in space.glob(last) if name == tail or name.endswith("/" + tail)]


def _shallowest(homes: Iterable[str]) -> list[str]:
    found = list(dict.fromkeys(homes))
    least = min((home.count("/") + bool(home) for home in found), default=0)
    return [home for home in found if home.count("/") + bool(home) == least]


def known_variables(start: Start) -> dict[str, str]:
    """Return the variables of a start; one whose value the files do not tell is ``$``."""
    service = start.service
    if service is None:
        return {}
    return {
        name: fact.value if fact.known and fact.value is not None else "$" for name, fact in service.environment.items()
    }
