"""Shell scripts and Procfiles: the servers that they start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from no502.doctor.model import Deployment, Origin
from no502.doctor.readers.shell_paths import reached
from no502.doctor.readers.shell_words import Command, expand, find_commands, split
from no502.doctor.readers.texts import read_text, shown_path

__all__ = ["read_procfile", "read_script"]

_ASSIGNMENT = re.compile(r"\s*(?:export\s+|readonly\s+)?([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|\S*)\s*$")
_DEFAULT = re.compile(r"\s*:\s+\"?\$\{([A-Za-z_]\w*):?=([^}]*)\}\"?\s*$")
_EVERY = {"$@", "$*", "${@}", "${*}"}
_ALL = re.compile(r"\$[@*]|\$\{[@*]\}")
_SERVER = re.compile(r"\b(?:gunicorn|uvicorn|fastapi\s+run)\b")


def read_script(
    path: Path,
    *,
    base: Path,
    environment: Mapping[str, str],
    deployment: Deployment,
    arguments: Sequence[str] | None = None,
) -> Iterator[tuple[Command, Origin]]:
    """Yield the servers that a script starts, with its variables filled in.

    A server without ``exec`` has the script in front of it, unless nothing but the script itself would wait for it.
    Where a script has a way for production and one with ``--reload``, the latter is left out.

    Args:
        path: The script.
        base: Paths are shown relative to it.
        environment: Variables that it begins with.
        deployment: Takes problems and the script's name.
        arguments: What it is called with, for ``"$@"`` and ``case "$1"``; None if that is not known.
    """
    found = list(_servers(path, base=base, environment=environment, deployment=deployment, arguments=arguments))
    serving = [one for one in found if "--reload" not in one[0].words]
    yield from serving or found


def _servers(
    path: Path,
    *,
    base: Path,
    environment: Mapping[str, str],
    deployment: Deployment,
    arguments: Sequence[str] | None,
) -> Iterator[tuple[Command, Origin]]:
    text = read_text(path, base, deployment)
    values = dict(environment)
    shown = shown_path(path, base)
    for line, joined in reached(list(_lines(text or "")), arguments):
        assignment = _ASSIGNMENT.match(joined) or _DEFAULT.match(joined)
        if assignment:
            value = assignment[2].strip("\"'")
            known = values.get(assignment[1])
            values[assignment[1]] = known if known and _DEFAULT.match(joined) else expand(value, values)
            continue
        if not _SERVER.search(joined) and not _ALL.search(joined):
            continue
        for command in find_commands(_with_arguments(split(expand(joined, values)), arguments)):
            shell = "" if re.search(r"\bexec\b", joined) else "entrypoint script without exec"
            yield (
                Command(
                    program=command.program,
                    words=command.words,
                    environment={**values, **command.environment},
                    shell=shell,
                ),
                Origin(file=shown, line=line),
            )


def _with_arguments(words: Sequence[str], arguments: Sequence[str] | None) -> list[str]:
    """Return the words with those of ``"$@"``; what is not known stays as it is written."""
    found: list[str] = []
    for word in words:
        number = re.fullmatch(r"\$\{?([1-9])\}?", word)
        if arguments is not None and word in _EVERY:
            found += arguments
        elif arguments is not None and number is not None and len(arguments) >= int(number[1]):
            found.append(arguments[int(number[1]) - 1])
        else:
            found.append(word)
    return found


def read_procfile(path: Path, *, base: Path, deployment: Deployment) -> Iterator[tuple[str, Command, Origin]]:
    """Yield the servers of a Procfile with the names of their processes."""
    text = read_text(path, base, deployment)
    for number, line in enumerate((text or "").splitlines(), start=1):
        name, colon, rest = line.partition(":")
        if colon and re.fullmatch(r"[A-Za-z0-9_-]+", name):
            for command in find_commands(split(rest)):
                yield name, command, Origin(file=shown_path(path, base), line=number)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield logical lines: continuations joined, comments left out."""
    pending, begin = "", 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not pending and line.lstrip().startswith("#"):
            continue
        begin = begin if pending else number
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        yield begin, pending
        pending = ""
