"""supervisord's configuration: the servers that it starts. http://supervisord.org/configuration.html."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from no502.doctor.model import Deployment, Origin
from no502.doctor.readers.shell_words import Command, find_commands, split
from no502.doctor.readers.texts import read_text, shown_path

__all__ = ["read_supervisor"]

_PROGRAM = re.compile(r"\[(?:program|fcgi-program):[^\]\n]+\]")
_COMMAND = re.compile(r"command\s*[=:]\s*(.*)$")


def read_supervisor(path: Path, *, base: Path, deployment: Deployment) -> Iterator[tuple[Command, Origin]]:
    """Yield the servers of every ``[program:...]``.

    supervisord itself passes SIGTERM on to each program, so no shell stands before them unless they say so.
    """
    text = read_text(path, base, deployment)
    inside, pending, begin = False, "", 0
    for number, line in enumerate([*(text or "").splitlines(), "["], start=1):
        if pending and line[:1].isspace() and line.strip():
            pending += " " + _plain(line)
            continue
        if pending:
            for command in find_commands(split(pending)):
                yield command, Origin(file=shown_path(path, base), line=begin)
            pending = ""
        if line.startswith("["):
            inside = _PROGRAM.match(line) is not None
        elif inside and (found := _COMMAND.match(line)) is not None:
            pending, begin = _plain(found[1]), number


def _plain(line: str) -> str:
    """Return a line without its comment, with ``%(ENV_NAME)s`` as a shell writes it."""
    line = re.sub(r"\s;.*$", "", line).strip().removesuffix("\\").replace("%%", "%")
    return re.sub(r"%\(ENV_(\w+)\)s", r"${\1}", line)
