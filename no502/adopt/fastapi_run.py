"""The application that ``fastapi run`` finds by a file: as module and attribute, as gunicorn has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from no502.adopt.starts import Start
from no502.adopt.workspace import Workspace

__all__ = ["Target", "resolve"]

_ASSIGNED = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:fastapi\.)?FastAPI\(", re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """What gunicorn is given."""

    application: str
    below: str = ""
    """The folder below the working directory from which it is imported."""


def resolve(space: Workspace, start: Start) -> Target:
    """Return the application of a start; a file's is the module that ``fastapi run`` imports for it.

    https://fastapi.tiangolo.com/fastapi-cli/
    """
    name = start.application
    if not name.endswith(".py"):
        return Target(name)
    folder, _, file = name.removeprefix("./").rpartition("/")
    module = file.removesuffix(".py")
    while folder and space.has(f"{start.home}/{folder}/__init__.py".lstrip("/")):
        folder, _, package = folder.rpartition("/")
        module = f"{package}.{module}"
    words = list(start.server.command.value or ())
    given = next((after for word, after in pairwise(words) if word == "--app"), None)
    text = space.text(f"{start.home}/{name.removeprefix('./')}".lstrip("/"))
    found = _ASSIGNED.findall(text)
    attribute = given or next((one for one in ("app", "api") if one in found), found[0] if found else "app")
    return Target(f"{module}:{attribute}", folder)
