"""Servers as child processes: a process group and a log file each, stopped by that group and by nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Process", "free_port", "wait_for"]

_PAUSE_SECONDS = 0.05
_LINES_SHOWN = 25


class Process:
    """A process in a group of its own.

    Args:
        argv: The command.
        log: The file that its output is added to.
        env: Its whole environment; None means this process's own.
        cwd: Its working directory.
    """

    def __init__(
        self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self._argv, self._log, self._env, self._cwd = argv, log, env, cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id, which is its group's as well."""
        if self._process is None:
            message = "the process has not been started"
            raise RuntimeError(message)
        return self._process.pid

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._argv,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise RuntimeError, with the end of the log, if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            tail = "\n".join(f"    {line}" for line in self.log().splitlines()[-_LINES_SHOWN:])
            message = f"{self._argv[0]} has ended with status {self._process.returncode}:\n{tail}"
            raise RuntimeError(message)

    def log(self) -> str:
        """Return its output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def signal(self, number: int) -> None:
        """Signal it, not its children."""
        os.kill(self.pid, number)

    def stop(self, *, seconds: float = 10.0) -> None:
        """Stop it with SIGTERM; after ``seconds``, or when children are left, end its whole group."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(predicate: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait until something is true.

    Raises:
        RuntimeError: It was not so within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            message = f"waited {seconds:g} s for {what}"
            raise RuntimeError(message)
        time.sleep(_PAUSE_SECONDS)
