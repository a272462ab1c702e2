"""systemd units: the service, its drop-ins, its environment files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from no502.doctor.model import Address, Deployment, Fact, Origin, Service, ServiceKind, Source
from no502.doctor.readers.bind import parse_bind
from no502.doctor.readers.durations import systemd_seconds
from no502.doctor.readers.placeholders import opened
from no502.doctor.readers.server_words import unknown
from no502.doctor.readers.shell.expansion import OPEN
from no502.doctor.readers.texts import read_environment, read_text, shown_path
from no502.doctor.settings import ServiceFacts

__all__ = ["STOP_SECONDS", "Unit", "read_socket", "read_unit"]

STOP_SECONDS = 90.0  # DefaultTimeoutStopSec, systemd-system.conf(5)
_SPECIFIER = re.compile(r"%(%|[a-zA-Z])")
_DIRECTORIES = {
    "t": "/run",
    "S": "/var/lib",
    "C": "/var/cache",
    "L": "/var/log",
    "E": "/etc",
}
"""Specifiers that mean the same in every unit of the system. https://www.freedesktop.org/software/systemd/man/systemd.unit.html#Specifiers"""


_VARIABLE_ALONE = re.compile(r"\$([A-Za-z_]\w*)")
_KILL = re.compile(r"\bkill[ \t]++(?:-s[ \t]*+|--signal[= ]|-)(\w+)[ \t]++\S*MAINPID")
_IN_WORD = re.compile(r"\$\$|\$\{([A-Za-z_]\w*)\}")


@dataclass(kw_only=True)
class Unit:
    """A service unit with what the other readers need of it."""

    service: Service
    commands: Sequence[tuple[tuple[str, ...], Origin]]
    """Every ExecStart."""
    working_directory: str
    sockets: Sequence[tuple[str, Origin]] = ()
    """The socket units that it names."""


def read_unit(path: Path, *, base: Path, deployment: Deployment) -> Unit | None:
    """Read a ``.service`` file, or a template of one, with its drop-ins and add the service.

    Returns:
        None where it cannot be read.
    """
    entries: dict[str, list[tuple[str, Origin]]] = {}
    plain = path.name.partition(".service")[0] + ".service"
    drop_ins = sorted(path.with_name(f"{plain}.d").glob("*.conf")) if path.parent.is_dir() else []
    for file in [path, *drop_ins]:
        text = read_text(file, base, deployment)
        if text is None:
            return None
        _collect(text, shown_path(file, base), entries, plain)
    name = plain.removesuffix(".service").removesuffix("@")
    environment = _environment(entries, path, deployment)
    service = Service(
        kind=ServiceKind.SYSTEMD,
        name=name,
        origin=Origin(file=shown_path(path, base), line=1),
        settings=ServiceFacts.of(_settings(entries, shown_path(path, base))),
        environment=environment,
    )
    deployment.services.append(service)
    known = {key: fact.value for key, fact in environment.items() if fact.known and fact.value is not None}
    commands = [(_command(text, known), origin) for text, origin in entries.get("ExecStart", ())]
    directory = entries.get("WorkingDirectory", [("", service.origin)])[-1][0].lstrip("-~")
    named = [
        (word, origin)
        for key in ("Requires", "Wants", "BindsTo", "Sockets")
        for text, origin in entries.get(key, ())
        for word in text.split()
        if word.endswith(".socket")
    ]
    return Unit(
        service=service,
        commands=commands,
        working_directory="" if OPEN in directory else directory,
        sockets=tuple(dict(named).items()),
    )


def read_socket(path: Path, *, base: Path, deployment: Deployment) -> Fact[tuple[Address, ...]] | None:
    """Return the addresses on which a ``.socket`` unit listens; None where it names none."""
    entries: dict[str, list[tuple[str, Origin]]] = {}
    text = read_text(path, base, deployment)
    _collect(text or "", shown_path(path, base), entries, path.name)
    found: list[Address] = []
    listens = entries.get("ListenStream", [])
    for value, origin in listens:
        address = parse_bind([f"0.0.0.0:{value}" if value.isdecimal() else value])
        if address is None or OPEN in value:
            return Fact(
                None, Origin(file=origin.file, line=origin.line, source=Source.UNKNOWN, note=value.replace(OPEN, "$"))
            )
        found += address
    return Fact(tuple(found), listens[0][1]) if found else None


def _collect(text: str, shown: str, entries: dict[str, list[tuple[str, Origin]]], unit: str) -> None:
    """Add a file's entries; an empty value resets what stood before. Placeholders and an instance's name stay open."""
    section, pending, begin = "", "", 0
    for number, raw in enumerate(text.split("\n"), start=1):
        line = opened(raw.rstrip("\r"))
        if line.lstrip().startswith(("#", ";")):
            continue
        pending, begin = (pending + line.strip(), begin) if pending else (line.strip(), number)
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        entry, pending = pending, ""
        if entry.startswith("["):
            section = entry
        elif section in {"[Service]", "[Unit]", "[Socket]"} and "=" in entry:
            key, _, value = entry.partition("=")
            key, value = key.strip(), _specified(value.strip(), unit)
            if value:
                entries.setdefault(key, []).append((value, Origin(file=shown, line=begin)))
            else:
                entries.pop(key, None)


def _specified(text: str, unit: str) -> str:
    """Return a value with the specifiers filled in that do not depend on the machine or on the instance."""
    name, _, kind = unit.rpartition(".")
    prefix, template, instance = name.partition("@")
    known = {**_DIRECTORIES, "%": "%", "p": prefix, "P": prefix}
    if not template or instance:
        known |= {"n": f"{name}.{kind}", "N": name, "i": instance, "I": instance}
    return _SPECIFIER.sub(lambda found: known.get(found[1], f"{OPEN}{{%{found[1]}}}"), text)


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return tuple(text.split())


def _command(text: str, known: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that systemd runs: ``$NAME`` alone becomes words, ``${NAME}`` is a part of one, nothing else is.

    What has no value among the files stays open; ``${NAME:-default}``, which systemd does not know, stays as it is.
    https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#Command%20lines
    """
    plain = text.lstrip("-@:+!|")
    words = _words(plain)
    if ":" in text[: len(text) - len(plain)]:
        return words
    found: list[str] = []
    for number, word in enumerate(words):
        alone = _VARIABLE_ALONE.fullmatch(word)
        if number == 0 and any(name in known for name in _IN_WORD.findall(word)):
            found.append(word)  # the program itself may not be a variable
        elif alone is None:
            found.append(_IN_WORD.sub(lambda one: _value(one, known), word))
        elif alone[1] in known:
            found += _words(known[alone[1]])
        else:
            found.append(f"{OPEN}{alone[1]}")
    return tuple(found)


def _value(found: re.Match[str], known: Mapping[str, str]) -> str:
    return "$" if found[0] == "$$" else known.get(found[1], f"{OPEN}{{{found[1]}}}")


def _environment(
    entries: Mapping[str, Sequence[tuple[str, Origin]]], path: Path, deployment: Deployment
) -> dict[str, Fact[str]]:
    found: dict[str, Fact[str]] = {}
    for text, origin in entries.get("EnvironmentFile", ()):
        name = Path(text.lstrip("-"))
        roots = [path.parent, *path.parent.parents] if name.is_absolute() else []
        inside = [root / str(name).lstrip("/") for root in reversed(roots)]
        beside = path.parent / name.name
        example = beside.with_name(f"{beside.name}.example")
        for candidate in (example, name, *(one for one in inside if one != name), beside):
            found |= {key: Fact(value, origin) for key, value in read_environment(candidate, deployment.reach).items()}
    for text, origin in entries.get("Environment", ()):
        for word in _words(text):
            key, equals, value = word.partition("=")
            if equals:
                found[key] = Fact(value, origin)
    return found


def _settings(entries: Mapping[str, Sequence[tuple[str, Origin]]], shown: str) -> dict[str, Fact[Any]]:
    default = Origin(file=shown, line=1, source=Source.DEFAULT, note="systemd's default")
    found: dict[str, Fact[Any]] = {"stop_grace": Fact(STOP_SECONDS, default)}
    for key in ("TimeoutSec", "TimeoutStopSec"):
        for text, origin in entries.get(key, ()):
            seconds = systemd_seconds(text)
            found["stop_grace"] = Fact(seconds, origin) if seconds is not None else unknown(origin, "not a duration")
    names = {"KillSignal": "stop_signal", "KillMode": "kill_mode", "ExecReload": "exec_reload", "Type": "type"}
    names |= {"User": "user", "Restart": "restart"}
    for key, name in names.items():
        for text, origin in entries.get(key, ()):
            found[name] = unknown(origin, text.replace(OPEN, "$")) if OPEN in text else Fact(text, origin)
    for text, origin in entries.get("ExecStop", ()):
        sent = _KILL.search(text)
        if sent is not None:
            found["stop_signal"] = Fact(sent[1], origin)
    for text, origin in entries.get("PrivateTmp", ()):
        found["private_tmp"] = Fact(text.lower() in {"true", "yes", "on", "1"}, origin)
    return found
