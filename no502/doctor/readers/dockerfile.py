"""Dockerfiles: the last stage's command, health check, ports and variables, inherited stages included."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from no502.doctor.readers.inline import Inline
from no502.doctor.readers.shell.expansion import expand

__all__ = ["Image", "Written", "argv_of", "installs_nginx", "read_dockerfile"]

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)$", re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_LONGEST = 20_000
_FLAG = re.compile(r"--(\S+?)=(\S+)\s*")
_ESCAPE = re.compile(r"(?:#[ \t]*+\w++[ \t]*+=[^\n]*+\n)*?#[ \t]*+escape[ \t]*+=[ \t]*+([\\`])", re.IGNORECASE)
"""A directive before anything else. https://docs.docker.com/reference/dockerfile/#escape"""


@dataclass(frozen=True)
class Written:
    """A command as the file has it."""

    argv: tuple[str, ...]
    line: int
    file: str
    shell_form: bool = False
    """A shell gets the whole line."""
    problem: str = ""
    """Why the container does not start with it."""


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
    files: Mapping[str, Inline] = field(default_factory=dict)
    """Path inside -> text that COPY gives it in a here-document."""
    user: str = ""
    shell: tuple[str, ...] = ()
    """What the shell form runs; empty for the default."""
    installs: str = ""
    """The RUN instructions, for what they install."""
    own: frozenset[str] = frozenset()
    """Instructions of this stage: setting ENTRYPOINT takes an inherited CMD away, not one of the same stage."""


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
    for line, instruction, rest, documents in _instructions(text, shown):
        if instruction == "FROM":
            words = [word for word in expand(rest, values).split() if not word.startswith("--")]
            base = words[0] if words else ""
            image = replace(stages[base.lower()], own=frozenset()) if base.lower() in stages else Image(base=base)
            name = words[2].lower() if len(words) > 2 and words[1].lower() == "as" else f"\0{len(order)}"
            order.append(name)
        elif instruction == "ARG":
            name, _, default = rest.partition("=")
            values.setdefault(name.strip(), default.strip().strip("\"'"))
        else:
            image = _apply(image, instruction, rest, line, shown, values)
            image = _with_documents(image, instruction, rest, documents, values)
        if order:
            stages[order[-1]] = image
    return stages.get(target.lower(), image) if target else image


def argv_of(
    image: Image | None, command: Sequence[str] | None = None, entrypoint: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the words that a container runs.

    Args:
        image: What its Dockerfile says; None where there is none.
        command: What is given instead of CMD; None for nothing.
        entrypoint: What is given instead of ENTRYPOINT: CMD does not count then.
    """
    first = tuple(entrypoint) if entrypoint is not None else image.entrypoint.argv if image and image.entrypoint else ()
    if command is not None:
        return (*first, *command)
    rest = image.cmd.argv if image and image.cmd and entrypoint is None else ()
    return (*first, *rest)


def installs_nginx(image: Image | None) -> bool:
    """Whether an image has nginx: its base is one, a package manager installs it, or files go to its folder."""
    if image is None:
        return False
    installed = re.search(r"\b(?:install|add)\b[^\n]*\bnginx(?![\w-]*exporter)\b", image.installs) is not None
    return installed or any(target.startswith("/etc/nginx") for _, target in image.copies)


def _apply(  # noqa: C901, PLR0911, PLR0912  one case for each instruction
    image: Image, instruction: str, rest: str, line: int, shown: str, values: Mapping[str, str]
) -> Image:
    known = {**values, **image.environment}
    match instruction:
        case "CMD":
            return replace(image, cmd=_written("CMD", rest, line, shown, image), own=image.own | {"CMD"})
        case "ENTRYPOINT":
            cmd = image.cmd if "CMD" in image.own else None
            return replace(image, entrypoint=_written("ENTRYPOINT", rest, line, shown, image), cmd=cmd)
        case "SHELL":
            return replace(image, shell=_json_words(rest) or image.shell)
        case "RUN":
            return replace(image, installs=(image.installs + "\n" + rest)[-_LONGEST:])
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
            flags, words = _flags(rest)
            if any(flag.startswith("--from") for flag in flags) or len(words) < 2:
                return image
            target = _below(image.workdir, expand(words[-1], known), folder=len(words) > 2 or words[-1].endswith("/"))
            copied = tuple((expand(source, known), target) for source in words[:-1])
            return replace(image, copies=(*image.copies, *copied))
        case _:
            return image


def _with_documents(
    image: Image, instruction: str, rest: str, documents: Sequence[tuple[str, Inline]], values: Mapping[str, str]
) -> Image:
    """Return an image with the files that COPY has as here-documents: those of a script that RUN feeds are none."""
    if instruction not in {"COPY", "ADD"} or not documents:
        return image
    known = {**values, **image.environment}
    _, words = _flags(_HEREDOC.sub("", rest))
    given = expand(words[-1], known) if words else ""
    target = _below(image.workdir, given, folder=given.endswith("/") or len(documents) > 1)
    files = {f"{target}{name}" if target.endswith("/") else target: inline for name, inline in documents}
    return replace(image, files={**image.files, **files})


def _instructions(text: str, shown: str) -> list[tuple[int, str, str, list[tuple[str, Inline]]]]:
    """Return (line, instruction, rest, here-documents) with continuations joined and comments taken out."""
    found: list[tuple[int, str, str, list[tuple[str, Inline]]]] = []
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    escape = directive[1] if (directive := _ESCAPE.match(text)) is not None else "\\"
    index = 0
    while index < len(lines):
        begin, joined = index, ""
        while index < len(lines):
            line = lines[index]
            index += 1
            if line.lstrip().startswith("#") or (joined and not line.strip()):
                continue
            joined += line
            if not joined.rstrip().endswith(escape):
                break
            joined = joined.rstrip()[:-1] + " "
        match = _INSTRUCTION.match(joined)
        if match is None:
            continue
        first = next(
            (n for n in range(begin, index) if lines[n].strip() and not lines[n].lstrip().startswith("#")), begin
        )
        documents: list[tuple[str, Inline]] = []
        for word in _HEREDOC.findall(joined) if match[1].upper() in {"RUN", "COPY", "ADD"} else ():
            start = index
            while index < len(lines) and lines[index].strip() != word:
                index += 1
            documents.append((word, Inline("\n".join(lines[start:index]) + "\n", shown, start)))
            index += 1
        found.append((first + 1, match[1].upper(), match[2].strip(), documents))
    return found


def _flags(rest: str) -> tuple[list[str], list[str]]:
    """Return the flags and the words of COPY and ADD, in either form."""
    flags = re.findall(r"(?:^|\s)(--\S+)", rest.partition("[")[0] if "[" in rest else rest)
    plain = re.sub(r"(?:^|\s)--\S+", " ", rest, count=len(flags)).strip()
    return flags, list(_json_words(plain) or [word for word in plain.split() if not word.startswith("<<")])


def _below(workdir: str, target: str, *, folder: bool) -> str:
    """Return an absolute target; that of a folder ends with a slash."""
    path = (
        target
        if target.startswith("/")
        else f"{workdir.rstrip('/')}/{'' if target in {'.', './'} else target.removeprefix('./')}"
    )
    return f"{path.rstrip('/')}/" if folder or target in {".", "./"} else path


def _json_words(rest: str) -> tuple[str, ...]:
    """Return the words of the exec form; nothing where it is none."""
    if not rest.startswith("["):
        return ()
    try:
        words = json.loads(rest)
    except (ValueError, RecursionError):
        return ()
    return tuple(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else ()


def _written(instruction: str, rest: str, line: int, shown: str, image: Image) -> Written:
    words = _json_words(rest)
    if words or re.fullmatch(r"\[\s*\]", rest):
        return Written(words, line, shown)
    if rest.startswith("[") and not re.search(r"\]\s*(?:&&|\|\||;)", rest) and not re.match(r"\[\[?\s+-", rest):
        first = rest.split(maxsplit=1)[0][:40]
        problem = (
            f"{instruction} is no JSON (double quotes, one comma between two words), so /bin/sh -c gets the whole "
            f"line and looks for a program called {first}: the container does not start"
        )
        return Written((), line, shown, problem=problem)
    return Written((*(image.shell or (_shell_of(image), "-c")), rest), line, shown, shell_form=True)


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
