"""Shell scripts and Procfiles: the servers that they start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from no502.doctor.model import Deployment, Origin
from no502.doctor.readers.shell_words import Command, expand, find_commands, split
from no502.doctor.readers.texts import read_text, shown_path

__all__ = ["is_script", "read_procfile", "read_script"]

_ASSIGNMENT = re.compile(r"\s*(?:export\s+|readonly\s+)?([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|\S*)\s*$")
_DEFAULT = re.compile(r"\s*:\s+\"?\$\{([A-Za-z_]\w*):?=([^}]*)\}\"?\s*$")
_SERVER = re.compile(r"\b(?:gunicorn|uvicorn|fastapi\s+run)\b")


def is_script(path: Path, text: str) -> bool:
    """Whether a file is a shell script that starts a server."""
    shell = path.suffix in {".sh", ".bash"} or re.match(r"#!.*\b(?:ba|da|a|z)?sh\b", text) is not None
    return shell and _SERVER.search(text) is not None


def read_script(
    path: Path, *, base: Path, environment: Mapping[str, str], deployment: Deployment
) -> Iterator[tuple[Command, Origin]]:
    """Yield the servers that a script starts, with its variables filled in.

    A server without ``exec`` has the script in front of it, unless nothing but the script itself would wait for it.
    """
    text = read_text(path, base, deployment, rule="C003")
    values = dict(environment)
    shown = shown_path(path, base)
    for line, joined in _lines(text or ""):
        assignment = _ASSIGNMENT.match(joined) or _DEFAULT.match(joined)
        if assignment:
            value = assignment[2].strip("\"'")
            known = values.get(assignment[1])
            values[assignment[1]] = known if known and _DEFAULT.match(joined) else expand(value, values)
            continue
        if not _SERVER.search(joined):
            continue
        for command in find_commands(split(expand(joined, values))):
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


def read_procfile(path: Path, *, base: Path, deployment: Deployment) -> Iterator[tuple[str, Command, Origin]]:
    """Yield the servers of a Procfile with the names of their processes."""
    text = read_text(path, base, deployment, rule="C003")
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
