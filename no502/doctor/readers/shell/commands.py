"""From a command line to the servers that it starts: through shells, scripts and wrappers, entrypoints followed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from no502.doctor.model import Origin
from no502.doctor.readers.shell.expansion import OPEN
from no502.doctor.readers.shell.makefile import recipes
from no502.doctor.readers.shell.programs import OTHERS, Program, find_program, keeps_running
from no502.doctor.readers.shell.pyproject import find_task
from no502.doctor.readers.shell.trace import Ran, trace

__all__ = ["Command", "Other", "Script", "Started", "follow", "follow_text"]

_DEEPEST, _MOST_TRAPS = 6, 20
_HANDS_ON = re.compile(
    r"^[ \t]*+exec[ \t]++[\"']?\$[@*{]|\$\{?\w*(?:CLI|CMD|cli|cmd|command|COMMAND)\w*+\[@\]", re.MULTILINE
)
"""How a script runs the command that it is called with."""
_TRAP = re.compile(
    r"^[ \t]*+trap[ \t]++(?:--[ \t]++)?(?:'([^'\n]*+)'|\"([^\"\n]*+)\"|([A-Za-z_]\w*+))[ \t][^#\n]*"
    r"\b(?:(?:SIG)?TERM|15)\b",
    re.MULTILINE,
)
_KILL = re.compile(r"(?:^|[\s;&|{(])kill\b")
_LAST_REPLACES = {"bash", "busybox"}
"""Shells that replace themselves by the last command of ``-c``; dash, Debian's /bin/sh, does not (0.5.12, measured)."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One gunicorn or uvicorn in a command line."""

    program: str
    words: tuple[str, ...]
    """Its arguments, the program not included."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables set on the same line or before it."""
    shell: str = ""
    """How a shell stays in front of it; empty where it does not."""
    likely: bool = False
    """A word that is not known stands before it."""
    literal: bool = False
    """No shell expands its words: a ``$`` in them is a dollar sign."""
    background: bool = False
    """It is started with ``&``."""
    piped: bool = False
    """Its output goes through a pipe."""
    beside: bool = False
    """The same shell starts something else that keeps running."""
    directory: str = ""
    """The working directory inside, as far as ``cd`` says; empty where it says nothing."""


@dataclass(frozen=True, kw_only=True)
class Other:
    """A program that serves or starts what serves, and that is not judged."""

    name: str
    what: str
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script that a command names and that is among the files."""

    text: str
    shown: str
    python: bool = False


@dataclass
class Started:
    """What a command line starts."""

    servers: list[tuple[Command, Origin]] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)

    def add(self, other: Started) -> None:
        """Take over what another command line starts."""
        self.servers += [one for one in other.servers if one not in self.servers]
        self.others += [one for one in other.others if one not in self.others]


Find = Callable[[str, str], Script | None]
"""Gives the script that a word means in a directory."""
Run = Callable[[Script, Mapping[str, str]], list[tuple[Command, Origin]]]
"""Gives the servers that a Python file starts."""


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How a command was come to."""

    origin: Origin
    environment: Mapping[str, str]
    find: Find
    run: Run
    literal: bool = False
    shell: str = ""
    likely: bool = False
    background: bool = False
    piped: bool = False
    beside: bool = False
    directory: str = ""
    depth: int = 0
    seen: frozenset[str] = frozenset()


def _nothing(_word: str, _directory: str) -> Script | None:
    return None


def _none(_script: Script, _environment: Mapping[str, str]) -> list[tuple[Command, Origin]]:
    return []


def follow(
    argv: Sequence[str],
    origin: Origin,
    *,
    environment: Mapping[str, str] | None = None,
    literal: bool = True,
    directory: str = "",
    find: Find = _nothing,
    run: Run = _none,
) -> Started:
    """Return what an argument list starts.

    Args:
        argv: The words, as they are given to the program.
        origin: Where they are written.
        environment: Variables that are known there.
        literal: Nothing expands variables in the words any more.
        directory: The working directory inside.
        find: Gives the script that a word means.
        run: Gives the servers that a Python file starts.
    """
    way = _Way(origin=origin, environment=environment or {}, find=find, run=run, literal=literal, directory=directory)
    found = Started()
    _follow(argv, way, found)
    return found


def follow_text(
    text: str,
    origin: Origin,
    *,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] | None = None,
    script: str = "",
    directory: str = "",
    find: Find = _nothing,
    run: Run = _none,
) -> Started:
    """Return what a shell text starts: a line of a Procfile, or a whole script.

    Args:
        text: The text.
        origin: Where it begins.
        environment: Variables that are known there.
        arguments: What it is called with; None if that is not known.
        script: Its name, where it is a file of its own.
        directory: The working directory inside.
        find: Gives the script that a word means.
        run: Gives the servers that a Python file starts.
    """
    way = _Way(origin=origin, environment=environment or {}, find=find, run=run, directory=directory)
    found = Started()
    _text(text, arguments, way, found, inside="", script=script)
    return found


def _follow(argv: Sequence[str], way: _Way, found: Started) -> None:
    program = find_program(argv) if way.depth < _DEEPEST else None
    if program is None:
        return
    way = replace(way, likely=way.likely or program.likely, environment={**way.environment, **program.environment})
    if program.kind == "server":
        found.servers.append((_command(program, way), way.origin))
    elif program.kind == "other":
        found.others.append(
            Other(name=program.name, what=OTHERS.get(program.name, "an application server"), origin=way.origin)
        )
    elif program.kind == "text":
        arguments = program.words[2:] if len(program.words) > 1 else ()
        below = replace(way, depth=way.depth + 1, literal=False)
        _text(program.words[0].replace(OPEN, "$"), arguments, below, found, inside=program.interpreter)
    elif program.kind == "python":
        _python(program, way, found)
    elif program.kind == "make":
        _make(program, way, found)
    elif program.kind == "task":
        _task(program, way, found)
    else:
        _script(program, way, found)


def _command(program: Program, way: _Way) -> Command:
    return Command(
        program=program.name,
        words=program.words,
        environment=way.environment,
        shell="" if program.exec else way.shell,
        likely=way.likely,
        literal=way.literal,
        background=way.background,
        beside=way.beside,
        piped=way.piped,
        directory=way.directory,
    )


def _text(text: str, arguments: Sequence[str] | None, way: _Way, found: Started, inside: str, script: str = "") -> None:
    here = Started()
    every = list(trace(text, way.environment, arguments))
    staying = [ran for ran in every if ran.background or keeps_running(ran.words)]
    for ran in every:
        beside = way.beside or any(one is not ran for one in staying)
        _follow(ran.words, replace(_inside(ran, way, inside, script), beside=beside), here)
    # A script with a way for production and one with --reload serves by the former.
    serving = [one for one in here.servers if "--reload" not in one[0].words]
    here.servers = serving or here.servers
    if _forwards(text):
        here.servers = [
            (replace(command, shell="") if command.background else command, at) for command, at in here.servers
        ]
    found.add(here)


def _forwards(text: str) -> bool:
    """Whether a shell's trap sends SIGTERM on: to what it started with ``&`` and waits for."""
    for trap in islice(_TRAP.finditer(text), _MOST_TRAPS):
        called = trap[3] or ""
        body = re.search(rf"^[ \t]*+(?:function[ \t]++)?{re.escape(called)}[ \t]*+(?:\(\))?\s*+\{{", text, re.MULTILINE)
        action = trap[1] or trap[2] or (text[body.end() :].partition("\n}")[0] if called and body is not None else "")
        if _KILL.search(action):
            return True
    return False


def _inside(ran: Ran, way: _Way, inside: str, script: str) -> _Way:
    shell = way.shell
    if ran.exec:
        shell = way.shell if way.shell and not script else ""
    elif script:
        shell = "entrypoint script without exec"
    elif inside and not (inside in _LAST_REPLACES and ran.last and not ran.background) and inside != "-c":
        shell = f"{inside} -c without exec"
    origin = Origin(file=script, line=ran.line) if script else way.origin
    return replace(
        way,
        origin=origin,
        environment=ran.environment,
        shell=shell,
        background=ran.background or way.background,
        piped=ran.piped or way.piped,
        directory=_joined(way.directory, ran.directory),
        depth=way.depth + 1,
        literal=False,
    )


def _joined(outer: str, inner: str) -> str:
    return inner if not outer or inner.startswith("/") or not inner else f"{outer.rstrip('/')}/{inner}"


def _script(program: Program, way: _Way, found: Started) -> None:
    word, arguments = program.words[0], list(program.words[1:])
    script = way.find(word.replace(OPEN, "$"), way.directory)
    if script is not None and script.shown not in way.seen:
        below = replace(way, seen=way.seen | {script.shown}, likely=way.likely and not program.likely)
        if script.python:
            found.servers += below.run(script, below.environment)
            return
        here = Started()
        _text(script.text, arguments, below, here, inside="", script=script.shown)
        found.add(here)
        if here.servers or here.others or not _HANDS_ON.search(script.text):
            return
    # It takes its own options away in a loop, or is not among the files: one of that name ends with exec "$@".
    rest = arguments[arguments.index("--") + 1 :] if "--" in arguments else arguments
    if rest and re.search(r"(?:entrypoint|wait|start|run|init|launch|entry|boot)", word):
        _follow(rest, replace(way, likely=True, depth=way.depth + 1), found)


def _make(program: Program, way: _Way, found: Started) -> None:
    """Follow the recipes of a Makefile. make itself passes SIGTERM on to what it runs."""
    words = list(program.words)
    name, folder = "Makefile", way.directory
    for option in ("-f", "-C"):
        if option in words[:-1]:
            at = words.index(option)
            value = words[at + 1]
            name, folder = (value, folder) if option == "-f" else (name, _joined(folder, value))
            del words[at : at + 2]
    makefile = way.find(name, folder) or (way.find("makefile", folder) if name == "Makefile" else None)
    if makefile is None or makefile.shown in way.seen:
        return
    below = replace(way, directory=folder, seen=way.seen | {makefile.shown})
    here = Started()
    _text(recipes(makefile.text, tuple(words)), None, below, here, inside="", script=makefile.shown)
    here.servers = [(replace(command, shell=way.shell), origin) for command, origin in here.servers]
    found.add(here)


def _task(program: Program, way: _Way, found: Started) -> None:
    """Follow a script of pyproject.toml, which its runner starts without a shell in between."""
    name = program.words[0]
    project = way.find("pyproject.toml", way.directory)
    if project is None or f"{project.shown}:{name}" in way.seen:
        return
    task = find_task(project.text, name)
    if task is None:
        return
    below = replace(way, seen=way.seen | {f"{project.shown}:{name}"}, origin=Origin(file=project.shown, line=task.line))
    here = Started()
    _text(task.text, None, below, here, inside="")
    found.add(here)


def _python(program: Program, way: _Way, found: Started) -> None:
    word = program.words[0]
    name = word if word.endswith(".py") else word.replace(".", "/") + ".py"
    script = way.find(name, way.directory)
    if script is None and not word.endswith(".py"):
        script = way.find(word.replace(".", "/") + "/__main__.py", way.directory)
    if script is not None:
        for command, origin in way.run(replace(script, python=True), way.environment):
            stays = "" if program.exec else way.shell
            found.servers.append((replace(command, shell=stays, directory=way.directory), origin))
