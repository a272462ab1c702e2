"""supervisord's configuration: the programs that it starts and stops. http://supervisord.org/configuration.html."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from no502.doctor.model import Address, Deployment, Fact, Origin, Service, ServiceKind, Source
from no502.doctor.readers.bind import parse_bind
from no502.doctor.readers.placeholders import opened
from no502.doctor.readers.server_words import unknown
from no502.doctor.readers.shell.expansion import OPEN
from no502.doctor.readers.texts import read_text, shown_path
from no502.doctor.settings import ServiceFacts

__all__ = ["STOP_SECONDS", "Program", "read_supervisor"]

_SECTION = re.compile(r"\[(program|fcgi-program):([^\]\n]+)\]")
_ENTRY = re.compile(r"([A-Za-z_]+)\s*[=:]\s*(.*)$")
_MOST_PROCESSES, _WIDEST = 16, 9
STOP_SECONDS = 10.0
"""stopwaitsecs by default."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A ``[program:...]`` or ``[fcgi-program:...]``."""

    service: Service
    argv: tuple[str, ...]
    origin: Origin
    """The line of its command."""
    environment: Mapping[str, str]
    directory: str
    listens: Fact[tuple[Address, ...]] | None
    """The socket that supervisord opens for it as descriptor 0."""


def read_supervisor(
    path: Path, *, base: Path, environment: Mapping[str, str], deployment: Deployment
) -> Iterator[Program]:
    """Yield every program that has a command.

    Args:
        path: The file.
        base: Paths are shown relative to it.
        environment: Variables of supervisord itself, for ``%(ENV_NAME)s``.
        deployment: Takes the file's name.
    """
    text = read_text(path, base, deployment)
    shown = shown_path(path, base)
    for name, entries, line in _sections(opened(text or ""), shown):
        known = dict(environment)
        known |= {"program_name": name, "group_name": name, "here": str(path.parent)}
        if "environment" in entries:
            known |= _pairs(_filled(entries["environment"].value or "", known))
        command = entries.get("command")
        if command is None or not command.value:
            continue
        count, start = (_number(entries.get(key)) for key in ("numprocs", "numprocs_start"))
        many = "process_num" in command.value
        for number in range(start or 0, (start or 0) + (min(count or 1, _MOST_PROCESSES) if many else 1)):
            yield _program(name, entries, line, shown, known | {"process_num": str(number)})


def _number(entry: Fact[str] | None) -> int | None:
    return int(entry.value) if entry is not None and entry.value and entry.value.isdecimal() else None


def _program(name: str, entries: Mapping[str, Fact[str]], line: int, shown: str, known: Mapping[str, str]) -> Program:
    command = entries["command"]
    return Program(
        service=Service(
            kind=ServiceKind.SUPERVISOR,
            name=name,
            origin=Origin(file=shown, line=line),
            settings=ServiceFacts.of(_settings(entries, Origin(file=shown, line=line), known)),
        ),
        argv=tuple(_split(_filled(command.value or "", known))),
        origin=command.origin,
        environment=known,
        directory=_filled(entries["directory"].value or "", known) if "directory" in entries else "",
        listens=_socket(entries.get("socket"), known),
    )


def _sections(text: str, shown: str) -> Iterator[tuple[str, dict[str, Fact[str]], int]]:
    """Yield name, entries and line of each program; a line that begins with a space goes on with the one before."""
    name, begin = "", 0
    entries: dict[str, Fact[str]] = {}
    last = ""
    for number, raw in enumerate([*text.splitlines(), "["], start=1):
        line = re.sub(r"(?:^|\s);.*$", "", raw)
        if line.startswith("["):
            if name:
                yield name, entries, begin
            found = _SECTION.match(line)
            name, begin, entries, last = (found[2].strip() if found else ""), number, {}, ""
        elif name and last and raw[:1].isspace() and line.strip():
            before = entries[last]
            joined = f"{(before.value or '').removesuffix(chr(92)).rstrip()} {line.strip()}"
            entries[last] = Fact(joined, before.origin)
        elif name and not raw.lstrip().startswith("#") and (found := _ENTRY.match(line)) is not None:
            last = found[1].lower()
            entries[last] = Fact(found[2].strip(), Origin(file=shown, line=number))


def _filled(text: str, environment: Mapping[str, str]) -> str:
    """Return a value with ``%(ENV_NAME)s`` filled in; one without a value stays open."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        name = found[1].removeprefix("ENV_")
        known = environment.get(name)
        if known is None:
            return f"{OPEN}{{{name}}}"
        return known.zfill(min(int(found[2] or 0), _WIDEST)) if found[3] == "d" and known.isdecimal() else known

    return re.sub(r"%%|%\(([A-Za-z0-9_]+)\)0?(\d*)([sd])", value, text)


def _split(text: str) -> Sequence[str]:
    try:
        return shlex.split(text.removesuffix("\\"))
    except ValueError:
        return text.split()


def _pairs(text: str) -> dict[str, str]:
    """Return ``A=1,B="2,3"`` as a mapping."""
    found = re.findall(r"([A-Za-z_]\w*)\s*=\s*(\"[^\"]*\"|'[^']*'|[^,\s]*)", text)
    return {name: value.strip("\"'") for name, value in found}


def _socket(entry: Fact[str] | None, environment: Mapping[str, str]) -> Fact[tuple[Address, ...]] | None:
    if entry is None or not entry.value:
        return None
    text = _filled(entry.value, environment)
    found = parse_bind([text.replace("unix:///", "unix:/")]) if OPEN not in text else None
    if found is None:
        return Fact(None, Origin(file=entry.origin.file, line=entry.origin.line, source=Source.UNKNOWN, note=text))
    return Fact(found, entry.origin)


def _settings(entries: Mapping[str, Fact[str]], origin: Origin, environment: Mapping[str, str]) -> dict[str, Fact[Any]]:
    default = Origin(file=origin.file, line=origin.line, source=Source.DEFAULT, note="supervisord's default")
    found: dict[str, Fact[Any]] = {"stop_grace": Fact(STOP_SECONDS, default)}
    for name, key in (("stop_grace", "stopwaitsecs"), ("stop_signal", "stopsignal"), ("user", "user")):
        if key not in entries:
            continue
        text, where = _filled(entries[key].value or "", environment), entries[key].origin
        if OPEN in text:
            found[name] = unknown(where, f"{text.replace(OPEN, '$')} is not among the files", Source.TEMPLATE)
        elif name != "stop_grace":
            found[name] = Fact(text, where)
        else:
            found[name] = Fact(float(text), where) if text.isdecimal() else unknown(where, "not a number of seconds")
    return found
