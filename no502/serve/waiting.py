"""Waiting for a condition with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["NotInTimeError", "wait_until"]

_PAUSE_SECONDS = 0.02

_T = TypeVar("_T")


class NotInTimeError(RuntimeError):
    """A condition has not come true in time."""


def wait_until(predicate: Callable[[], _T], *, seconds: float = 60.0, what: str = "the condition") -> _T:
    """Call ``predicate`` until it returns something true and return that.

    Args:
        predicate: Called again and again, at least once. Its exceptions are not caught.
        seconds: The deadline.
        what: What is being waited for, as a noun phrase, for the failure message.

    Raises:
        NotInTimeError: ``what`` has not come true within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not (value := predicate()):
        if time.monotonic() > deadline:
            message = f"waited {seconds:g} s for {what}; last value {value!r}"
            raise NotInTimeError(message)
        time.sleep(_PAUSE_SECONDS)
    return value
