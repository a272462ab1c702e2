"""What the readers of gunicorn's and uvicorn's command lines share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from no502.doctor.model import Deployment, Fact, Origin, Problem, Source
from no502.doctor.readers.gunicorn_defaults import convert

__all__ = ["Place", "note_problem", "put", "unknown"]


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
    execute: bool = False
    """Whether a configuration file may be run."""


def unknown(origin: Origin, note: str, source: Source = Source.UNKNOWN) -> Fact[Any]:
    """Return a value that the files do not tell, with the reason."""
    return Fact(None, Origin(file=origin.file, line=origin.line, source=source, note=note[:120]))


def put(found: dict[str, Fact[Any]], name: str, value: Any, origin: Origin) -> None:  # noqa: ANN401
    """Take a value over as the type of its setting; one with a variable left in it is not known."""
    if isinstance(value, str) and "$" in value:
        found[name] = unknown(origin, f"{value} is not among the files", Source.TEMPLATE)
    elif name == "bind":
        before = found["bind"].value or () if "bind" in found else ()
        found[name] = Fact((*before, str(value)), origin)
    else:
        converted = convert(name, value)
        found[name] = unknown(origin, f"not a value of {name}") if converted is None else Fact(converted, origin)


def note_problem(deployment: Deployment, message: str, origin: Origin, fix: str = "") -> None:
    """Note that a server does not start like this."""
    deployment.problems.append(Problem(rule="C003", message=message, origin=origin, fix=fix))
