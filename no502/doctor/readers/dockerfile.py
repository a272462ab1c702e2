"""Dockerfiles: the last stage's command, health check, ports and variables, inherited stages included."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from no502.doctor.readers.shell_words import expand

__all__ = ["Image", "read_dockerfile"]

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)$", re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_FLAG = re.compile(r"--(\S+?)=(\S+)\s*")


@dataclass(frozen=True)
class Written:
    """A command as the file has it."""

    argv: tuple[str, ...]
    line: int
    file: str


@dataclass(frozen=True)
class Image:
    """What an image built from a Dockerfile does by itself."""

    base: str = ""
    """The image that it is built from in the end."""
    cmd: Written | None = None
    entrypoint: Written | None = None
    healthcheck: tuple[int, Mapping[str, str], tuple[str, ...]] | None = None
    """Line, options, command."""
    stop_signal: tuple[int, str] | None = None
    ports: tuple[tuple[int, int], ...] = ()
    """(line, port)."""
    environment: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    copies: tuple[tuple[str, str], ...] = ()
    """(source, target) of COPY and ADD from the build context."""
    user: str = ""


def read_dockerfile(text: str, shown: str, *, target: str = "", arguments: Mapping[str, str] | None = None) -> Image:
    """Return what the image of a stage does.

    Args:
        text: The Dockerfile.
        shown: Its name for origins.
        target: A stage's name; empty for the last one.
        arguments: Build arguments.
    """
    stages: dict[str, Image] = {}
    image = Image()
    values: dict[str, str] = dict(arguments or {})
    order: list[str] = []
    for line, instruction, rest in _instructions(text):
        if instruction == "FROM":
            words = [word for word in expand(rest, values).split() if not word.startswith("--")]
            base = words[0] if words else ""
            image = replace(stages[base.lower()]) if base.lower() in stages else Image(base=base)
            name = words[2].lower() if len(words) > 2 and words[1].lower() == "as" else f"\0{len(order)}"  # noqa: PLR2004
            order.append(name)
        elif instruction == "ARG":
            name, _, default = rest.partition("=")
            values.setdefault(name.strip(), default.strip().strip("\"'"))
        else:
            image = _apply(image, instruction, rest, line, shown, values)
        if order:
            stages[order[-1]] = image
    return stages.get(target.lower(), image) if target else image


def _apply(  # noqa: C901, PLR0911, PLR0913, PLR0917  one case for each instruction
    image: Image, instruction: str, rest: str, line: int, shown: str, values: Mapping[str, str]
) -> Image:
    known = {**values, **image.environment}
    match instruction:
        case "CMD":
            return replace(image, cmd=Written(_argv(rest, image), line, shown))
        case "ENTRYPOINT":
            return replace(image, entrypoint=Written(_argv(rest, image), line, shown), cmd=None)
        case "HEALTHCHECK":
            return replace(image, healthcheck=_healthcheck(rest, line))
        case "STOPSIGNAL":
            return replace(image, stop_signal=(line, expand(rest.strip(), known)))
        case "EXPOSE":
            ports = [word.split("/")[0] for word in expand(rest, known).split()]
            return replace(image, ports=(*image.ports, *((line, int(port)) for port in ports if port.isdecimal())))
        case "ENV":
            return replace(image, environment={**image.environment, **_environment(expand(rest, known))})
        case "WORKDIR":
            path = expand(rest.strip(), known)
            return replace(image, workdir=path if path.startswith("/") else f"{image.workdir}/{path}")
        case "USER":
            return replace(image, user=expand(rest.strip(), known))
        case "COPY" | "ADD":
            words = [word for word in rest.split() if not word.startswith("--")]
            if "--from" in rest or len(words) < 2:  # noqa: PLR2004
                return image
            return replace(image, copies=(*image.copies, *((source, words[-1]) for source in words[:-1])))
        case _:
            return image


def _instructions(text: str) -> list[tuple[int, str, str]]:
    """Return (line, instruction, rest) with continuations joined, comments and heredocs taken out."""
    found: list[tuple[int, str, str]] = []
    lines = text.replace("\r\n", "\n").split("\n")
    index = 0
    while index < len(lines):
        begin, joined = index, ""
        while index < len(lines):
            line = lines[index]
            index += 1
            if line.lstrip().startswith("#") or (joined and not line.strip()):
                continue
            joined += line
            if not joined.rstrip().endswith("\\"):
                break
            joined = joined.rstrip()[:-1] + " "
        match = _INSTRUCTION.match(joined)
        if match is None:
            continue
        first = next(
            (n for n in range(begin, index) if lines[n].strip() and not lines[n].lstrip().startswith("#")), begin
        )
        for word in _HEREDOC.findall(joined) if match[1].upper() in {"RUN", "COPY", "ADD"} else ():
            while index < len(lines) and lines[index].strip() != word:
                index += 1
            index += 1
        found.append((first + 1, match[1].upper(), match[2].strip()))
    return found


def _argv(rest: str, image: Image) -> tuple[str, ...]:
    if rest.startswith("["):
        try:
            words = json.loads(rest)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return tuple(words)
    return (_shell_of(image), "-c", rest)


def _shell_of(image: Image) -> str:
    """Return what the shell form runs: alpine's busybox replaces itself by its last command, as bash does."""
    return "/bin/bash" if "alpine" in image.base else "/bin/sh"


def _healthcheck(rest: str, line: int) -> tuple[int, Mapping[str, str], tuple[str, ...]] | None:
    options = dict(_FLAG.findall(rest))
    command = _FLAG.sub("", rest).strip()
    if command.upper() == "NONE":
        return None
    command = re.sub(r"^CMD\s+", "", command)
    try:
        words = json.loads(command) if command.startswith("[") else ["CMD-SHELL", command]
    except ValueError:
        words = ["CMD-SHELL", command]
    return line, options, tuple(map(str, words))


def _environment(rest: str) -> dict[str, str]:
    try:
        words = shlex.split(rest)
    except ValueError:
        words = rest.split()
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    return {name: value for name, _, value in (word.partition("=") for word in words) if name}
