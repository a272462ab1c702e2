"""Log lines on standard output: JSON for machines, text for people, the request id in both.

One configuration for all loggers: the application's, uvicorn's, and gunicorn's, in the workers and in the master, where
``app/server.py`` puts it in.
"""

import json
import logging
import logging.config
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["configure", "dict_config", "request_id"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being served, None outside of one."""

_HANDLER = "app"


def configure(level: str, style: Literal["json", "console"]) -> None:
    """Send everything from ``level`` on to standard output; calling it again replaces the former setup."""
    root = logging.getLogger()
    others = [handler for handler in root.handlers if handler.get_name() != _HANDLER]  # pytest's, for one
    logging.config.dictConfig(dict_config(level, style))
    root.handlers += others


def dict_config(level: str, style: Literal["json", "console"]) -> dict[str, Any]:
    """Return the same as a dictionary for ``logging.config.dictConfig``, and for gunicorn's ``logconfig_dict``."""
    ours = {"handlers": [], "propagate": True}
    # app.access_log writes these lines, with the request id.
    silent = {"handlers": [], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {_HANDLER: {"()": _Json if style == "json" else _Console}},
        "handlers": {_HANDLER: {"class": "logging.StreamHandler", "formatter": _HANDLER, "stream": "ext://sys.stdout"}},
        "root": {"level": level.upper(), "handlers": [_HANDLER]},
        "loggers": {
            **dict.fromkeys(("gunicorn.error", "uvicorn", "uvicorn.error"), ours),
            **dict.fromkeys(("gunicorn.access", "uvicorn.access"), silent),
        },
    }


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
