"""A measured server while a ``with`` block runs: its output goes to a file, and its whole group ends with the block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from no502.serve.children import LoggedChild
from no502.serve.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["Running"]

_LINES_SHOWN = 25


class Running(ABC):
    """A server whose subclass says when it serves.

    Args:
        argv: The command.
        log: The file that its output is added to.
        env: Its whole environment; None means this process's own.
        directory: Its working directory.
        seconds_to_serve: How long it may take from its start until it serves.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        directory: Path,
        env: Mapping[str, str] | None = None,
        seconds_to_serve: float = 60.0,
    ) -> None:
        self._argv, self._log, self._env, self._directory = argv, log, env, directory
        self._seconds_to_serve = seconds_to_serve
        self._child: LoggedChild | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it serves; stop it where that fails."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def pid(self) -> int:
        """Its first process."""
        return self._started().pid

    def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            RuntimeError: It has ended, or it took too long.
        """
        self._child = LoggedChild(self._argv, log=self._log, env=self._env, directory=self._directory)
        wait_until(self._up, seconds=self._seconds_to_serve, what=f"{self._argv[0]} to serve")

    def stop(self, *, seconds: float = 10.0) -> None:
        """Stop it with SIGTERM; after ``seconds``, or when children are left, end its whole group."""
        if self._child is not None:
            self._child.stop(seconds)
            self._child.kill()

    def signal(self, number: int) -> None:
        """Signal its first process."""
        self._started().signal(number)

    def check(self) -> None:
        """Raise RuntimeError, with the end of the log, if it has ended."""
        child = self._started()
        if child.exit_code is not None:
            tail = "\n".join(f"    {line}" for line in child.lines()[-_LINES_SHOWN:])
            message = f"{child.name} has ended with status {child.exit_code}:\n{tail}"
            raise RuntimeError(message)

    def log(self) -> str:
        """Return its output so far, that of earlier starts included."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    @abstractmethod
    def _serves(self) -> bool:
        """Return whether it serves; asked again and again after a start."""

    def _up(self) -> bool:
        self.check()
        return self._serves()

    def _started(self) -> LoggedChild:
        if self._child is None:
            message = f"{self._argv[0]} has not been started"
            raise RuntimeError(message)
        return self._child
