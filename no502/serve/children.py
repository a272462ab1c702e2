"""The servers that ``no502 run`` starts: their output, and how they are stopped."""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["Child"]

_KEPT_LINES = 200


class Child:
    """A server in a process group of its own: the terminal's Ctrl-C reaches only ``no502``, which then stops it.

    Its output is collected from the start and printed from :meth:`show_output` on.

    Args:
        name: What to call it in messages and before its output lines.
        argv: The command.
        env: The whole environment; None means this process's own.
        directory: Its working directory; None means this process's own.
        kept: How many of its last lines are kept.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        directory: Path | None = None,
        kept: int = _KEPT_LINES,
    ) -> None:
        self.name = name
        self._kept: deque[str] = deque(maxlen=kept)
        self._print: Callable[[str], None] | None = None
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            argv,
            env=env,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id of its main process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code (negative: killed by that signal); None while it runs."""
        return self._process.poll()

    def show_output(self, write: Callable[[str], None]) -> None:
        """Pass on what has been written so far and every line to come, each with the name before it."""
        with self._lock:
            for line in self._kept:
                write(f"{self.name} | {line}")
            self._print = write

    def lines(self) -> list[str]:
        """Return its last lines; complete when it has ended."""
        if self.exit_code is not None:
            self._reader.join(2.0)
        with self._lock:
            return list(self._kept)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its main process; nothing happens when that has ended."""
        if self.exit_code is None:
            self._process.send_signal(number)

    def ended_within(self, seconds: float) -> bool:
        """Wait at most this long for its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.exit_code is not None

    def kill(self) -> None:
        """End the process group: the main process and any worker that it has left behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(2.0)

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  it was started with a pipe
        with self._process.stdout as output:
            for raw in output:
                line = raw.rstrip("\n")
                with self._lock:
                    self._kept.append(line)
                    if self._print is not None:
                        self._print(f"{self.name} | {line}")
