"""Servers as child processes: a process group each, their output kept, stopped by their own process id.

``no502 run``, the lab, the tests and the benchmarks all start their servers with these two classes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Child", "LoggedChild", "Process"]

_KEPT_LINES = 200
_SECONDS_TO_READ = 2.0
"""How long the rest of the output is waited for: a process that outlives its parent may keep the pipe open."""


class Process(ABC):
    """A server in a process group of its own: the terminal's Ctrl-C reaches only the process that started it.

    Args:
        name: What to call it in messages and before its output lines.
        argv: The command.
        output: Where stdout and stderr go, as ``subprocess.Popen`` takes it.
        env: The whole environment; None means this process's own.
        directory: Its working directory; None means this process's own.
        pass_fds: File descriptors that it inherits, besides the standard ones.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        output: int | IO[bytes],
        *,
        env: Mapping[str, str] | None,
        directory: Path | str | None,
        pass_fds: Sequence[int],
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(
            argv,
            env=env,
            cwd=directory,
            pass_fds=tuple(pass_fds),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id of its main process, which is its group's as well."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code (negative: killed by that signal); None while it runs."""
        return self._process.poll()

    @abstractmethod
    def lines(self) -> list[str]:
        """Return its output by lines; complete when it has ended."""

    def signal(self, number: int) -> None:
        """Send a signal to its main process; nothing happens when that has ended."""
        if self.exit_code is None:
            self._process.send_signal(number)

    def ended_within(self, seconds: float) -> bool:
        """Wait at most this long for its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.exit_code is not None

    def stop(self, seconds: float = 20.0) -> bool:
        """Stop it as its operator would: SIGTERM, and wait at most this long; return whether it has ended."""
        self.signal(signal.SIGTERM)
        return self.ended_within(seconds)

    def kill(self) -> None:
        """End the process group: the main process and any worker that it has left behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Child(Process):
    """A server whose output this process reads from the start; it is printed from :meth:`show_output` on.

    Args:
        name: What to call it in messages and before its output lines.
        argv: The command.
        env: The whole environment; None means this process's own.
        directory: Its working directory; None means this process's own.
        kept: How many of its last lines are kept; None keeps all.
        pass_fds: File descriptors that it inherits, besides the standard ones.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        directory: Path | str | None = None,
        kept: int | None = _KEPT_LINES,
        pass_fds: Sequence[int] = (),
    ) -> None:
        super().__init__(name, argv, subprocess.PIPE, env=env, directory=directory, pass_fds=pass_fds)
        self._kept: deque[str] = deque(maxlen=kept)
        self._print: Callable[[str], None] | None = None
        self._lock = threading.Lock()
        self._complete = False
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()

    def show_output(self, write: Callable[[str], None]) -> None:
        """Pass on what has been written so far and every line to come, each with the name before it."""
        with self._lock:
            for line in self._kept:
                write(f"{self.name} | {line}")
            self._print = write

    def lines(self) -> list[str]:
        """Return its last lines; complete when it has ended."""
        if self.exit_code is not None:
            self._read_the_rest()
        with self._lock:
            return list(self._kept)

    def kill(self) -> None:
        """End the process group: the main process and any worker that it has left behind."""
        super().kill()
        self._read_the_rest()

    def _read_the_rest(self) -> None:
        if not self._complete:  # waited for once: the pipe may stay open for as long as another process has it
            self._reader.join(_SECONDS_TO_READ)
            self._complete = True

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  it was started with a pipe
        with self._process.stdout as output:
            for raw in output:
                line = raw.rstrip("\n")
                with self._lock:
                    self._kept.append(line)
                    if self._print is not None:
                        self._print(f"{self.name} | {line}")


class LoggedChild(Process):
    """A server whose output goes to a file: nothing has to run in this process for it to go on, as in a measurement.

    Args:
        argv: The command; its first word is the name.
        log: The file that the output is added to.
        env: The whole environment; None means this process's own.
        directory: Its working directory; None means this process's own.
    """

    def __init__(
        self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, directory: Path | None = None
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            super().__init__(argv[0], argv, output, env=env, directory=directory, pass_fds=())

    def lines(self) -> list[str]:
        """Return what is in the file, by lines."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()
