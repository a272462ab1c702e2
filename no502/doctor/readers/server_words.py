"""What the readers of gunicorn's and uvicorn's command lines share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from no502.doctor.model import Address, Deployment, Fact, Origin, Problem, Service, Source
from no502.doctor.readers.gunicorn_defaults import NUMBERS, convert
from no502.doctor.readers.inline import Inline
from no502.doctor.readers.shell.expansion import OPEN

__all__ = ["Place", "note_problem", "note_value", "put", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a command was found."""

    origin: Origin
    base: Path
    """Paths are shown relative to it."""
    folders: Sequence[Path]
    """Where the files of its working directory are on this machine, the likeliest first."""
    environment: Mapping[str, str] = field(default_factory=dict)
    service: str | None = None
    directory: str = ""
    """The working directory inside; empty where it is not known."""
    files: Callable[[str], Sequence[Path]] = field(default=lambda _: ())
    """Where a path inside is here, the likeliest first."""
    inline: Callable[[str], Inline | None] = field(default=lambda _: None)
    """The text of a file inside that stands in a file of another kind here, such as a ConfigMap."""
    listens: Fact[tuple[Address, ...]] | None = None
    """The sockets that systemd or supervisord opens for it."""
    manager: Service | None = None
    """The program of supervisord that runs it inside another service."""
    literal: bool = False
    """No shell expands the words: a ``$`` in them is a dollar sign."""
    whole: bool = True
    """The command is all that the server is given; an image's entrypoint may get more words when it is run."""
    execute: bool = False
    """Whether a configuration file may be run."""


def unknown(origin: Origin, note: str, source: Source = Source.UNKNOWN) -> Fact[Any]:
    """Return a value that the files do not tell, with the reason."""
    return Fact(None, Origin(file=origin.file, line=origin.line, source=source, note=note[:120]))


def put(
    found: dict[str, Fact[Any]],
    name: str,
    value: Any,
    origin: Origin,
    *,
    literal: bool = False,
) -> None:
    """Take a value over as the type of its setting; one with a variable left in it is not known."""
    if isinstance(value, str) and (OPEN in value or ("$" in value and not literal)):
        shown = value.replace(OPEN, "$")
        found[name] = unknown(origin, f"{shown} is not among the files", Source.TEMPLATE)
    elif name == "bind":
        before = found["bind"].value or () if "bind" in found else ()
        found[name] = Fact((*before, str(value)), origin)
    else:
        converted = convert(name, value)
        found[name] = unknown(origin, f"not a value of {name}") if converted is None else Fact(converted, origin)


def note_problem(deployment: Deployment, message: str, origin: Origin, fix: str = "") -> None:
    """Note that a server does not start like this, once."""
    problem = Problem(rule="C003", message=message, origin=origin, fix=fix)
    if problem not in deployment.problems:
        deployment.problems.append(problem)


def note_value(
    name: str, flag: str, value: str | None, origin: Origin, deployment: Deployment, *, literal: bool
) -> None:
    """Note a value with which a server does not start: a variable that nothing expands, a number that is none."""
    if value is None or OPEN in value or (not literal and "$" in value):
        return
    variable = re.search(r"\$(?:\w+|\{[^}]*\}|\([^)]*\))", value)
    if variable is None:
        number = convert(name, value) if name in NUMBERS else 0
        if number is None or number < 0:
            what = "not a whole number" if number is None else "below 0"
            note_problem(deployment, f"{flag} {value}: {what}", origin, f"Give {flag} a whole number.")
        return
    wrong = name in NUMBERS or name in {"host", "worker_class"} or (name == "bind" and not value.startswith("unix:"))
    if wrong or name == "config":
        message = f"{flag} {value}: no shell runs here, so {variable[0]} stays as it is and the server does not start"
        fix = 'Let a shell expand it: ["sh", "-c", "exec ..."]; or write the value.'
        note_problem(deployment, message, origin, fix)
