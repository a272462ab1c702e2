"""Real processes, started and stopped by tests."""

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from no502.serve.children import Child
from tests.support.polling import wait_until

__all__ = ["Running"]


class Running:
    """A process that runs while the ``with`` block does; its merged output is collected all the time.

    Leaving the block sends SIGTERM to this one process; a process of its own that it leaves behind stays for the test
    to find. Only where it has not ended after ``stop_seconds`` its whole group is killed.
    A failing block gets the output as a note on its exception.

    What is started without it needs something else: a terminal (``no502 new``), a pipe that is read by the line (the
    Docker tests), process 1 of a namespace (the systemd tests), a browser that is asked to leave by its own protocol.

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
        self._env, self._cwd, self._pass_fds = env, cwd, pass_fds
        self._stop_seconds = stop_seconds
        self._child: Child | None = None

    def __enter__(self) -> Self:
        """Start the process."""
        self._child = Child(self.argv[0], self.argv, self._env, directory=self._cwd, kept=None, pass_fds=self._pass_fds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the process."""
        child = self._started()
        if not child.stop(self._stop_seconds):
            child.kill()
        output = self.output()
        if error is not None:
            error.add_note(f"output of {self.argv}, exit status {child.exit_code}:\n{output}")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started().pid

    @property
    def returncode(self) -> int | None:
        """The exit status (negative: killed by that signal), None while the process runs."""
        return self._started().exit_code

    def output(self) -> str:
        """Return everything that the process has written to stdout and stderr so far."""
        return "".join(f"{line}\n" for line in self._started().lines())

    def send_signal(self, number: int) -> None:
        """Send one signal to this process."""
        self._started().signal(number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._started().signal(signal.SIGTERM)

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for the process to end by itself and return its exit status.

        Raises:
            AssertionError: It still runs after ``seconds``; the message has its output.
        """
        child = self._started()
        ended = child.ended_within(seconds)
        status = child.exit_code
        assert ended, f"{self.argv} still runs after {seconds:g} s; its output:\n{self.output()}"
        assert status is not None
        return status

    def wait_for_output(self, text: str, *, seconds: float = 60.0) -> str:
        """Wait until ``text`` has been written, and return all output.

        Raises:
            AssertionError: The process ended without writing it.
            NotInTimeError: ``seconds`` have passed.
        """
        wait_until(self._written_or_ended(text), seconds=seconds, what=f"{text!r} from {self.argv}")
        output = self.output()
        assert text in output, f"{self.argv} ended with status {self.returncode} without writing {text!r}:\n{output}"
        return output

    def _written_or_ended(self, text: str) -> Callable[[], bool]:
        return lambda: self.returncode is not None or text in self.output()

    def _started(self) -> Child:
        assert self._child is not None, "use Running as a context manager"
        return self._child
