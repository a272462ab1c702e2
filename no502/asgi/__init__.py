# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""The middleware around the routes of an ASGI application: deadline, overload bound, errors, logs, health, metrics.

Importing this package needs starlette and the standard library. ``within`` needs fastapi when it is called, ``Metrics``
needs prometheus_client when it is first used. A generated service has this folder as a copy in ``app/asgi``.
"""

from typing import TYPE_CHECKING, Any

from .access_log import AccessLog
from .deadline import DeadlineMiddleware, within
from .health import Check, Health, HealthMiddleware, Outcome, Report
from .logs import configure, dict_config, request_id
from .overload import OverloadMiddleware
from .placeholders import is_placeholder
from .problems import OPENAPI_RESPONSES, ErrorBoundary, ProblemResponse, install, problem
from .root_path import RootPath
from .streams import EndStreams

if TYPE_CHECKING:
    from .metrics import Metrics

__all__ = [
    "OPENAPI_RESPONSES",
    "AccessLog",
    "Check",
    "DeadlineMiddleware",
    "EndStreams",
    "ErrorBoundary",
    "Health",
    "HealthMiddleware",
    "Metrics",
    "Outcome",
    "OverloadMiddleware",
    "ProblemResponse",
    "Report",
    "RootPath",
    "configure",
    "dict_config",
    "install",
    "is_placeholder",
    "problem",
    "request_id",
    "within",
]


def __getattr__(name: str) -> Any:
    if name == "Metrics":
        from .metrics import Metrics

        return Metrics
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
