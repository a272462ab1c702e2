"""Which words of a command start an application server: those in the command's place, or behind a wrapper.

A wrapper runs the words after its own options. Those that are known are followed surely; after an unknown word a
server counts only with arguments that are a server's, and is called likely.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from no502.doctor.readers.shell.names import DAEMONS, NO_RUN, NO_WRAPPERS, WRAPPERS

__all__ = ["MANAGERS", "OTHERS", "SERVERS", "Program", "find_program", "keeps_running"]

SERVERS = ("gunicorn", "uvicorn")
MANAGERS = frozenset(
    {
        *("circusd", "honcho", "foreman", "overmind", "hivemind", "goreman", "chaussette"),
        *("supervisord", "runsvdir", "s6-svscan", "s6-supervise", "procfile"),
    }
)
OTHERS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("hypercorn", "granian", "daphne", "uwsgi", "waitress", "bjoern", "cheroot", "meinheld"),
            *("robyn", "sanic", "unitd", "mod_wsgi-express", "passenger", "twistd", "socketify", "flask"),
            *("puma", "unicorn", "thin", "rackup", "next", "pm2", "php-fpm", "tornado", "litestar"),
        ),
        "an application server",
    ),
    **dict.fromkeys(sorted(MANAGERS), "a process manager"),
}
"""Programs that serve applications, or start those that do, and that are not judged."""

_SERVER_MODULES = {"gunicorn.app.wsgiapp", "gunicorn.__main__", "uvicorn.main", "uvicorn.__main__"}
"""Modules of the servers that ``python -m`` can run."""
_SHELLS = {"sh", "bash", "ash", "dash", "zsh", "ksh", "busybox"}
_PYTHON = re.compile(r"(?:python|pypy)(?:\d+(?:\.\d+)?)?t?$")
_TEXT_OPTIONS = {"-c", "--command", "--run", "--exec", "--cmd"}
"""Options of unknown wrappers whose value is a command in one word."""
_RUNNERS = {"pdm", "hatch", "rye", "pixi", "poetry", "uv"}
_TASK_RUNNERS = {"poe", "task"}
"""Programs that run what pyproject.toml calls a script or a task."""
_NO_START = {"--version", "--help", "-h", "--check-config", "--print-config"}
"""Options with which a server says something and ends."""
_USER = {
    "-u",
    "-U",
    "-g",
    "-G",
    "--user",
    "--group",
    "--reuid",
    "--regid",
    "--userspec",
    "--uid",
    "--gid",
    "-n",
    "--name",
}
_DAEMON_OPTION = re.compile(r"--daemon(?:ize)?(?:=.*)?|--detach|--background")
_SERVICE_STARTERS = {"service", "rc-service", "systemctl", "invoke-rc.d", "initctl", "supervisorctl", "monit"}
_PACKAGE_MANAGER = re.compile(r"(?:conda|mamba|pip\d*|nix|pkg)$")
_ITSELF = re.compile(r"\$0\b|\$\{0\}|\$\{?BASH_SOURCE\b")
"""How a script that starts itself again, as another user, names itself: what it runs then is read already."""
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)$", re.DOTALL)
_APPLICATION = re.compile(
    r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(?:\(.*\))?$"
    r"|(?!.*\.(?:txt|cfg|ini|in|py|toml|ya?ml|json|lock|log|conf|sh|whl|gz|xml|html|md|rst|service|socket|sock|pid|env)$)"
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$"
)
"""``shop.wsgi:application``, ``shop.wsgi``; no file that other programs take."""
_OF_SERVER = re.compile(
    r"(?:--bind|--config|--worker-class|--workers|--timeout|--host|--port|--uds|--fd|--factory|--reload"
    r"|--max-requests|--keep-alive|--preload|--chdir|--pythonpath|--access-logfile|--log-level|--limit-max-requests)(?:=|$)"
)
_SHORT_OF_SERVER: Mapping[str, re.Pattern[str]] = {
    "-b": re.compile(r"(?:unix:|fd://).+|[^\s:]*:\S+"),
    "-c": re.compile(r"python:.+|file:.+|.*\.py"),
    "-k": re.compile(r"sync|gthread|gevent\w*|eventlet|tornado|.*Worker\w*"),
    "-w": re.compile(r"\d+|\$.*"),
    "-t": re.compile(r"\d+|\$.*"),
}
"""Short options that other programs have, too: a server's only with a value such as a server takes."""
_PACKAGES = {"--with", "--from", "--extra", "--package", "--only-group", "--spec"}
"""Options of runners whose value is a package, not what is run."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a command starts."""

    name: str
    """``gunicorn``, ``uvicorn``, one of ``OTHERS``, ``python`` for a script of Python, ``sh`` for one of a shell."""
    words: tuple[str, ...] = ()
    """Its arguments; for a shell's text that text and its arguments."""
    kind: str = "server"
    """``server``, ``other``, ``text`` (``sh -c TEXT``), ``script`` (a file that may start one), ``python``,
    ``make``, ``task`` (a script of pyproject.toml)."""
    likely: bool = False
    """An unknown word stands before it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    interpreter: str = ""
    """The shell of a text or a script."""
    exec: bool = False


def find_program(words: Sequence[str]) -> Program | None:
    """Return what a command starts; None where that is nothing that serves.

    Args:
        words: The command after expansion.
    """
    environment: dict[str, str] = {}
    index, sure, execs = 0, True, False
    while index < len(words):
        word = words[index]
        assigned = _ASSIGNMENT.match(word)
        if assigned is not None and (index == 0 or words[index - 1] != "-e"):
            environment[assigned[1]] = assigned[2]
            index += 1
            continue
        found = _at(words, index)
        if found is not None:
            return _with(found, environment, likely=not sure, execs=execs)
        name = _base(word)
        if (
            name in NO_WRAPPERS
            or _ITSELF.search(word)
            or (name == "command" and tuple(words[index + 1 : index + 2]) in {("-v",), ("-V",)})
        ):
            return None
        if name in WRAPPERS:
            if words[index + 1 : index + 2] and words[index + 1] in NO_RUN:
                return None
            execs = execs or name == "exec"
            begin, index = index, _behind(words, index + 1)
            if index >= len(words) and (task := _task(words[begin:])) is not None:
                return _with(task, environment, likely=not sure, execs=execs)
            continue
        return _behind_unknown(words, index, environment)
    return None


def keeps_running(words: Sequence[str]) -> bool:
    """Whether a command that ends leaves something behind that runs: a daemon, a service that it starts."""
    names = [_base(word) for word in words]
    while names and (names[0] in WRAPPERS or names[0].startswith("-")):
        names = names[1:]
    if not names:
        return False
    if names[0] in DAEMONS or any(_DAEMON_OPTION.fullmatch(word) for word in words[1:]):
        return True
    # service nginx start, /etc/init.d/nginx start, pm2 start app.js
    starts = not {"start", "restart"}.isdisjoint(names[1:])
    return starts and (names[0] in _SERVICE_STARTERS or names[0] not in NO_WRAPPERS)


def _task(words: Sequence[str]) -> Program | None:
    """Return what ``pdm run NAME`` and its like run: a script that pyproject.toml names."""
    runner = _base(words[0])
    rest = [word for word in words[1:] if not word.startswith("-")]
    if runner in _RUNNERS and rest[:1] == ["run"]:
        rest = rest[1:]
    elif runner not in _TASK_RUNNERS:
        return None
    name = rest[0].rpartition(":")[2] if rest and runner == "hatch" else rest[0] if rest else ""
    if name in SERVERS:  # hatch run ENVIRONMENT:PROGRAM
        return _at((name, *words[words.index(rest[0]) + 1 :]), 0)
    return Program(name="task", words=(name, *rest[1:]), kind="task") if name else None


def _with(found: Program, environment: Mapping[str, str], *, likely: bool, execs: bool) -> Program:
    return Program(
        name=found.name,
        words=found.words,
        kind=found.kind,
        likely=likely or found.likely,
        environment={**environment, **found.environment},
        interpreter=found.interpreter,
        exec=execs,
    )


def _base(word: str) -> str:
    return word.rsplit("/", 1)[-1]


def _behind(words: Sequence[str], index: int) -> int:
    """Return where a known wrapper's own words end: at a program, an assignment or the word after its options."""
    while index < len(words):
        word = words[index]
        if word == "--":
            return index + 1
        if _ITSELF.search(word):
            return len(words)
        if word.startswith("-"):
            index += 1
            if word in _USER | _PACKAGES and index < len(words):
                index += 1
            continue
        if (
            _at(words, index) is not None
            or _ASSIGNMENT.match(word)
            or _base(word) in WRAPPERS
            or _base(word) in NO_WRAPPERS
        ):
            return index
        if word in NO_RUN:
            return len(words)
        index += 1
    return index


def _at(words: Sequence[str], index: int) -> Program | None:  # noqa: PLR0911  one line for each kind
    """Return the program at a place in a command, where the place is a command's."""
    name, rest = _base(words[index]), tuple(words[index + 1 :])
    if name in SERVERS:
        following = _base(rest[0]) if rest else ""
        if following in SERVERS and _evidence(rest[1:]):
            return _at(words, index + 1)  # a user of that name
        return None if _ends(name, rest) else Program(name=name, words=rest)
    if name == "fastapi" and rest[:1] and rest[0] in {"run", "dev"}:
        return Program(name="uvicorn", words=_fastapi(rest))
    if _PYTHON.fullmatch(name):
        return _python(rest)
    if name in _SHELLS:
        return _shell(name, rest)
    if name in {"make", "gmake"}:
        return Program(name="make", words=rest, kind="make")
    plain = name.removesuffix("-serve")
    if plain in OTHERS:
        return Program(name=plain, words=rest, kind="other")
    if re.search(r"\.(?:sh|bash)$", name) or ("/" in words[index] and "entrypoint" in name):
        return Program(name="sh", words=(words[index], *rest), kind="script", interpreter="sh")
    return None


def _ends(name: str, words: Sequence[str]) -> bool:
    """Whether a server's options make it say something and end."""
    return any(word in _NO_START or (name == "gunicorn" and word == "-v") for word in words)


def _python(rest: Sequence[str]) -> Program | None:  # noqa: PLR0911  one line for each option
    """Return what ``python ...`` runs: a module, or a file."""
    index = 0
    while index < len(rest):
        word = rest[index]
        if word == "-m" or (word.startswith("-m") and not word.startswith("--")):
            module = word[2:] or (rest[index + 1] if index + 1 < len(rest) else "")
            words = tuple(rest[index + (1 if word[2:] else 2) :])
            server = module.split(".")[0]
            if module in SERVERS or module in _SERVER_MODULES:
                return None if _ends(server, words) else Program(name=server, words=words)
            if module == "fastapi" and words[:1] in (("run",), ("dev",)):
                return Program(name="uvicorn", words=_fastapi(words))
            top = module.split(".")[0]
            if top in OTHERS:
                return Program(name=top, words=words, kind="other")
            wrapped = find_program((top, *words)) if top in WRAPPERS else None
            return wrapped or (Program(name="python", words=(module, *words), kind="python") if module else None)
        if word in {"-X", "-W"}:
            index += 2
        elif word == "-c":
            return None
        elif word.startswith("-"):
            index += 1
        else:
            if _base(word) == "manage.py":
                return (
                    Program(name="runserver", kind="other", words=tuple(rest[index:])) if "runserver" in rest else None
                )
            return (
                Program(name="python", words=tuple(rest[index:]), kind="python")
                if word.endswith(".py")
                else _at(rest, index)
            )
    return None


def _shell(name: str, rest: Sequence[str]) -> Program | None:
    """Return the text or the file that a shell runs."""
    if name == "busybox":
        return _shell(rest[0], rest[1:]) if rest and rest[0] in _SHELLS else None
    index = 0
    while index < len(rest) and re.fullmatch(r"[-+][A-Za-z]+|--\w[\w-]*", rest[index]):
        word = rest[index]
        if re.fullmatch(r"-[A-Za-z]*c[A-Za-z]*", word):
            text = rest[index + 1 :]
            while text and text[0] == "--":
                text = text[1:]
            return Program(name=name, words=tuple(text), kind="text", interpreter=name) if text else None
        index += 2 if word in {"-o", "+o", "-O"} else 1
    words = tuple(rest[index:])
    return Program(name="sh", words=words, kind="script", interpreter=name) if words else None


def _behind_unknown(  # noqa: C901  one line for each kind of word
    words: Sequence[str], start: int, environment: Mapping[str, str]
) -> Program | None:
    """Return a server behind unknown words, where its arguments are a server's."""
    for index in range(start + 1, len(words)):
        word, before = words[index], words[index - 1]
        if before in _USER | _PACKAGES:
            continue
        if word in {"install", "uninstall"} or (word in NO_RUN and _PACKAGE_MANAGER.search(words[start])):
            return None
        if word in _TEXT_OPTIONS and index + 1 < len(words) and re.search(r"\s", words[index + 1]):
            return Program(
                name="sh",
                words=(words[index + 1],),
                kind="text",
                likely=True,
                environment=environment,
                interpreter="-c",
            )
        if _base(word) in _SHELLS and re.fullmatch(r"-[A-Za-z]*c[A-Za-z]*", (words[index + 1 : index + 2] or [""])[0]):
            found = _shell(_base(word), words[index + 1 :])
        elif _PYTHON.fullmatch(_base(word)):
            found = _python(words[index + 1 :])
            found = found if found is not None and found.kind in {"server", "other"} else None
        elif _base(word) in SERVERS or (_base(word) == "fastapi" and tuple(words[index + 1 : index + 2]) == ("run",)):
            found = _at(words, index)
            if found is not None and not _evidence(found.words):
                continue
        elif _base(word) in OTHERS and _evidence(words[index + 1 :]):
            found = _at(words, index)
        else:
            continue
        if found is not None:
            return _with(found, environment, likely=True, execs=False)
    name = words[start]
    if name.startswith(("/", "./", "../")) or re.search(r"\.(?:sh|bash)$", name) or "/" in name:
        return Program(name="sh", words=tuple(words[start:]), kind="script", interpreter="sh")
    return None


def _evidence(rest: Sequence[str]) -> bool:
    """Whether arguments are a server's: an application, or one of its own options."""
    pairs = zip(rest, (*rest[1:], ""), strict=False)
    return any(_APPLICATION.match(word) or _OF_SERVER.match(word) or _is_short(word, value) for word, value in pairs)


def _is_short(word: str, value: str) -> bool:
    """Whether a word is a short option with a value, in one word or two, that is a server's."""
    pattern = _SHORT_OF_SERVER.get(word[:2])
    return pattern is not None and pattern.fullmatch(word[2:] or value) is not None


def _fastapi(words: Sequence[str]) -> tuple[str, ...]:
    """Return uvicorn's arguments for what ``fastapi run`` or ``dev`` says: only the former binds 0.0.0.0."""
    given = list(words[1:])
    plain = words[0] == "run" and not any(word.startswith("--host") for word in given)
    host = ["--host", "0.0.0.0"] if plain else []  # noqa: S104
    return (*given, *host)
