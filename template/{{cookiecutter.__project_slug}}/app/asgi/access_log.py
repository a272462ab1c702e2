# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""One line for each request, and the request id that joins it to nginx's line.

gunicorn's ``access_log_format`` has no effect on uvicorn's workers, so the application writes its own access log.
"""

import asyncio
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import logs

__all__ = ["AccessLog"]

_logger = logging.getLogger("app.access")
_HEADER = "X-Request-ID"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")
_QUIET = "/health/"


class AccessLog:
    """Pure ASGI middleware, the outermost one.

    The id comes from nginx in ``X-Request-ID``; one that is missing or could not be logged safely is replaced. It is
    ``request.state.request_id``, in every log line, and in the response. The query string is not logged: it may hold
    secrets. Answered health checks are logged at debug level.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(_HEADER, "")
        request_id = given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        token = logs.request_id.set(request_id)
        try:
            await (self._http if scope["type"] == "http" else self._app)(scope, receive, send)
        finally:
            logs.request_id.reset(token)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status, sent, written = 0, 0, False

        def write(outcome: str) -> None:
            nonlocal written
            if not written:
                written = True
                _write(scope, status, sent, time.perf_counter() - began, outcome)

        async def watched_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[_HEADER] = scope["state"]["request_id"]
            await send(message)
            if message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
                if not message.get("more_body", False):
                    write("complete")

        try:
            await self._app(scope, receive, watched_send)
        except asyncio.CancelledError:
            write("cancelled")
            raise
        finally:
            write("incomplete")


def _write(scope: Scope, status: int, sent: int, seconds: float, outcome: str) -> None:
    quiet = scope["path"].startswith(_QUIET) and status < 400
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
        "bytes": sent,
        "client": scope["client"][0] if scope.get("client") else None,
        "outcome": outcome,
    }
    _logger.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"fields": fields})
