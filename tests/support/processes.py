"""Real processes, started and stopped by tests."""

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.polling import wait_until

__all__ = ["Running"]


class Running:
    """A process that runs while the ``with`` block does; its merged output is collected all the time.

    Leaving the block sends SIGTERM, then SIGKILL after ``stop_seconds``, to this one process by its pid.
    A failing block gets the output as a note on its exception.

    Args:
        argv: The command and its arguments.
        env: The whole environment; None means this process's own.
        cwd: The working directory; None means this process's own.
        stop_seconds: How long the process may take to leave after SIGTERM.
        pass_fds: File descriptors that it inherits, besides the standard ones.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        stop_seconds: float = 60.0,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.argv = [str(argument) for argument in argv]
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._stop_seconds = stop_seconds
        self._pass_fds = tuple(pass_fds)
        self._lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start the process."""
        self._process = subprocess.Popen(
            self.argv,
            env=self._env,
            cwd=self._cwd,
            pass_fds=self._pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the process and close its pipe."""
        process = self._started()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._finish_reading()
        if error is not None:
            error.add_note(f"output of {self.argv}, exit status {process.returncode}:\n{self.output()}")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started().pid

    @property
    def returncode(self) -> int | None:
        """The exit status (negative: killed by that signal), None while the process runs."""
        return self._started().poll()

    def output(self) -> str:
        """Return everything that the process has written to stdout and stderr so far."""
        return "".join(self._lines)

    def send_signal(self, number: int) -> None:
        """Send one signal to this process."""
        self._started().send_signal(number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._started().terminate()

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for the process to end by itself and return its exit status.

        Raises:
            AssertionError: It still runs after ``seconds``; the message has its output.
        """
        try:
            status = self._started().wait(seconds)
        except subprocess.TimeoutExpired:
            message = f"{self.argv} still runs after {seconds:g} s; its output:\n{self.output()}"
            raise AssertionError(message) from None
        self._finish_reading()
        return status

    def wait_for_output(self, text: str, *, seconds: float = 60.0) -> str:
        """Wait until ``text`` has been written, and return all output.

        Raises:
            AssertionError: The process ended without writing it, or ``seconds`` have passed.
        """
        wait_until(self._written_or_ended(text), seconds=seconds, what=f"{text!r} from {self.argv}")
        output = self.output()
        if text not in output:
            message = f"{self.argv} ended with status {self.returncode} without writing {text!r}:\n{output}"
            raise AssertionError(message)
        return output

    def _written_or_ended(self, text: str) -> Callable[[], bool]:
        def check() -> bool:
            if self.returncode is not None:
                self._finish_reading()
                return True
            return text in self.output()

        return check

    def _read(self) -> None:
        stdout = self._started().stdout
        assert stdout is not None
        for line in stdout:
            self._lines.append(line)

    def _finish_reading(self) -> None:
        """Wait for the end of the output; a grandchild that keeps the pipe open must not hang the test."""
        assert self._reader is not None
        self._reader.join(5.0)
        stdout = self._started().stdout
        if not self._reader.is_alive() and stdout is not None:
            stdout.close()

    def _started(self) -> subprocess.Popen[str]:
        assert self._process is not None, "use Running as a context manager"
        return self._process
