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
from no502.serve.children import Child
from no502.serve.readiness import ask_nginx, ask_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from no502.serve.stop_request import StopRequest

__all__ = ["Pair"]

_POLL_SECONDS = 0.1
_NGINX_QUIT_SECONDS = 5
_SHOWN_LINES = 40
_NOT_FOUND = "404"
_BOOT_FAILURE = "Exception in worker process"
_BOOT_FAILURE_END = "Worker exiting"
_GENERATED = "app/server.py"
_NO_ATTRIBUTE = re.compile(r"Failed to find attribute '([^']+)' in '([^']+)'")
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([^'.]+)")


class Pair:
    """gunicorn on a unix socket in the working directory, and nginx before it, while the ``with`` block runs.

    Args:
        application: ``module:attribute``.
        socket: Where gunicorn listens; it is told by ``GUNICORN_BIND``.
        nginx: The command that runs nginx in the foreground.
        port: The port that this configuration listens on.
        stop: When to stop.
        stop_grace: Seconds that gunicorn may take to leave.
        ready_path: The path that answers 200 when the application is ready.
        configuration: gunicorn's configuration file; None: the one of the working directory, else the installed module.
    """

    def __init__(  # noqa: PLR0913  keyword-only, and each is a different thing
        self,
        *,
        application: str,
        socket: Path,
        nginx: list[str],
        port: int,
        stop: StopRequest,
        stop_grace: int,
        ready_path: str,
        configuration: Path | None = None,
    ) -> None:
        self._application = application
        self._configuration = configuration
        self._socket = socket
        self._nginx_command = nginx
        self._port = port
        self._stop = stop
        self._stop_grace = stop_grace
        self._ready_path = ready_path
        self._children: list[Child] = []
        self._nginx: Child | None = None

    def __enter__(self) -> Self:
        """Start gunicorn; nginx follows when there is something to pass requests to."""
        configuration = str(self._configuration or _configuration())
        command = [sys.executable, "-m", "gunicorn", "-c", configuration, self._application]
        environment = {**os.environ, "GUNICORN_BIND": f"unix:{self._socket}", "PYTHONUNBUFFERED": "1"}
        if configuration == _GENERATED and sys.stdout.isatty():
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
        while (answer := self._answer()) != "200":
            self._require_both()
            if answer == _NOT_FOUND and ask_worker(self._socket, self._ready_path) == _NOT_FOUND:
                hint = "name a path that answers 200 when it is ready, such as --ready-path /"
                message = f"the application answers 404 at {self._ready_path}; {hint}"
                raise UserError(message)
            if time.monotonic() > deadline:
                raise UserError(self._not_ready(answer, seconds))
            if self._stop.within(_POLL_SECONDS):
                return False
        return True

    def _answer(self) -> str:
        """Ask through nginx; before that, start nginx as soon as gunicorn listens."""
        if self._nginx is None:
            if not self._socket.exists():
                return "not started"
            self._nginx = self._start("nginx", self._nginx_command)
        return ask_nginx(self._port, self._ready_path)

    def serve(self, write: Callable[[str], None]) -> None:
        """Pass on the output of both until a request to stop comes.

        Raises:
            UserError: One of them ended by itself.
        """
        for child in self._children:
            child.show_output(write)
        while not self._stop.within(_POLL_SECONDS):
            self._require_both()

    def _start(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> Child:
        child = Child(name, command, environment)
        self._children.append(child)
        return child

    def _require_both(self) -> None:
        for child in self._children:
            code = child.exit_code
            if code is not None:
                message = f"{child.name} ended by itself with exit code {code}; its last lines:\n{_last_lines(child)}"
                raise UserError("\n".join([message, *_hints(child.lines(), self._application)]))

    def _not_ready(self, answer: str, seconds: int) -> str:
        direct = ask_worker(self._socket, self._ready_path)
        side = self._nginx if direct == "200" and self._nginx is not None else self._gunicorn
        return (
            f"not ready after {seconds} s: {self._ready_path} must answer 200. "
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


def _hints(lines: list[str], application: str) -> list[str]:
    """Return what to do about an application that gunicorn cannot load: one line for each cause, in order.

    Args:
        lines: The output of gunicorn.
        application: ``module:attribute``, or a module alone, in which gunicorn looks for ``application``.
    """
    module = application.partition(":")[0]
    hints = []
    for line in lines:
        if found := _NO_ATTRIBUTE.search(line):
            hints.append(
                f"{found[2]} has no {found[1]}: name the variable with the application, such as {found[2]}:app"
            )
        elif (found := _NO_MODULE.search(line)) and found[1] != module.partition(".")[0]:
            hints.append(
                f"{found[1]} is not installed for {sys.executable}: "
                "install no502 and what the application needs into one environment"
            )
    return list(dict.fromkeys(hints))


def _configuration() -> str:
    """Return gunicorn's ``-c``: a generated service's own file, a copied gunicorn_conf.py, or the installed module."""
    copied, generated = Path("gunicorn_conf.py"), Path(_GENERATED)
    if not copied.is_file():
        return "python:gunicorn_conf"
    if generated.is_file() and "gunicorn_conf" in generated.read_text(encoding="utf-8", errors="replace"):
        return str(generated)
    return str(copied)
