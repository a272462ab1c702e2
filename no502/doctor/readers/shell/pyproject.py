"""The scripts and tasks of a pyproject.toml: what ``pdm run serve``, ``poe serve`` and ``hatch run serve`` start."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Task", "find_task"]

_LONGEST = 400_000
_COMMANDS = ("cmd", "shell", "sequence", "composite", "chain")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One script."""

    text: str
    """What a shell would be given."""
    line: int


def find_task(text: str, name: str) -> Task | None:
    """Return the script of that name; None where there is none, or what it runs is a Python function.

    https://pdm-project.org/latest/usage/scripts/, https://poethepoet.natn.io, https://hatch.pypa.io/latest/config/environment/
    """
    if len(text) > _LONGEST:
        return None
    try:
        tool = tomllib.loads(text).get("tool", {})
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    for table in _tables(tool if isinstance(tool, dict) else {}):
        if name in table:
            lines = list(_commands(table[name]))
            found = re.search(
                rf"^[ \t]*+[\"']?{re.escape(name)}[\"']?[ \t]*+=|^\[[^\]\n]*\b{re.escape(name)}\]", text, re.MULTILINE
            )
            line = text.count("\n", 0, found.start()) + 1 if found is not None else 1
            return Task(text="\n".join(lines), line=line) if lines else None
    return None


def _tables(tool: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the tables in which runners look for scripts."""
    for path in (("pdm", "scripts"), ("poe", "tasks"), ("taskipy", "tasks"), ("rye", "scripts"), ("pixi", "tasks")):
        table = tool.get(path[0])
        inner = table.get(path[1]) if isinstance(table, dict) else None
        if isinstance(inner, dict):
            yield inner
    hatch = tool.get("hatch")
    environments = hatch.get("envs") if isinstance(hatch, dict) else None
    for one in environments.values() if isinstance(environments, dict) else ():
        scripts = one.get("scripts") if isinstance(one, dict) else None
        if isinstance(scripts, dict):
            yield scripts


def _commands(given: object) -> Iterator[str]:
    """Yield the command lines of a script: a text, a list of words, a table with ``cmd``."""
    if isinstance(given, str):
        yield given
    elif isinstance(given, list):
        plain = all(isinstance(word, str) for word in given)
        yield shlex.join(given) if plain and not any(" " in word for word in given) else "\n".join(map(str, given))
    elif isinstance(given, dict):
        for key in _COMMANDS:
            value = given.get(key)
            if isinstance(value, list) and key == "cmd":
                yield shlex.join(map(str, value))
            elif value is not None:
                yield from _commands(value)
