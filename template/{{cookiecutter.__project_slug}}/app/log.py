"""Log lines on standard output: JSON for machines, text for people, the request id in both.

In a worker this also takes over gunicorn's and uvicorn's loggers; the arbiter's own few lines keep gunicorn's format.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["configure", "request_id"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being served, None outside of one."""

_HANDLER = "app"


def configure(level: str, style: Literal["json", "console"]) -> None:
    """Send everything from ``level`` on to standard output; calling it again replaces the former setup."""
    handler = logging.StreamHandler(sys.stdout)
    handler.set_name(_HANDLER)
    handler.setFormatter(_Json() if style == "json" else _Console())
    root = logging.getLogger()
    root.handlers = [*(other for other in root.handlers if other.get_name() != _HANDLER), handler]
    root.setLevel(level.upper())
    for name in ("gunicorn.error", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    for name in ("gunicorn.access", "uvicorn.access"):  # app.access_log writes these lines, with the request id
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = False


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the call passed as ``extra={"fields": {...}}``, and the request id."""
    fields: dict[str, Any] = dict(getattr(record, "fields", {}))
    if (current := request_id.get()) is not None:
        fields.setdefault("request_id", current)
    return fields


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _Console(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name is logging's
        fields = [f"{name}={value}" for name, value in _fields(record).items()]
        return " ".join([super().formatMessage(record), *fields])
