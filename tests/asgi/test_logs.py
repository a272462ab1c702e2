"""Log lines for people: no text from outside can begin a line or command the terminal."""

import ast
import logging
import re
import sys
from collections.abc import Callable

import pytest

from no502.asgi.logs import Console

_FORGED = "p\n12:00:00 INFO     app: all is well\r\x1b[31m\x9b2J\u2028end"
_LINE = re.compile(r"^[0-9]{2}:[0-9]{2}:[0-9]{2} ", re.MULTILINE)
_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def _plain() -> None:
    raise LookupError(_FORGED)


def _with_a_note() -> None:
    error = LookupError("plain")
    error.add_note(_FORGED)
    raise error


def _with_a_cause() -> None:
    try:
        _plain()
    except LookupError as error:
        msg = "outer"
        raise RuntimeError(msg) from error


def _in_a_context() -> None:
    try:
        _plain()
    finally:
        msg = "outer"
        raise RuntimeError(msg)


def _in_a_group() -> None:
    msg = "group"
    raise ExceptionGroup(msg, [LookupError(_FORGED), ExceptionGroup(_FORGED, [ValueError(_FORGED)])])


def _syntax() -> None:
    ast.literal_eval("1 + \x1b[31m +")


def _format(raising: Callable[[], None], **changes: object) -> str:
    record = logging.LogRecord("app", logging.ERROR, __file__, 1, "unhandled error", (), None)
    vars(record).update(changes)
    try:
        raising()
    except Exception:  # noqa: BLE001  the examples raise several kinds
        record.exc_info = sys.exc_info()
    return Console().format(record)


@pytest.mark.parametrize("raising", [_plain, _with_a_note, _with_a_cause, _in_a_context, _in_a_group, _syntax])
def test_an_exceptions_text_forges_no_line(raising: Callable[[], None]) -> None:
    """A control character in an exception, its notes, causes, contexts and groups is escaped, a line end too."""
    text = _format(raising)
    assert len(_LINE.findall(text)) == 1
    assert _RAW.search(text) is None


def test_a_traceback_keeps_its_own_lines() -> None:
    """The traceback is readable: a line for each frame and its source, then the exception with its text escaped."""
    head, title, *frames, last = _format(_plain).split("\n")
    assert head.endswith("ERROR    app: unhandled error")
    assert title == "Traceback (most recent call last):"
    assert "    raise LookupError(_FORGED)" in frames
    assert last == r"LookupError: p\x0a12:00:00 INFO     app: all is well\x0d\x1b[31m\x9b2J\x2028end"


@pytest.mark.parametrize("name", ["exc_text", "stack_info"])
def test_text_that_was_formatted_elsewhere_is_escaped(name: str) -> None:
    """A stack, and a traceback that another process has formatted, keep their line ends and nothing else."""
    text = _format(lambda: None, **{name: "Traceback:\n  \x1b[31mred"})
    assert text.endswith("unhandled error\nTraceback:\n  \\x1b[31mred")


def test_a_traceback_that_another_handler_has_formatted_is_not_taken() -> None:
    """logging keeps a formatted traceback for the next handler; it is formatted again here, escaped."""
    text = _format(_plain, exc_text="LookupError: p\n12:00:00 INFO")
    assert len(_LINE.findall(text)) == 1
    assert text.count("LookupError: p") == 1


def test_a_message_and_its_fields_forge_no_line() -> None:
    """A message with control characters, or a field with them, stays one line."""
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "path %s", (_FORGED,), None)
    record.fields = {"path": _FORGED}
    text = Console().format(record)
    assert "\n" not in text
    assert _RAW.search(text) is None
