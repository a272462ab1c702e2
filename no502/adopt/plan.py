"""The patch: every change that gives a project the ladder, made in a copy of it, or every reason why it cannot be."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dotenv import dotenv_values

from gunicorn_conf import LadderError, ServerSettings, compute
from no502.adopt.command_change import Converted, convert_gunicorn, convert_uvicorn
from no502.adopt.dependencies import adopt_dependencies
from no502.adopt.diagnosis import Diagnosis, apply_edits, diagnose, front_of
from no502.adopt.fastapi_run import resolve
from no502.adopt.health import adopt_health, adopt_order
from no502.adopt.images import python_version
from no502.adopt.locate import locate
from no502.adopt.needs import oldest_python
from no502.adopt.nginx_lines import Numbers, adopt_nginx, adopt_proxy
from no502.adopt.own_conf import adopt_conf
from no502.adopt.sound import unsound
from no502.adopt.starts import Start, find_start, is_adopted, known_variables, why_not
from no502.adopt.stopping import adopt_stop, grace_in_compose
from no502.adopt.tiangolo import write_out
from no502.adopt.variables import set_variables
from no502.adopt.vendored import FILES, copy_files, folder_for, foreign, into_image
from no502.adopt.workspace import Workspace
from no502.doctor.model import Gap, ServiceKind
from no502.doctor.readers.shell.programs import MANAGERS
from no502.ladder.rungs import rung_of

__all__ = ["Plan", "Refused", "make_plan"]

_RULES = ("R401", "R402", "K207", "S501", "S502", "S503", "S504", "S505")
"""Rules of doctor whose own edits belong to an adoption."""
_ROUNDS = 6
_ON_HOST = (ServiceKind.SYSTEMD, ServiceKind.PROCFILE, ServiceKind.SUPERVISOR)
"""What runs in the project's own directory, so that its .env counts."""


class Refused(Exception):  # noqa: N818  it is an answer
    """The project cannot be adopted; ``problems`` has one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


@dataclass
class Plan:
    """What was decided; the files are in the workspace."""

    starts: list[Start] = field(default_factory=list)
    """As they are after the patch."""
    notes: list[str] = field(default_factory=list)
    """What is left to a person."""


def make_plan(space: Workspace) -> Plan:
    """Make the patch in the workspace.

    Raises:
        Refused: with every reason at once.
    """
    plan = Plan()
    problems = write_out(space, plan.notes)
    if problems:
        raise Refused(problems)
    first = _for_production(space, diagnose(space.root), plan)
    starts = _starts(space, first)
    fresh = [start for start in starts if not is_adopted(space, start.server)]
    if fresh:
        _commands(space, fresh, plan)
    keys = {_key(start) for start in fresh}
    _numbers(space, plan, keys)
    _around(space, plan, keys)
    last = diagnose(space.root)
    problems = unsound(space, first, last)
    if problems:
        raise Refused(problems)
    plan.starts = _again(space, last)
    before = {(one.rule, one.message) for one in first.findings}
    for one in last.findings:
        kept = "still reports" if (one.rule, one.message) in before else "then reports"
        plan.notes.append(f"{one.where}: doctor {kept} {one.rule} ({one.severity}): {one.message}")
    plan.notes = list(dict.fromkeys(plan.notes))
    return plan


def _for_production(space: Workspace, seen: Diagnosis, plan: Plan) -> Diagnosis:
    """Read again without Compose files that only put a development server in the place of the real one."""
    servers = [server for _, server in seen.servers()]
    if not servers or not all("--reload" in (server.command.value or ()) for server in servers):
        return seen
    names = {server.origin.file for server in servers}
    aside = [name for name in names if re.search(r"(?:override|dev|local)[\w.-]*\.ya?ml$", name, re.IGNORECASE)]
    for name in aside:
        (space.root / name).unlink()
        plan.notes.append(f"{name} starts a development server (--reload): it is left as it is")
    return diagnose(space.root) if aside else seen


def _key(start: Start) -> tuple[str, str]:
    return start.server.origin.file, start.service.name if start.service is not None else ""


def _starts(space: Workspace, seen: Diagnosis) -> list[Start]:
    """Return the starts of the one application that the project has.

    Raises:
        Refused: There is none, there are several, or one of them cannot have the ladder.
    """
    problems = _others(seen)
    found: list[Start] = []
    servers = seen.servers()
    production = [pair for pair in servers if "--reload" not in (pair[1].command.value or ())]
    for deployment, server in production or servers:
        why = [] if is_adopted(space, server) else why_not(space, server)
        start = find_start(space, deployment, server)
        if isinstance(start, list):
            problems += why or start
        else:
            problems += why or ([] if is_adopted(space, server) else _accepted(space, start, known_variables(start)))
            found.append(start)
    if not servers and not problems:
        problems.append("no command that starts gunicorn or uvicorn is in this directory")
    applications = {(start.home, resolve(space, start).application.partition("(")[0]) for start in found}
    if len(applications) > 1:
        shown = "; ".join(f"{start.where}: {start.application} in {start.home or '.'}" for start in found)
        problems.append(f"several deployments ({shown}): give the directory of one of them")
    for start in found:
        version = python_version(start.built) if start.built is not None else None
        if version is not None and start.built is not None:
            problems.append(
                f"{start.built.file}: Python {version[0]}.{version[1]} in {start.built.image.base}: the ladder needs "
                f"Python {'.'.join(map(str, oldest_python()))} or later"
            )
    if problems:
        raise Refused(problems)
    return found


def _others(seen: Diagnosis) -> list[str]:
    """Return what else serves or decides there, and is not to be changed by this command."""
    problems = []
    for gap in seen.gaps:
        if gap.kind is Gap.PROGRAM and gap.name not in MANAGERS:
            problems.append(f"{gap.origin}: {gap.name} serves the application: no502 adopts gunicorn and uvicorn")
        elif gap.kind in {Gap.PROGRAM, Gap.COMMAND} and not seen.servers():
            problems.append(f"{gap.origin}: {gap.what}: what it starts is not known")
        elif gap.kind in {Gap.CHART, Gap.TEMPLATE}:
            problems.append(f"{gap.origin}: {gap.what}: adopt the rendered manifests, or change the chart by hand")
    return problems


def _again(space: Workspace, seen: Diagnosis) -> list[Start]:
    """Return the starts as they are now."""
    found = [find_start(space, deployment, server) for deployment, server in seen.servers()]
    return [one for one in found if isinstance(one, Start) and "--reload" not in (one.server.command.value or ())]


def _commands(space: Workspace, fresh: list[Start], plan: Plan) -> None:
    """Change the start commands and configurations, one after the other, and see that each was understood.

    Raises:
        Refused: A word of a command, or a statement of a configuration, has no counterpart.
    """
    problems: list[str] = []
    for start in fresh:
        # Earlier changes may have moved it.
        now = next((one for one in _again(space, diagnose(space.root)) if _key(one) == _key(start)), start)
        if is_adopted(space, now.server):
            continue  # it shares a command or a configuration with an earlier one
        folder = folder_for(space, now.home)
        problems += foreign(space, now.home, folder)
        problems += _command(space, now, folder)
        if problems:
            continue
        plan.notes += copy_files(space, folder)
        plan.notes += into_image(space, now, folder)
        plan.notes += adopt_dependencies(space, now)
    if not problems:
        after = _again(space, diagnose(space.root))
        keys = {_key(one) for one in fresh}
        problems = [
            f"{one.where}: the command could not be changed: its words are not written where it is started"
            for one in after
            if _key(one) in keys and not is_adopted(space, one.server)
        ]
    if problems:
        raise Refused(problems)


def _command(space: Workspace, start: Start, folder: str) -> list[str]:
    """Change one command and the configuration that it loads; return what stands against it."""
    server = start.server
    origin = server.origin
    below = folder[len(start.home) :].strip("/")
    config = f"{below}/{FILES[0]}" if below else FILES[0]
    by_variable = [
        f"{start.where}: GUNICORN_CMD_ARGS sets {name}: it wins over the configuration, take it out"
        for name in ("worker_class", "timeout", "graceful_timeout", "keepalive", "max_requests", "max_requests_jitter")
        if (fact := server.settings.fact(name)) is not None and fact.origin.variable == "GUNICORN_CMD_ARGS"
    ]
    if by_variable:
        return by_variable
    conf = server.conf_file.value if server.conf_file is not None else None
    owned = conf is not None and space.has(conf)
    text = space.text(origin.file)
    written = locate(origin.file, text, origin.line or 1, start.application)
    if written is None:
        return [f"{start.where}: the command's words are not found there: they come from a variable or another file"]
    if server.program == "gunicorn":
        converted = convert_gunicorn(written, None if owned else config)
    else:
        target = resolve(space, start)
        converted = convert_uvicorn(written, config, application=target.application, below=target.below)
    problems = [f"{start.where}: {problem}" for problem in converted.problems]
    if owned and conf is not None:
        problems += _own(space, start, conf, below)
    if problems:
        return problems
    if server.shell.endswith("without exec") and written.execute():
        converted.why.append("exec: a shell that stays process 1 does not pass SIGTERM on")
    _put(space, origin.file, written.apply(), converted, origin.line)
    return []


def _own(space: Workspace, start: Start, conf: str, below: str) -> list[str]:
    module = f"{below}.gunicorn_conf" if below else "gunicorn_conf"
    known = [
        name
        for name in ("workers",)
        if (fact := start.server.settings.fact(name)) is not None and fact.known and fact.origin.file == conf
    ]
    changed = adopt_conf(space.text(conf), module, known)
    if not changed.problems:
        for line, why in changed.why:
            space.note(conf, line, why)
        space.put(conf, changed.text)
    return [f"{conf}:{line}: {problem}" for line, problem in changed.problems]


def _put(space: Workspace, file: str, text: str, converted: Converted, line: int | None) -> None:
    for why in converted.why:
        space.note(file, line, why)
    space.put(file, text)


def _numbers(space: Workspace, plan: Plan, fresh: set[tuple[str, str]]) -> None:
    """Write nginx's times, and give them, or another proxy's, to gunicorn as variables.

    Raises:
        Refused: nginx's times, or the variables of the project, are none that the ladder can have.
    """
    problems: list[str] = []
    for key in [_key(start) for start in _again(space, diagnose(space.root))]:
        start = _current(space, key)
        space.added.clear()
        numbers = Numbers()
        if start is not None:
            front = front_of(start.deployment, start.server)
            numbers = adopt_nginx(space, front) if front.exists else adopt_proxy(start.deployment, start.server)
        problems += numbers.problems
        plan.notes += numbers.notes if key in fresh else []
        now = _current(space, key)
        if now is None:
            continue
        known = known_variables(now)
        wanted = {name: value for name, value in numbers.variables.items() if not _fits(name, known, value)}
        if key not in fresh or now.service is None:
            wanted = {
                name: value for name, value in wanted.items() if name in known or str(rung_of(name).default) != value
            }
        problems += set_variables(space, now, wanted, numbers.source)
        problems += _accepted(space, now, {**wanted, **known})
    if problems:
        raise Refused(problems)


def _current(space: Workspace, key: tuple[str, str]) -> Start | None:
    """Return a start as it is now."""
    return next((one for one in _again(space, diagnose(space.root)) if _key(one) == key), None)


def _fits(name: str, known: Mapping[str, str], value: str) -> bool:
    """Whether the project's own value keeps the order: gunicorn waits no longer than nginx, keeps idle no shorter."""
    own = known.get(name)
    if own is None or not own.isdecimal():
        return own is not None
    return int(own) <= int(value) if name == "PROXY_READ_TIMEOUT" else int(own) >= int(value)


def _accepted(space: Workspace, start: Start, variables: dict[str, str]) -> list[str]:
    """Return what gunicorn_conf would refuse about the variables of a service and the .env where it runs."""
    file = f"{start.home}/.env".lstrip("/")
    on_host = start.service is None or start.service.kind in _ON_HOST
    values = dotenv_values(stream=io.StringIO(space.text(file))) if on_host and space.has(file) else {}
    try:
        _ladder({**{name: value for name, value in values.items() if value is not None}, **variables})
    except LadderError as error:
        return [f"{start.where}: gunicorn would refuse its variables: {problem}" for problem in error.problems]
    return []


def _ladder(variables: dict[str, str]) -> ServerSettings:
    return compute({name: value for name, value in variables.items() if "$" not in value}, facts={"cpus": 1, "M": 0})


def _around(space: Workspace, plan: Plan, fresh: set[tuple[str, str]]) -> None:
    """Set the stop grace, the health check and the order of the start; apply doctor's own edits that belong to it."""
    for key in fresh:
        for step in (_stop, _health, _order):
            seen = diagnose(space.root)
            start = next((one for one in _again(space, seen) if _key(one) == key), None)
            if start is not None:
                plan.notes += step(space, start, seen)
    for _ in range(_ROUNDS):
        seen = diagnose(space.root)
        if grace_in_compose(space, seen):
            seen = diagnose(space.root)  # the lines of before are others now
        texts, fixed = apply_edits(seen.of(*_RULES), space.text)
        if not texts:
            return
        for name, text in texts.items():
            space.put(name, text)
        for finding in fixed:
            space.note(finding.where.file, finding.where.line, f"{finding.rule}: {finding.message}")


def _stop(space: Workspace, start: Start, seen: Diagnosis) -> list[str]:
    return adopt_stop(space, start, seen, _ladder(known_variables(start)).stop_grace)


def _health(space: Workspace, start: Start, seen: Diagnosis) -> list[str]:
    return adopt_health(space, start, seen)


def _order(space: Workspace, start: Start, seen: Diagnosis) -> list[str]:
    fronts = [one.name for one in front_of(start.deployment, start.server).services]
    return adopt_order(space, start, seen, fronts)
