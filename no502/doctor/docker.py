"""``--docker PROJECT``: the containers of a Compose project as they run, beside what the files say.

Asks ``docker ps`` and ``docker inspect`` and changes nothing. Variables of containers are read to fill in command
lines; none is printed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from no502.doctor.model import AppServer, Deployment, Fact, Origin, Problem
from no502.doctor.readers.app_server import add_server
from no502.doctor.readers.server_words import Place
from no502.doctor.readers.shell.commands import follow
from no502.errors import FAILED, UserError

__all__ = ["Container", "ask_docker", "examine"]

_SECONDS = 30
_COMPARED = ("bind", "workers", "worker_class", "timeout", "graceful_timeout", "keepalive", "max_requests")
_LABEL = "com.docker.compose"
_STOPPED = {0, 143}
"""Exit codes of a container that was told to stop."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """What ``docker inspect`` says of one container."""

    name: str
    service: str
    status: str
    health: str
    """``healthy``, ``unhealthy``, ``starting``; empty without a health check."""
    restarts: int
    oom_killed: bool
    exit_code: int
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    stop_timeout: int | None


def ask_docker(project: str) -> list[Container]:
    """Return the containers of a Compose project, stopped ones too.

    Raises:
        UserError: There is no docker, it does not answer, or there is no such project.
    """
    names = _docker("ps", "--all", "--quiet", "--filter", f"label={_LABEL}.project={project}").split()
    if not names:
        message = f"--docker {project}: no container of a Compose project of that name (docker compose ls shows them)"
        raise UserError(message, FAILED)
    return [_container(one) for one in json.loads(_docker("inspect", *names))]


def examine(containers: Sequence[Container], deployment: Deployment) -> list[Problem]:
    """Return what is wrong with the containers, and where they are not what the files say."""
    found: list[Problem] = []
    for one in containers:
        place = Origin(file=f"container {one.name}")
        if one.oom_killed:
            found.append(
                Problem(
                    rule="E908",
                    message=f"{one.name} was OOM-killed",
                    origin=place,
                    consequence="every in-flight request of the killed process gets 502",
                    fix="Run fewer workers or raise the memory limit; see the out-of-memory runbook.",
                )
            )
        if one.restarts:
            found.append(
                Problem(
                    rule="E909",
                    message=f"{one.name} was restarted {one.restarts} times (last exit code {one.exit_code})",
                    origin=place,
                    consequence="requests get 502 while nothing is listening",
                    fix="Run docker logs to find why the process exited.",
                )
            )
        ended = one.status in {"restarting", "exited", "dead"} and one.exit_code not in _STOPPED
        if one.health == "unhealthy" or ended:
            state = one.health if one.status == "running" else f"{one.status}, exit code {one.exit_code}"
            found.append(
                Problem(
                    rule="E910",
                    message=f"{one.name} is {state}",
                    origin=place,
                    consequence="requests that nginx proxies to it get 502",
                    fix="Read docker logs, then follow the 502 runbook.",
                )
            )
        found += _differences(one, deployment, place)
    return found


def _docker(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *arguments],  # noqa: S607  the user's docker
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        message = "--docker: the docker command is not installed here"
        raise UserError(message, FAILED) from None
    except subprocess.TimeoutExpired:
        message = f"--docker: docker {arguments[0]} did not answer within {_SECONDS} s"
        raise UserError(message, FAILED) from None
    if done.returncode != 0:
        message = f"--docker: docker {arguments[0]} failed: {done.stderr.strip()[:300]}"
        raise UserError(message, FAILED)
    return done.stdout


def _container(data: Mapping[str, Any]) -> Container:
    state, config = data.get("State") or {}, data.get("Config") or {}
    labels = config.get("Labels") or {}
    pairs = (text.partition("=") for text in config.get("Env") or ())
    return Container(
        name=str(data.get("Name", "")).lstrip("/"),
        service=str(labels.get(f"{_LABEL}.service", "")),
        status=str(state.get("Status", "")),
        health=str((state.get("Health") or {}).get("Status", "")),
        restarts=int(data.get("RestartCount") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        exit_code=int(state.get("ExitCode") or 0),
        argv=tuple(map(str, (data.get("Path", ""), *(data.get("Args") or ())))),
        environment={name: value for name, _, value in pairs},
        stop_timeout=config.get("StopTimeout"),
    )


def _differences(one: Container, deployment: Deployment, place: Origin) -> list[Problem]:
    """Compare the server that runs with the one that the files would start."""
    written = next((server for server in deployment.servers if server.service == one.service), None)
    running = _server(one, place, written)
    service = deployment.service(one.service)
    pairs: list[tuple[str, object, Fact[Any]]] = []
    if written is not None and running is not None and running.program == written.program:
        for name in _COMPARED:
            here, there = running.settings.fact(name), written.settings.fact(name)
            if here is not None and there is not None and here.known and there.known and here.value != there.value:
                pairs.append((name, here.value, there))
    grace = service.settings.stop_grace if service is not None else None
    if grace is not None and grace.known and one.stop_timeout is not None and one.stop_timeout != grace.value:
        pairs.append(("stop grace", one.stop_timeout, grace))
    return [
        Problem(
            rule="E911",
            message=f"{one.name} runs with {name} {_shown(value)}, the files say {_shown(fact.value)}",
            origin=fact.origin if fact.origin.line is not None else place,
            related=((place, f"runs with {name} {_shown(value)}"),),
            consequence="the findings about the files do not apply to the running container",
            fix="Recreate the container, or write the change into the files.",
        )
        for name, value, fact in pairs
    ]


def _server(one: Container, place: Origin, written: AppServer | None) -> AppServer | None:
    commands = follow(one.argv, place, environment=one.environment).servers
    if not commands or written is None:
        return None
    folders = [Path(written.origin.file).parent]
    scratch = Deployment()
    where = Place(origin=place, base=Path(), folders=folders, environment=one.environment, service=one.service)
    return add_server(commands[0][0], where, scratch)


def _shown(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return str(value)
