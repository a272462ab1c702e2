# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""Errors as ``application/problem+json`` (RFC 9457), each with the request id, none with an exception's text.

Where OpenTelemetry traces the request they have its trace id, too.
"""

import logging
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import logs

__all__ = ["OPENAPI_RESPONSES", "ErrorBoundary", "ProblemResponse", "install", "problem"]

_logger = logging.getLogger("app.problems")


OPENAPI_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "The request failed",
        "content": {
            "application/problem+json": {
                "schema": {
                    "title": "Problem",
                    "description": "The body of every error response (https://www.rfc-editor.org/rfc/rfc9457).",
                    "type": "object",
                    "required": ["type", "title", "status"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "request_id": {"type": "string"},
                        "trace_id": {"type": "string"},
                        "errors": {"type": "array", "items": {"type": "object"}},
                    },
                }
            }
        },
    }
}
"""What /openapi.json says about errors."""


class ProblemResponse(JSONResponse):
    """A response with the media type of RFC 9457."""

    media_type = "application/problem+json"


def problem(
    scope: Scope,
    status: int,
    detail: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> Response:
    """Build the response for one error.

    Args:
        scope: The request's scope, for the request id.
        status: The HTTP status; the title follows from it.
        detail: What the client may know about this occurrence.
        headers: Further headers, such as ``Retry-After``.
        errors: What is wrong with which part of the input.
    """
    if status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
        return Response(status_code=status, headers=headers)
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": None if detail == title else detail,
        "request_id": scope.get("state", {}).get("request_id"),
        "trace_id": logs.trace_id(),
        "errors": errors,
    }
    present = {name: value for name, value in body.items() if value is not None}
    return ProblemResponse(present, status_code=status, headers=headers)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):  # the signature is Starlette's; it only sends what was registered
        raise error
    return problem(request.scope, error.status_code, str(error.detail), headers=error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    found: list[dict[str, Any]] = getattr(error, "errors", list)()  # of fastapi's RequestValidationError
    # Not `input` and `ctx`: they repeat what the client sent, and that may be a password.
    errors = [{"in": list(item["loc"]), "message": item["msg"], "type": item["type"]} for item in found]
    return problem(request.scope, 422, "The request does not fit.", errors=errors)


def install(app: Starlette) -> None:
    """Answer HTTP errors, and with FastAPI validation errors, with problems; ``ErrorBoundary`` answers all others."""
    app.add_exception_handler(HTTPException, _http_error)
    if "fastapi" in sys.modules:  # its applications only
        from fastapi.exceptions import RequestValidationError

        app.add_exception_handler(RequestValidationError, _invalid)


class ErrorBoundary:
    """Pure ASGI middleware: logs an exception that nothing else handled and answers 500.

    Starlette's own 500 is sent outside all other middleware, so it would be missing from the access log. When the
    response has started already nothing can be said any more: the exception goes on and the server cuts the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception:
            if started:
                raise
            _logger.exception("unhandled error")
            await problem(scope, HTTPStatus.INTERNAL_SERVER_ERROR)(scope, receive, send)
