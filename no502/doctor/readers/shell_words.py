"""A command line as somebody wrote it: its words, the wrappers before the server, and whether a shell stays there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Command", "expand", "find_commands", "split"]

_PROGRAMS = ("gunicorn", "uvicorn")
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?:(:?[-+?=])([^}]*))?\}|\$([A-Za-z_]\w*)")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)$", re.DOTALL)
_SEPARATORS = {"&&", "||", ";", "|", "&"}
_WRAPPERS = frozenset(
    {
        *(
            "exec",
            "env",
            "sudo",
            "nohup",
            "nice",
            "ionice",
            "tini",
            "dumb-init",
            "catatonit",
            "su-exec",
            "gosu",
            "chpst",
        ),
        *("time", "newrelic-admin", "run-program", "ddtrace-run", "opentelemetry-instrument", "poetry", "pipenv", "uv"),
        *("run", "pdm", "hatch", "python", "python3", "-m", "--", "doppler", "chamber", "aws-vault"),
        *("then", "do", "else", "if", "!"),
    }
)
_PYTHON = re.compile(r"python3?(?:\.\d+)?$")
_SHELLS = {"sh", "bash", "ash", "dash", "/bin/sh", "/bin/bash", "/bin/ash", "/bin/dash", "/usr/bin/bash", "/usr/bin/sh"}


@dataclass(frozen=True, kw_only=True)
class Command:
    """One gunicorn or uvicorn in a command line."""

    program: str
    words: tuple[str, ...]
    """Its arguments, the program not included."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables set on the same line."""
    shell: str = ""
    """How a shell stays in front of it; empty where it does not."""
    offset: int = 0
    """How many line ends stand before it."""


def split(text: str) -> list[str]:
    """Return the words of a shell line; what cannot be split by the shell's rules is split at spaces."""
    text = re.sub(r"\\\r?\n", " ", text)
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        lexer.commenters = ""
        return list(lexer)
    except ValueError:
        return text.split()


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the variables that are known; others stay as they are.

    ``${NAME:-default}`` is the value, else the default.
    """

    def value(found: re.Match[str]) -> str:
        name, operator, rest = found[1] or found[4], found[2] or "", found[3] or ""
        known = values.get(name)
        if known is not None and (known or not operator.startswith(":")):
            return rest if "+" in operator else known
        if operator in {"-", ":-", "=", ":="}:
            return expand(rest, values) if len(rest) < len(text) else rest
        return found[0]

    return _VARIABLE.sub(value, text) if "$" in text else text


def find_commands(argv: Sequence[str], *, inside: str = "", depth: int = 0) -> list[Command]:
    """Return every server in an argument list, through wrappers and ``sh -c``.

    A shell stays in front of the server unless ``exec`` replaces it. bash and busybox replace themselves by the last
    command of ``-c`` without being told; dash, the /bin/sh of Debian and its images, does not (0.5.12, measured).

    Args:
        argv: The words.
        inside: The shell whose ``-c`` they are; empty outside of one.
        depth: How many shells were gone through.
    """
    words = list(argv)
    if not words or depth > 3:  # noqa: PLR2004  deeper than anybody writes
        return []
    script = _script_of(words)
    if script is not None:
        return find_commands(split(script.replace("\n", " ; ")), inside=words[0].rsplit("/", 1)[-1], depth=depth + 1)
    found: list[Command] = []
    environment: dict[str, str] = {}
    segments = _segments(words)
    for number, segment in enumerate(segments):
        stays = "" if inside == "bash" and number == len(segments) - 1 else inside
        command = _server(segment, environment, f"{stays} -c without exec" if stays else "")
        if command is not None:
            found.append(command)
        elif (nested := _nested_shell(segment)) is not None:
            found += find_commands(nested, inside=inside, depth=depth + 1)
    return found


def _script_of(words: Sequence[str]) -> str | None:
    """Return the script of ``sh -c SCRIPT``."""
    if words[0] not in _SHELLS:
        return None
    flag = next((index for index, word in enumerate(words[1:], 1) if re.fullmatch(r"-\w*c\w*", word)), None)
    return words[flag + 1] if flag is not None and len(words) > flag + 1 else None


def _segments(words: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for word in words:
        if word in _SEPARATORS or (word and set(word) <= set("&|;")):
            found.append([])
        else:
            found[-1].append(word)
    return [segment for segment in found if segment]


def _nested_shell(segment: Sequence[str]) -> list[str] | None:
    for index, word in enumerate(segment):
        if word in _SHELLS and any(re.fullmatch(r"-\w*c\w*", other) for other in segment[index + 1 :]):
            return list(segment[index:])
        if word not in _WRAPPERS:
            return None
    return None


def _server(segment: Sequence[str], environment: dict[str, str], shell: str) -> Command | None:
    own, execs = dict(environment), False
    for index, word in enumerate(segment):
        name = word.rsplit("/", 1)[-1]
        if name in _PROGRAMS:
            stays = "" if execs else shell
            return Command(program=name, words=tuple(segment[index + 1 :]), environment=own, shell=stays)
        if name == "fastapi" and len(segment) > index + 1 and segment[index + 1] in {"run", "dev"}:
            stays = "" if execs else shell
            return Command(program="uvicorn", words=_fastapi(segment[index + 1 :]), environment=own, shell=stays)
        assignment = _ASSIGNMENT.match(word)
        if assignment:
            own[assignment[1]] = assignment[2]
            if index + 1 == len(segment):
                environment.update(own)
        elif word == "export":
            continue
        elif word == "exec":
            execs = True
        elif not (word in _WRAPPERS or name in _WRAPPERS or _PYTHON.match(name) or word.startswith("-") or index > 0):
            return None
    return None


def _fastapi(words: Sequence[str]) -> tuple[str, ...]:
    """Return uvicorn's arguments for what ``fastapi run`` says: it binds 0.0.0.0 and passes the same flags on."""
    given = list(words[1:])
    host = [] if any(word.startswith("--host") for word in given) else ["--host", "0.0.0.0"]  # noqa: S104
    return (*given, *host)
