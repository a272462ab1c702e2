"""Variables for the process that runs gunicorn, written where its other ones are, or would be."""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

from no502.adopt.locate import indent_at, line_start
from no502.adopt.starts import Start
from no502.adopt.workspace import Workspace
from no502.adopt.yaml_edit import add_item, add_key, brought_in, is_inside, mapping_at, moved, services_of, value_of
from no502.doctor.model import ServiceKind

__all__ = ["set_variables"]


class _CannotSetError(ValueError):
    """Why variables cannot be set; ``place`` is ``file:line`` where that is not the line of the command."""

    def __init__(self, why: str, place: str) -> None:
        super().__init__(why)
        self.place = place


def set_variables(space: Workspace, start: Start, wanted: Mapping[str, str], source: str) -> list[str]:
    """Set the variables that are not set to that value yet; return why that cannot be done, one line each.

    Args:
        space: The project.
        start: The start, as it is now.
        wanted: Name to value.
        source: The proxy whose numbers they are.
    """
    service = start.service
    known = {name: fact.value for name, fact in service.environment.items()} if service is not None else {}
    missing = {name: value for name, value in wanted.items() if known.get(name) != value}
    if not missing:
        return []
    clash = [
        f"{_written_at(start, name)}: {name} is {known[name]}, and {source} has {missing[name]}"
        for name in missing
        if name in known
    ]
    if clash:
        return clash
    why = f"the timeouts of {source}: gunicorn computes its own from them"
    try:
        if service is None:
            _script(space, start, missing, why)
        else:
            _BY_KIND[service.kind](space, start, missing, why)
    except ValueError as error:
        pairs = " ".join(f"{name}={value}" for name, value in missing.items())
        place = error.place if isinstance(error, _CannotSetError) else start.where
        return [f"{place}: {pairs} cannot be set there ({error})"]
    return []


def _compose(space: Workspace, start: Start, missing: Mapping[str, str], why: str) -> None:
    assert start.service is not None  # noqa: S101  its kind was asked for
    file, name = start.service.origin.file, start.service.name
    text = space.text(file)
    service = services_of(text, name)
    if service is None:
        message = f"the service {name} is an alias, or not written there"
        raise _CannotSetError(message, _line_of(start))
    node = value_of(service, "environment")
    line = (node.start_mark.line if node is not None else service.start_mark.line) + 1
    if node is not None and not is_inside(service, node):
        message = f"the environment of {name} is an alias of this one, which it shares"
        raise _CannotSetError(message, f"{file}:{line}")
    merged = brought_in(service, "environment")
    if merged is not None:
        message = f"{name} has this environment by <<, and one of its own would replace it"
        raise _CannotSetError(message, f"{file}:{merged.start_mark.line + 1}")
    if isinstance(node, yaml.SequenceNode) and (node.value or node.flow_style):
        for key, value in missing.items():
            again = value_of(services_of(text, name), "environment")
            assert isinstance(again, yaml.SequenceNode)  # noqa: S101  it was one
            text = add_item(text, again, [f"{key}={value}"])
    elif isinstance(node, yaml.MappingNode) and (node.value or node.flow_style):
        text = add_key(text, node, [f'{key}: "{value}"' for key, value in missing.items()])
    elif node is None:
        lines = ["environment:", *(f'  {key}: "{value}"' for key, value in missing.items())]
        text = add_key(text, service, lines)
    else:
        message = f"the environment of {name} is neither a mapping nor a list"
        raise _CannotSetError(message, f"{file}:{line}")
    space.put(file, text, why, line)


def _kubernetes(space: Workspace, start: Start, missing: Mapping[str, str], why: str) -> None:
    assert start.service is not None  # noqa: S101
    file, line = start.service.origin.file, start.service.origin.line or 1
    first = line
    for key, value in missing.items():
        before = text = space.text(file)
        found = mapping_at(text, line)
        if found is None:
            message = "its container is not written there"
            raise _CannotSetError(message, _line_of(start))
        mapping, _ = found
        node = value_of(mapping, "env")
        item = [f"name: {key}", f'value: "{value}"']
        if isinstance(node, yaml.SequenceNode) and node.value:
            text = add_item(text, node, item)
        elif node is None:
            text = add_key(text, mapping, ["env:", f"  - {item[0]}", f"    {item[1]}"], after="image")
        else:
            message = "its env is no list"
            raise _CannotSetError(message, f"{file}:{node.start_mark.line + 1}")
        space.put(file, text, why, first)
        line = moved(line, before, text)


def _written_at(start: Start, name: str) -> str:
    """Return ``file:line`` of a variable that the service has."""
    fact = start.service.environment[name] if start.service is not None else None
    return f"{fact.origin.file}:{fact.origin.line}" if fact is not None and fact.origin.line else start.where


def _line_of(start: Start) -> str:
    """Return ``file:line`` of the service that runs a start."""
    assert start.service is not None  # noqa: S101  its kind was asked for
    origin = start.service.origin
    return f"{origin.file}:{origin.line}"


def _systemd(space: Workspace, start: Start, missing: Mapping[str, str], why: str) -> None:
    file = start.server.origin.file
    text = space.text(file)
    at = re.search(r"^ExecStart\s*=", text, re.MULTILINE)
    if at is None:
        message = "ExecStart is not in that file"
        raise ValueError(message)
    line = "Environment=" + " ".join(f"{key}={value}" for key, value in missing.items())
    space.put(file, f"{text[: at.start()]}{line}\n{text[at.start() :]}", why, start.server.origin.line)


def _dockerfile(space: Workspace, start: Start, missing: Mapping[str, str], why: str) -> None:
    assert start.built is not None  # noqa: S101
    line = "ENV " + " ".join(f"{key}={value}" for key, value in missing.items())
    before_command(space, start.built.file, line, why)


def before_command(space: Workspace, file: str, line: str, why: str) -> None:
    """Add a line to a Dockerfile before the last stage's command.

    Raises:
        ValueError: It has none.
    """
    text = space.text(file)
    places = [
        found.start() for found in re.finditer(r"^[ \t]*(?:CMD|ENTRYPOINT)\b", text, re.MULTILINE | re.IGNORECASE)
    ]
    stages = [found.start() for found in re.finditer(r"^[ \t]*FROM\b", text, re.MULTILINE | re.IGNORECASE)]
    last = [at for at in places if not stages or at > stages[-1]]
    if not last:
        end = text if text.endswith("\n") else text + "\n"
        space.put(file, f"{end}{line}\n", why, text.count("\n") + 1)
        return
    at = last[0]
    space.put(file, f"{text[:at]}{line}\n{text[at:]}", why, text.count("\n", 0, at) + 1)


def _script(space: Workspace, start: Start, missing: Mapping[str, str], why: str) -> None:
    """Export them in the line before the command, or before the program in a line of a Procfile."""
    origin = start.server.origin
    text = space.text(origin.file)
    at = line_start(text, origin.line or 1)
    pairs = " ".join(f"{key}={value}" for key, value in missing.items())
    if start.service is not None and start.service.kind is ServiceKind.PROCFILE:
        found = re.compile(r"[A-Za-z0-9_-]+\s*:\s*(?:exec\s+)?").match(text, at)
        place = found.end() if found is not None else at
        space.put(origin.file, f"{text[:place]}{pairs} {text[place:]}", why, origin.line)
        return
    space.put(origin.file, f"{text[:at]}{indent_at(text, at)}export {pairs}\n{text[at:]}", why, origin.line)


def _supervisor(space: Workspace, start: Start, missing: Mapping[str, str], why: str) -> None:
    origin = start.server.origin
    text = space.text(origin.file)
    at = line_start(text, origin.line or 1)
    pairs = ",".join(f'{key}="{value}"' for key, value in missing.items())
    section = text.rfind("[program:", 0, at)
    end = text.find("\n[", at)
    found = re.compile(r"^environment\s*=\s*", re.MULTILINE).search(
        text, max(section, 0), len(text) if end < 0 else end
    )
    if found is not None:
        space.put(origin.file, f"{text[: found.end()]}{pairs},{text[found.end() :]}", why, origin.line)
    else:
        space.put(origin.file, f"{text[:at]}environment={pairs}\n{text[at:]}", why, origin.line)


_BY_KIND = {
    ServiceKind.COMPOSE: _compose,
    ServiceKind.KUBERNETES: _kubernetes,
    ServiceKind.SYSTEMD: _systemd,
    ServiceKind.DOCKERFILE: _dockerfile,
    ServiceKind.PROCFILE: _script,
    ServiceKind.SUPERVISOR: _supervisor,
}
