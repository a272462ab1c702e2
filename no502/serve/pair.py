"""gunicorn and nginx as a pair: started together, ready together, stopped together."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Self

from no502.errors import UserError
from no502.ladder.conf_file import GENERATED, project_conf
from no502.serve.children import Child
from no502.serve.named import meant
from no502.serve.readiness import ask_nginx, ask_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from no502.serve.stop_request import StopRequest

__all__ = ["Pair"]

_POLL_SECONDS = 0.1
_NGINX_QUIT_SECONDS = 5
_SHOWN_LINES = 40
_NOT_FOUND = "404"
_SERVER_ERROR = 500
_BOOT_FAILURE = "Exception in worker process"
_BOOT_FAILURE_END = "Worker exiting"
_NO_ATTRIBUTE = re.compile(r"Failed to find attribute '([^']+)' in '([^']+)'")
_NOT_CALLABLE = "Application object must be callable."
_EXCEPTION = re.compile(r"^\s*[\w.]*(?:Error|Exception)\b|: No module named ")
_NO_MODULE = re.compile(r"(?:ModuleNotFoundError|^/\S+): No module named '?([^'.\s]+)")


class Pair:
    """gunicorn on a unix socket in the working directory, and nginx before it, while the ``with`` block runs.

    Args:
        application: ``module:attribute``.
        socket: Where gunicorn listens; it is told by ``GUNICORN_BIND`` and ``--bind``.
        nginx: The command that runs nginx in the foreground.
        port: The port that this configuration listens on for the application.
        tls: Whether it ends TLS there.
        stop: When to stop.
        stop_grace: Seconds that gunicorn may take to leave.
        ready_path: The path that answers 200 when the application is ready.
        configuration: gunicorn's configuration file, or ``python:MODULE``; None: the one of the working directory, else
            the installed module.
        arguments: More options of gunicorn.
        python: The interpreter that runs gunicorn; None: this one.
        advice: What to do about a package that is not installed; it is then said without a traceback.
        any_answer: Whether each answer of the application below 500 says that it is ready, not only 200.
    """

    def __init__(
        self,
        *,
        application: str,
        socket: Path,
        nginx: list[str],
        port: int,
        tls: bool = False,
        stop: StopRequest,
        stop_grace: int,
        ready_path: str,
        configuration: Path | str | None = None,
        arguments: Sequence[str] = (),
        python: Path | None = None,
        any_answer: bool = False,
        advice: str | None = None,
    ) -> None:
        self._application = application
        self._configuration = configuration
        self._arguments = list(arguments)
        self._python = sys.executable if python is None else str(python)
        self._any_answer = any_answer
        self._advice = advice
        self._socket = socket
        self._nginx_command = nginx
        self._port = port
        self._tls = tls
        self._stop = stop
        self._stop_grace = stop_grace
        self._ready_path = ready_path
        self._children: list[Child] = []
        self._nginx: Child | None = None

    def __enter__(self) -> Self:
        """Start gunicorn; nginx follows when there is something to pass requests to."""
        chosen = self._configuration or project_conf(Path()) or "python:gunicorn_conf"
        bind = f"unix:{self._socket}"
        # An own file may not look at the variable, or have a bind of its own.
        arguments = ["-c", str(chosen), "--bind", bind, *self._arguments]
        command = [self._python, "-m", "gunicorn", *arguments, self._application]
        environment = {**os.environ, "GUNICORN_BIND": bind, "PYTHONUNBUFFERED": "1"}
        if str(chosen) == GENERATED and sys.stdout.isatty():
            environment.setdefault("APP_LOG_FORMAT", "console")  # the servers write into a pipe
        self._gunicorn = self._start("gunicorn", command, environment)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both: nginx first, so that nothing new arrives while gunicorn drains."""
        try:
            if self._nginx is not None:
                self._nginx.signal(signal.SIGQUIT)
                self._wait(self._nginx, _NGINX_QUIT_SECONDS)
            self._gunicorn.signal(signal.SIGTERM)
            self._wait(self._gunicorn, self._stop_grace)
        finally:
            self._end()

    def wait_until_ready(self, seconds: int) -> bool:
        """Wait until the readiness endpoint answers 200 through nginx.

        Returns:
            False where a request to stop came first.

        Raises:
            UserError: A server ended, the application does not have the path, or it took longer than ``seconds``; the
                message says which side it was.
        """
        deadline = time.monotonic() + seconds
        while not self._is_ready(answer := self._answer()):
            self.require_both()
            if answer == _NOT_FOUND and ask_worker(self._socket, self._ready_path) == _NOT_FOUND:
                hint = "name a path that answers 200 when it is ready, such as --ready-path /"
                message = f"the application answers 404 at {self._ready_path}; {hint}"
                raise UserError(message)
            if time.monotonic() > deadline:
                raise UserError(self._not_ready(answer, seconds))
            if self._stop.within(_POLL_SECONDS):
                return False
        return True

    def reload(self) -> None:
        """Have gunicorn replace its workers: SIGHUP."""
        self._gunicorn.signal(signal.SIGHUP)

    def workers(self) -> set[int]:
        """Return the process ids of gunicorn's workers: the children of its main process."""
        path = Path(f"/proc/{self._gunicorn.pid}/task/{self._gunicorn.pid}/children")
        try:
            return {int(word) for word in path.read_text(encoding="ascii").split()}
        except OSError:
            return set()

    def require_both(self) -> None:
        """Do nothing while both run.

        Raises:
            UserError: One of them ended by itself.
        """
        for child in self._children:
            code = child.exit_code
            if code is not None:
                lines = child.lines()
                missing = _missing(lines, self._application)
                last = next((line for line in reversed(lines) if _EXCEPTION.search(line)), "")
                if missing and self._advice is not None and _NO_MODULE.search(last):
                    message = f"{missing[-1]} is not installed for {self._python}: {self._advice}"
                    raise UserError(message)
                if wrong := _wrong_name(lines, self._application):
                    raise UserError(wrong)
                message = f"{child.name} ended by itself with exit code {code}; its last lines:\n{_last_lines(child)}"
                raise UserError("\n".join([message, *_hints(lines, self._application, self._python)]))

    def _is_ready(self, answer: str) -> bool:
        if self._any_answer and self._nginx is not None:
            return answer.isdecimal() and int(answer) < _SERVER_ERROR
        return answer == "200"

    def _answer(self) -> str:
        """Ask through nginx; before that, start nginx as soon as gunicorn listens."""
        if self._nginx is None:
            if not self._socket.exists():
                return "not started"
            self._nginx = self._start("nginx", self._nginx_command)
        return ask_nginx(self._port, self._ready_path, tls=self._tls)

    def serve(self, write: Callable[[str], None]) -> None:
        """Pass on the output of both until a request to stop comes.

        Raises:
            UserError: One of them ended by itself.
        """
        for child in self._children:
            child.show_output(write)
        while not self._stop.within(_POLL_SECONDS):
            self.require_both()

    def _start(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> Child:
        child = Child(name, command, environment)
        self._children.append(child)
        return child

    def _not_ready(self, answer: str, seconds: int) -> str:
        direct = ask_worker(self._socket, self._ready_path)
        wanted = "below 500" if self._any_answer else "200"
        side = self._nginx if direct == "200" and self._nginx is not None else self._gunicorn
        return (
            f"not ready after {seconds} s: {self._ready_path} must answer {wanted}. "
            f"Through nginx: {answer}. gunicorn itself: {direct}. Last lines of {side.name}:\n{_last_lines(side)}"
        )

    def _wait(self, child: Child, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not child.ended_within(_POLL_SECONDS) and time.monotonic() < deadline and not self._stop.urgent:
            pass

    def _end(self) -> None:
        for child in reversed(self._children):  # nginx first: its last answer must not be a 502
            child.kill()


def _last_lines(child: Child) -> str:
    """Return what the server said last, indented; of a worker that does not boot, the traceback of the last attempt."""
    lines = child.lines()
    failures = [number for number, line in enumerate(lines) if _BOOT_FAILURE in line]
    if failures:
        lines = lines[failures[-1] :]
        lines = lines[: next((number for number, line in enumerate(lines) if _BOOT_FAILURE_END in line), None)]
    runs = [(line, len(list(same))) for line, same in groupby(lines)]
    shown = [f"    {line}" if count == 1 else f"    {line} ({count} times)" for line, count in runs]
    return "\n".join(shown[-_SHOWN_LINES:]) or "    (it wrote nothing)"


def _missing(lines: list[str], application: str) -> list[str]:
    """Return the packages that gunicorn, or the application, imports and that are not installed."""
    own = application.partition(":")[0].partition(".")[0]
    found = [match[1] for line in lines if (match := _NO_MODULE.search(line))]
    return [name for name in dict.fromkeys(found) if name != own]


def _wrong_name(lines: list[str], application: str) -> str:
    """Return one line about a name behind which gunicorn finds no application; empty where it is another fault."""
    module, _, attribute = application.partition(":")
    for line in lines:
        if found := _NO_ATTRIBUTE.search(line):
            right = meant(found[2], found[1])
            return f"{found[2]} has no {found[1]}: name the variable with the application, such as {found[2]}:{right}"
        if _NOT_CALLABLE in line:
            name, right = attribute or "application", meant(module, attribute)
            problem = f"{name} in {module} is no application: it cannot be called"
            return f"{problem}; name the variable with the application, such as {module}:{right}"
    return ""


def _hints(lines: list[str], application: str, python: str) -> list[str]:
    """Return what to do about packages that are not installed: one line for each.

    Args:
        lines: The output of gunicorn.
        application: ``module:attribute``, or a module alone, in which gunicorn looks for ``application``.
        python: The interpreter that runs gunicorn.
    """
    advice = "install no502 and what the application needs into one environment"
    return [f"{name} is not installed for {python}: {advice}" for name in _missing(lines, application)]
