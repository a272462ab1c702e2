"""systemd units: the service, its drop-ins, its environment files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from no502.doctor.model import Deployment, Fact, Origin, Service, ServiceKind, Source
from no502.doctor.readers.durations import systemd_seconds
from no502.doctor.readers.server_words import unknown
from no502.doctor.readers.texts import read_environment, read_text, shown_path

__all__ = ["Unit", "read_unit"]

_STOP = 90.0  # DefaultTimeoutStopSec, systemd-system.conf(5)
_SPECIFIER = re.compile(r"%[a-zA-Z]")


@dataclass(kw_only=True)
class Unit:
    """A service unit with what the other readers need of it."""

    service: Service
    commands: Sequence[tuple[tuple[str, ...], Origin]]
    """Every ExecStart."""
    working_directory: str


def read_unit(path: Path, *, base: Path, deployment: Deployment) -> Unit | None:
    """Read a ``.service`` file with its drop-ins and add the service.

    Returns:
        None where it cannot be read.
    """
    entries: dict[str, list[tuple[str, Origin]]] = {}
    drop_ins = sorted(path.with_name(f"{path.name}.d").glob("*.conf")) if path.parent.is_dir() else []
    for file in [path, *drop_ins]:
        text = read_text(file, base, deployment)
        if text is None:
            return None
        _collect(text, shown_path(file, base), entries)
    name = path.name.removesuffix(".service").removesuffix("@")
    environment = _environment(entries, path, deployment)
    service = Service(
        kind=ServiceKind.SYSTEMD,
        name=name,
        origin=Origin(file=shown_path(path, base), line=1),
        settings=_settings(entries, shown_path(path, base)),
        environment=environment,
    )
    deployment.services.append(service)
    commands = [(_words(text), origin) for text, origin in entries.get("ExecStart", ())]
    directory = entries.get("WorkingDirectory", [("", service.origin)])[-1][0]
    return Unit(service=service, commands=commands, working_directory=directory.lstrip("-~"))


def _collect(text: str, shown: str, entries: dict[str, list[tuple[str, Origin]]]) -> None:
    """Add a file's entries of [Service]; an empty value resets what stood before."""
    section, pending, begin = "", "", 0
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.rstrip("\r")
        if line.lstrip().startswith(("#", ";")):
            continue
        pending, begin = (pending + line.strip(), begin) if pending else (line.strip(), number)
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        entry, pending = pending, ""
        if entry.startswith("["):
            section = entry
        elif section == "[Service]" and "=" in entry:
            key, _, value = entry.partition("=")
            key, value = key.strip(), value.strip()
            if value:
                entries.setdefault(key, []).append((value, Origin(file=shown, line=begin)))
            else:
                entries.pop(key, None)


def _words(text: str) -> tuple[str, ...]:
    text = text.lstrip("-@:+!")
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return tuple(text.split())


def _environment(
    entries: Mapping[str, Sequence[tuple[str, Origin]]], path: Path, deployment: Deployment
) -> dict[str, Fact[str]]:
    found: dict[str, Fact[str]] = {}
    for text, origin in entries.get("EnvironmentFile", ()):
        name = text.lstrip("-")
        beside = path.parent / Path(name).name
        example = beside.with_name(f"{beside.name}.example")
        for candidate in (example, Path(name), beside):
            found |= {key: Fact(value, origin) for key, value in read_environment(candidate, deployment.reach).items()}
    for text, origin in entries.get("Environment", ()):
        for word in _words(text):
            key, equals, value = word.partition("=")
            if equals:
                found[key] = Fact(value, origin)
    return found


def _settings(entries: Mapping[str, Sequence[tuple[str, Origin]]], shown: str) -> dict[str, Fact[Any]]:
    default = Origin(file=shown, line=1, source=Source.DEFAULT, note="systemd's default")
    found: dict[str, Fact[Any]] = {"stop_grace": Fact(_STOP, default)}
    for key in ("TimeoutSec", "TimeoutStopSec"):
        for text, origin in entries.get(key, ()):
            seconds = systemd_seconds(text)
            found["stop_grace"] = Fact(seconds, origin) if seconds is not None else unknown(origin, "not a duration")
    names = {"KillSignal": "stop_signal", "KillMode": "kill_mode", "ExecReload": "exec_reload", "Type": "type"}
    names |= {"User": "user", "Restart": "restart"}
    for key, name in names.items():
        for text, origin in entries.get(key, ()):
            found[name] = unknown(origin, text) if _SPECIFIER.search(text) else Fact(text, origin)
    for text, origin in entries.get("PrivateTmp", ()):
        found["private_tmp"] = Fact(text.lower() in {"true", "yes", "on", "1"}, origin)
    return found
