"""Stopping and starting: who waits how long for whom, where doctor's own edits do not reach."""

from __future__ import annotations

import re

import yaml

from no502.adopt.diagnosis import Diagnosis
from no502.adopt.locate import yaml_documents
from no502.adopt.starts import Start
from no502.adopt.workspace import Workspace
from no502.adopt.yaml_edit import add_key, brought_in, is_inside, mapping_at, moved, services_of, value_of
from no502.doctor.model import ServiceKind
from no502.doctor.readers.yaml_nodes import yaml_pairs

__all__ = ["adopt_stop", "grace_in_compose", "waits_for"]

_PRE_STOP = 10
_RELOAD = "systemctl reload replaces the workers one generation after the other: the new one serves first"
_MIXED = "SIGTERM goes to gunicorn's master alone: it decides which worker ends when"
_STOP = "systemd's SIGKILL comes after gunicorn has finished its requests"


def adopt_stop(space: Workspace, start: Start, seen: Diagnosis, stop_grace: int) -> list[str]:
    """Give the process that runs gunicorn the time that it needs; return what is left to a person.

    Args:
        space: The project.
        start: The start, as it is now.
        seen: What doctor finds now.
        stop_grace: Seconds from SIGTERM to SIGKILL.
    """
    service = start.service
    if service is None:
        return []
    if service.kind is ServiceKind.SYSTEMD:
        _unit(space, start, stop_grace)
    elif service.kind is ServiceKind.KUBERNETES:
        try:
            _pod(space, start, seen, stop_grace)
        except ValueError as error:
            return [f"{start.where}: terminationGracePeriodSeconds {stop_grace + _PRE_STOP} and a preStop ({error})"]
    return []


def _unit(space: Workspace, start: Start, stop_grace: int) -> None:
    """Add what a unit does not say; a reload that is not gunicorn's is left alone."""
    file = start.server.origin.file
    text = space.text(file)
    exec_line = re.search(r"^ExecStart\s*=(?:.*\\\n)*.*$", text, re.MULTILINE)
    if exec_line is None or start.service is None:
        return
    settings = start.service.settings
    new = []
    if settings.exec_reload is None:
        new.append(("ExecReload=/bin/kill -HUP $MAINPID", _RELOAD))
    if settings.kill_mode is None:
        new.append(("KillMode=mixed", _MIXED))
    grace = settings.stop_grace
    if grace is not None and grace.origin.source.value == "default":
        new.append((f"TimeoutStopSec={stop_grace}", _STOP))
    lines = "".join(f"\n{line}" for line, _ in new)
    text = text[: exec_line.end()] + lines + text[exec_line.end() :]
    for _, why in new:
        space.put(file, text, why)
        space.note(file, None, why)


def _pod(space: Workspace, start: Start, seen: Diagnosis, stop_grace: int) -> None:
    assert start.service is not None  # noqa: S101  its kind was asked for
    file, line = start.service.origin.file, start.service.origin.line or 1
    found = [one for one in seen.of("S505") if one.where.file == file]
    if not found:
        return
    pre_stop = start.service.settings.pre_stop
    seconds = pre_stop.value if pre_stop is not None and pre_stop.known else None
    if any("no preStop" in one.message for one in found):
        at = mapping_at(space.text(file), line)
        if at is not None:
            mapping, _ = at
            if value_of(mapping, "lifecycle") is not None:
                message = "the container has another lifecycle"
                raise ValueError(message)
            lines = ["lifecycle:", "  preStop:", "    exec:", f'      command: ["sleep", "{_PRE_STOP}"]']
            why = "the pod accepts connections until every proxy has learnt that it ends"
            before = space.text(file)
            space.put(file, add_key(before, mapping, lines, after="image"), why)
            line = moved(line, before, space.text(file))
            seconds = _PRE_STOP
    needed = int(seconds or 0) + stop_grace
    at = mapping_at(space.text(file), line)
    spec = _pod_spec(at[1], at[0]) if at is not None else None
    if spec is None:
        message = "the pod's specification is not found"
        raise ValueError(message)
    grace = value_of(spec, "terminationGracePeriodSeconds")
    why = f"SIGKILL comes {needed} s after the pod is told to end: preStop, gunicorn's drain and 10 s"
    if grace is None:
        first = str(spec.value[0][0].value)
        text = _before(space.text(file), spec, f"terminationGracePeriodSeconds: {needed}", first)
        space.put(file, text, why)
    elif str(grace.value).isdecimal() and int(grace.value) < needed:
        text = space.text(file)
        space.put(file, text[: grace.start_mark.index] + str(needed) + text[grace.end_mark.index :], why)


def _before(text: str, mapping: yaml.MappingNode, line: str, first: str) -> str:
    key = next(name for name, _ in mapping.value if name.value == first)
    at = text.rfind("\n", 0, key.start_mark.index) + 1
    if text[at : key.start_mark.index].strip():
        message = "the pod's specification is written in braces"
        raise ValueError(message)
    return f"{text[:at]}{' ' * key.start_mark.column}{line}\n{text[at:]}"


def _pod_spec(document: yaml.Node, container: yaml.MappingNode) -> yaml.MappingNode | None:
    """Return the mapping whose containers hold one."""
    for mapping, key, value in yaml_pairs(document):
        if key.value == "containers" and isinstance(value, yaml.SequenceNode):
            marks = {item.start_mark.index for item in value.value}
            if container.start_mark.index in marks:
                return mapping
    return None


def grace_in_compose(space: Workspace, seen: Diagnosis) -> bool:
    """Set the stop grace of Compose services where doctor's own edits do not: nginx (S509), a service in braces (S501).

    Returns:
        Whether a file changed, so that the lines of ``seen`` are no longer those of the files.
    """
    changed = False
    for finding in seen.of("S501", "S509"):
        file = finding.where.file
        wanted = re.search(r"stop_grace_period: (\d+)s", finding.fix)
        if wanted is None or not space.has(file):
            continue
        name = finding.message.partition(" is killed")[0]
        text = space.text(file)
        service = services_of(text, name)
        if service is None or (finding.rule == "S501" and not service.flow_style):
            continue
        grace = value_of(service, "stop_grace_period")
        if grace is None:
            new = add_key(text, service, [f"stop_grace_period: {wanted[1]}s"])
        elif is_inside(service, grace):
            new = text[: grace.start_mark.index] + f"{wanted[1]}s" + text[grace.end_mark.index :]
        else:
            continue
        nginx = f"S509: {name} must run until the application has drained: it forwards the last responses"
        space.put(file, new, nginx if finding.rule == "S509" else f"{finding.rule}: {finding.message}")
        changed = True
    return changed


def waits_for(  # noqa: PLR0911  one line for each form of depends_on
    space: Workspace, file: str, nginx: str, application: str
) -> bool:
    """Have the service of nginx wait until the application is healthy; return whether that could be written."""
    text = space.text(file)
    service = services_of(text, nginx)
    if service is None:
        return False
    why = f"{nginx} starts when {application} serves: no 502 while it loads"
    node = value_of(service, "depends_on")
    healthy = "condition: service_healthy"
    if node is None and brought_in(service, "depends_on") is not None:
        return False  # one of its own would replace it
    if node is None:
        space.put(file, add_key(text, service, ["depends_on:", f"  {application}:", f"    {healthy}"]), why)
        return True
    if not is_inside(service, node):
        return False
    if isinstance(node, yaml.SequenceNode) and node.value:
        if any(item.start_mark.index < node.start_mark.index for item in node.value):
            return False  # an alias
        names = [str(item.value) for item in node.value]
        space.put(file, _as_mapping(text, node, names, application), why)
        return True
    condition = value_of(node, application, "condition")
    if condition is not None:
        space.put(file, text[: condition.start_mark.index] + "service_healthy" + text[condition.end_mark.index :], why)
        return True
    if isinstance(node, yaml.MappingNode) and node.value:
        space.put(file, add_key(text, node, [f"{application}:", f"  {healthy}"]), why)
        return True
    return False


def _as_mapping(text: str, node: yaml.SequenceNode, names: list[str], application: str) -> str:
    """Return the text with a list of services as a mapping with conditions."""
    if application not in names:
        names.append(application)
    conditions = {name: "service_healthy" if name == application else "service_started" for name in names}
    if node.flow_style:
        inside = ", ".join(f"{name}: {{condition: {condition}}}" for name, condition in conditions.items())
        return f"{text[: node.start_mark.index]}{{{inside}}}{text[node.end_mark.index :]}"
    begin = text.rfind("\n", 0, node.value[0].start_mark.index) + 1
    end = text.find("\n", node.value[-1].end_mark.index)
    end = len(text) if end < 0 else end
    key = next(
        key
        for doc in yaml_documents(text)
        for _, key, value in yaml_pairs(doc)
        if value.start_mark.index == node.start_mark.index
    )
    lead = " " * (key.start_mark.column + 2)
    written = text[begin:end].split("\n")
    lines: list[str] = []
    at = {item.start_mark.line: str(item.value) for item in node.value}
    for number, line in enumerate(written, node.value[0].start_mark.line):
        name = at.get(number)
        if name is None:
            lines += [lead + line.strip()] if line.strip() else []
            continue
        comment = re.search(r"\s#.*$", line)
        lines += [f"{lead}{name}:{comment[0] if comment is not None else ''}", f"{lead}  condition: {conditions[name]}"]
    for name in conditions.keys() - at.values():
        lines += [f"{lead}{name}:", f"{lead}  condition: {conditions[name]}"]
    return text[:begin] + "\n".join(lines) + text[end:]
