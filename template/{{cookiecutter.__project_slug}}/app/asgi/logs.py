# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""Log lines on standard output: JSON for machines, text for people, the request id in both.

One configuration for all loggers: the application's, uvicorn's, and gunicorn's, in the workers and in the master, whose
configuration file passes :func:`dict_config` to ``logconfig_dict``.
"""

import json
import logging
import logging.config
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from traceback import TracebackException
from typing import Any, Literal

__all__ = ["Console", "Json", "configure", "dict_config", "request_id", "trace_id"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being served, None outside one."""

Style = Literal["json", "console", "auto"]


def trace_id() -> str | None:
    """Return the OpenTelemetry trace that the caller is in, 32 hex digits; None without one.

    OpenTelemetry is not imported here: where nothing else has imported it, there is no trace.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


_HANDLER = "app"
# C0 and C1 control characters, and the separators that some programs take for the end of a line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def configure(level: str, style: Style) -> None:
    """Send records at ``level`` or above to standard output; calling it again replaces the previous setup.

    Args:
        level: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.
        style: ``json``, ``console``, or ``auto``: console on a terminal, else JSON.
    """
    root = logging.getLogger()
    others = [handler for handler in root.handlers if handler.get_name() != _HANDLER]  # pytest's, for one
    logging.config.dictConfig(dict_config(level, style))
    root.handlers += others


def dict_config(level: str, style: str) -> dict[str, Any]:
    """Return the same as a dictionary for ``logging.config.dictConfig``, and for gunicorn's ``logconfig_dict``."""
    json_lines = style != "console" and (style != "auto" or not sys.stdout.isatty())
    ours = {"handlers": [], "propagate": True}
    # access_log.AccessLog writes these lines, with the request id.
    silent = {"handlers": [], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {_HANDLER: {"()": Json if json_lines else Console}},
        "handlers": {_HANDLER: {"class": "logging.StreamHandler", "formatter": _HANDLER, "stream": "ext://sys.stdout"}},
        "root": {"level": level.upper(), "handlers": [_HANDLER]},
        "loggers": {
            **dict.fromkeys(("gunicorn.error", "uvicorn", "uvicorn.error"), ours),
            **dict.fromkeys(("gunicorn.access", "uvicorn.access"), silent),
        },
    }


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the call passed as ``extra={"fields": {...}}``, the request id, and the trace id."""
    fields: dict[str, Any] = dict(getattr(record, "fields", {}))
    if (current := request_id.get()) is not None:
        fields.setdefault("request_id", current)
    if (trace := trace_id()) is not None:
        fields.setdefault("trace_id", trace)
    return fields


def _escape(text: str) -> str:
    r"""Show control characters as ``\xNN``: a client's bytes must not begin a line or command the terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _escape_lines(text: str) -> str:
    """Escape each line of a text whose line ends are our own."""
    return "\n".join(_escape(line) for line in text.split("\n"))


def _escape_texts(error: TracebackException) -> None:
    """Escape what exceptions say, line ends included: it may be a client's words. Causes, contexts and groups too."""
    waiting = [error]
    while waiting:
        each = waiting.pop()
        each._str = _escape(each._str)  # type: ignore[attr-defined]  # noqa: SLF001  nothing public can change it
        each.__notes__ = [_escape(str(note)) for note in getattr(each, "__notes__", None) or []]
        waiting += [
            other for other in (each.__cause__, each.__context__, *(each.exceptions or ())) if other is not None
        ]


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps(line, ensure_ascii=False, default=str)
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Console(logging.Formatter):
    """A line for people; an exception's traceback follows it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name is logging's
        """Return the line, without the traceback."""
        fields = [f"{name}={value}" for name, value in _fields(record).items()]
        return _escape(" ".join([super().formatMessage(record), *fields]))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line and, below it, the traceback and the stack; only their own line ends are left in them."""
        record.message, record.asctime = record.getMessage(), self.formatTime(record, self.datefmt)
        parts = [self.formatMessage(record)]
        if record.exc_info and record.exc_info[1] is not None:
            parts.append(self.formatException(record.exc_info))
        elif record.exc_text:  # from another process
            parts.append(_escape_lines(record.exc_text))
        if record.stack_info:
            parts.append(_escape_lines(record.stack_info))
        return "\n".join(parts)

    def formatException(self, ei: Any) -> str:  # noqa: N802  the name is logging's
        """Return a traceback in which no exception's text can begin a line."""
        error = TracebackException(*ei)
        _escape_texts(error)
        return _escape_lines("".join(error.format()).rstrip("\n"))
