"""A program whose standard output is a terminal."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.polling import wait_until

__all__ = ["Terminal"]


class Terminal:
    """The program, running while the ``with`` block does; SIGTERM ends it."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        master, slave = os.openpty()
        self._shown = bytearray()
        self._process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, args=[master], daemon=True)
        self._reader.start()

    def _read(self, master: int) -> None:
        with contextlib.suppress(OSError):  # EIO: the program has ended
            while part := os.read(master, 65536):
                self._shown += part
        os.close(master)

    def __enter__(self) -> Self:
        """Return it running."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it; a failing test shows what it has written."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self._reader.join(5)
        if error is not None:
            sys.stdout.write(self.output())

    def output(self) -> str:
        """Return what the terminal has shown."""
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def wait_for_output(self, text: str, *, seconds: float = 40) -> None:
        """Wait until it has shown a text."""
        wait_until(lambda: text in self.output(), seconds=seconds, what=text)
