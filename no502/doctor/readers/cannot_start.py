"""Commands that are lists of words and are written as if a shell read them: what they name does not start."""

from __future__ import annotations

import re
from collections.abc import Sequence

from no502.doctor.model import ServiceKind
from no502.doctor.readers.shell.expansion import OPEN
from no502.doctor.readers.shell.names import WRAPPERS
from no502.doctor.readers.shell.programs import SERVERS, find_program

__all__ = ["OPERATOR", "why_not"]

OPERATOR = re.compile(r"&&|\|\|?|;|&|\d?>{1,2}(?:&\d|[^\s>]*)|&>{1,2}.*|<")
"""A word with which a shell goes on to another command, or sends output elsewhere."""

_BUILTINS = frozenset(
    {"cd", "exec", "source", ".", "export", "set", "unset", "eval", "ulimit", "umask", "trap", "alias", "local", ":"}
)
"""Words that only a shell knows."""
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SHOWN = 60
_WHO = {ServiceKind.SYSTEMD: "the service", ServiceKind.SUPERVISOR: "the program"}
_VARIABLES = {
    ServiceKind.SYSTEMD: "Set the variable with Environment=.",
    ServiceKind.SUPERVISOR: "Set the variable with environment=.",
    ServiceKind.KUBERNETES: "Set the variable in `env:`.",
    ServiceKind.COMPOSE: "Set the variable in `environment:`.",
}
_LIST = '["sh", "-c", "{}"]'
_WITH_SHELL = {
    ServiceKind.SYSTEMD: "ExecStart=/bin/sh -c '{}'",
    ServiceKind.SUPERVISOR: "command=/bin/sh -c '{}'",
    ServiceKind.COMPOSE: f"command: {_LIST}",
}


def why_not(argv: Sequence[str], kind: ServiceKind) -> tuple[str, str] | None:
    """Return why a command does not start the server that it names, and what to write; None where nothing says so.

    Args:
        argv: The words, which no shell reads.
        kind: What runs them.
    """
    if not argv:
        return None
    who, first = _WHO.get(kind, "the container"), argv[0]
    words = first.split()
    if len(words) > 1 and find_program(words) is not None:
        message = f'"{first[:_SHOWN]}" is one word, so a program of that name is looked for: {who} does not start'
        return message, 'Write one word for each argument: "' + '", "'.join(words[:3]) + '", ...'
    named = [at for at, word in enumerate(argv) if word.rsplit("/", 1)[-1] in SERVERS]
    if not named:
        return None
    return _first(argv, kind, who) or _lost(argv, named, who) or _operator(argv, named, kind, who)


def _first(argv: Sequence[str], kind: ServiceKind, who: str) -> tuple[str, str] | None:
    """Return what is wrong with the word that names the program."""
    first = argv[0]
    if first in _BUILTINS:
        fix = _shell(kind) if first != "exec" else "Remove exec: what runs here is the process itself."
        return f'"{first}" is a word of the shell, and no shell runs here: {who} does not start', fix
    if _ASSIGNMENT.match(first):
        name = first.partition("=")[0]
        message = (
            f'"{name}=..." before a program sets a variable in a shell, and no shell runs here: {who} does not start'
        )
        return message, _VARIABLES.get(kind, f"Set the variable with ENV {name}=...")
    if first.startswith("~"):
        return f'only a shell expands "~" ({first[:_SHOWN]}): {who} does not start', "Write the absolute path."
    if kind is ServiceKind.SYSTEMD and first.startswith("$"):
        message = f"systemd fills no variable in the program's own name, {first[:_SHOWN]}: {who} does not start"
        return message, "Write the absolute path."
    relative = "/" in first and not first.startswith(("/", OPEN)) and OPEN not in first.partition("/")[0]
    if kind is ServiceKind.SYSTEMD and relative:
        message = f"systemd takes a program's name or absolute path, not {first[:_SHOWN]}: {who} does not start"
        return message, "Write the absolute path."
    return None


def _lost(argv: Sequence[str], named: Sequence[int], who: str) -> tuple[str, str] | None:
    """Return what is wrong with ``sh -c gunicorn ...`` in several words: the shell runs the one behind ``-c``."""
    program = find_program(argv)
    if program is None or program.kind != "text" or len(program.words) < 2:
        return None
    text = program.words[0]
    begin = len(argv) - len(program.words)
    serves = any(at >= begin for at in named)
    if not serves or re.search(r"[\s$/]", text) or text.endswith(".sh"):
        return None
    message = (
        f'{program.interpreter} -c runs "{text}" alone, and the words after it are arguments of the shell: '
        f"{who} does not serve"
    )
    return message, f'Write one text behind -c: "exec {" ".join(argv[named[-1] :])[:_SHOWN]}".'


def _operator(argv: Sequence[str], named: Sequence[int], kind: ServiceKind, who: str) -> tuple[str, str] | None:
    """Return what is wrong with ``&&`` or ``;`` before a server, or with anything of the kind behind uvicorn."""
    program = find_program(argv)
    if program is not None and (program.kind == "text" or (program.kind == "script" and "entrypoint" in argv[0])):
        return None  # a script may hand its words to a shell
    ends = [at for at, word in enumerate(argv) if OPERATOR.fullmatch(word) or (word.endswith(";") and len(word) > 1)]
    before = next((at for at in ends if at < named[-1]), None)
    if before is not None and named[0] > before:
        runs = next((word for word in argv if word.rsplit("/", 1)[-1] not in WRAPPERS), argv[0]).rsplit("/", 1)[-1]
        message = (
            f'no shell runs here, so "{argv[before][:_SHOWN]}" is an argument of {runs} and '
            f"{argv[named[-1]].rsplit('/', 1)[-1]} is never started: {who} does not serve"
        )
        return message, _shell(kind)
    if ends and ends[0] > named[0] and argv[named[0]].rsplit("/", 1)[-1] == "uvicorn":
        message = (
            f'no shell runs here, and uvicorn refuses the argument "{argv[ends[0]][:_SHOWN]}": {who} does not start'
        )
        return message, _shell(kind)
    return None


def _shell(kind: ServiceKind) -> str:
    return f"Let a shell read it: {_WITH_SHELL.get(kind, _LIST).format('... && exec ...')}."
