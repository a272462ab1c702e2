"""Being asked to stop."""

import signal
import threading
from types import FrameType
from typing import Self

__all__ = ["StopRequest"]


class StopRequest:
    """Ctrl-C, SIGTERM or a closed terminal, recorded instead of raised; a second one asks to stop at once."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._count = 0
        self._event = threading.Event()

    def __enter__(self) -> Self:
        """Take the signals over."""
        self._before = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def urgent(self) -> bool:
        """Whether it was asked for twice."""
        return self._count > 1

    def within(self, seconds: float) -> bool:
        """Wait for a stop request at most this long; return whether there is or was one."""
        return self._event.wait(seconds)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._count += 1
        self._event.set()
