"""tiangolo's image, whose own start script chooses everything by variables: its command, written out."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import yaml

from no502.adopt.images import Built, built_of, dockerfiles
from no502.adopt.locate import yaml_documents
from no502.adopt.variables import before_command
from no502.adopt.workspace import Workspace
from no502.adopt.yaml_edit import value_of

__all__ = ["write_out"]

_IMAGE = re.compile(r"(?:^|/)tiangolo/(?:uvicorn-gunicorn(?:-fastapi|-starlette)?)(?=$|[:@])")
_APP = "/app"
_CONFS = ("/app/gunicorn_conf.py", "/app/app/gunicorn_conf.py")
_GONE = (
    "WORKERS_PER_CORE",
    "MAX_WORKERS",
    "TIMEOUT",
    "GRACEFUL_TIMEOUT",
    "KEEP_ALIVE",
    "WORKER_CLASS",
    "GUNICORN_CONF",
)
_WHY = "the start script of tiangolo's image as a command: application, address and configuration are what it chooses"


def write_out(space: Workspace, notes: list[str]) -> list[str]:
    """Write the command of such images into their Dockerfiles; return why that cannot be done.

    https://github.com/tiangolo/uvicorn-gunicorn-docker
    """
    problems: list[str] = []
    for name in dockerfiles(space):
        built = _built(space, name)
        if _IMAGE.search(built.image.base) and built.image.cmd is None and built.image.entrypoint is None:
            problems += _one(space, built, notes)
    for name in [*space.glob("*.yml"), *space.glob("*.yaml")]:
        for document in yaml_documents(space.text(name)) if "tiangolo/" in space.text(name) else ():
            services = value_of(document, "services")
            for key, service in services.value if isinstance(services, yaml.MappingNode) else ():
                image = value_of(service, "image")
                if image is not None and _IMAGE.search(str(image.value)) and value_of(service, "build") is None:
                    problems.append(
                        f"{name}:{key.start_mark.line + 1}: {key.value} runs {image.value} as it is: the ladder needs "
                        "an image of your own (a Dockerfile with FROM) that holds it"
                    )
    return problems


def _built(space: Workspace, name: str) -> Built:
    """Return what a Dockerfile builds: with the context of the Compose service that builds it."""
    for file in [*space.glob("*.yml"), *space.glob("*.yaml")]:
        for document in yaml_documents(space.text(file)) if "build" in space.text(file) else ():
            services = value_of(document, "services")
            for key, _ in services.value if isinstance(services, yaml.MappingNode) else ():
                built = built_of(space, file, str(key.value))
                if built is not None and built.file == name:
                    return built
    found = built_of(space, name, None)
    assert found is not None  # noqa: S101  a Dockerfile always builds something
    return found


def _one(space: Workspace, built: Built, notes: list[str]) -> list[str]:
    variables = {**built.image.environment, **_compose_variables(space, built)}
    application = variables.get("APP_MODULE") or _module(space, built, variables)
    if application is None:
        return [f"{built.file}: neither /app/app/main.py nor /app/main.py is among what it copies"]
    conf = next((path for path in _CONFS if _has(space, built, path)), None)
    given = variables.get("GUNICORN_CONF")
    if given and not _has(space, built, given):
        return [f"{built.file}: GUNICORN_CONF={given} is not among what it copies"]
    conf = given or conf
    address = variables.get("BIND") or f"{variables.get('HOST', '0.0.0.0')}:{variables.get('PORT', '80')}"  # noqa: S104  the image's default
    words = ["gunicorn"]
    if conf is not None:
        words += ["-c", conf.removeprefix(f"{_APP}/")]
    else:
        words += ["--bind", address]
    words += ["-k", "uvicorn.workers.UvicornWorker", application]
    if _has(space, built, f"{_APP}/prestart.sh"):
        line = f'CMD ["sh", "-ec", ". {_APP}/prestart.sh; exec {" ".join(words)}"]'
    else:
        line = f"CMD [{', '.join(chr(34) + word + chr(34) for word in words)}]"
    workdir = "" if built.image.workdir else f"WORKDIR {_APP}\n"
    before_command(space, built.file, f"{workdir}{line}", _WHY)
    dead = sorted(name for name in _GONE if name in variables)
    if dead:
        notes.append(
            f"no longer read: {', '.join(dead)}; WEB_CONCURRENCY sets the workers, PROXY_READ_TIMEOUT the times"
        )
    return []


def _module(space: Workspace, built: Built, variables: dict[str, str]) -> str | None:
    module = variables.get("MODULE_NAME")
    if module is None:
        module = next(
            (
                name
                for name, path in (("app.main", "/app/app/main.py"), ("main", "/app/main.py"))
                if _has(space, built, path)
            ),
            None,
        )
    return f"{module}:{variables.get('VARIABLE_NAME', 'app')}" if module is not None else None


def _has(space: Workspace, built: Built, inside: str) -> bool:
    """Whether an image copies a file to a path inside."""
    folder = built.here(space, str(PurePosixPath(inside).parent))
    if folder is not None and space.has(f"{folder}/{PurePosixPath(inside).name}".lstrip("/")):
        return True
    return any(built.inside(built.image.workdir, name) == inside for name in space.glob(PurePosixPath(inside).name))


def _compose_variables(space: Workspace, built: Built) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in [*space.glob("*.yml"), *space.glob("*.yaml")]:
        for document in yaml_documents(space.text(file)) if "build" in space.text(file) else ():
            services = value_of(document, "services")
            for key, service in services.value if isinstance(services, yaml.MappingNode) else ():
                mine = built_of(space, file, str(key.value))
                node = value_of(service, "environment")
                if mine is None or mine.file != built.file or node is None:
                    continue
                if isinstance(node, yaml.SequenceNode):
                    pairs = [str(item.value).partition("=") for item in node.value]
                    found |= {name: value for name, equals, value in pairs if equals}
                elif isinstance(node, yaml.MappingNode):
                    found |= {str(name.value): str(value.value) for name, value in node.value}
    return found
