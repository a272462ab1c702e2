# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""The bound on requests in flight: what a worker could only keep waiting is refused at once, with 503.

Without it a worker takes every request, each one gets slower than the one before, and in the end all miss their
deadline: the worker is busy with work whose clients have gone. With it, what is accepted is served in time.

Each worker counts for itself; nginx has a bound of its own before all of them (``NGINX_REQUESTS_IN_FLIGHT``).
"""

import logging
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .deadline import is_late
from .problems import problem

__all__ = ["OverloadMiddleware"]

_logger = logging.getLogger("app.overload")
_ALWAYS = "/health/"
_RETRY_AFTER = "1"  # seconds: places become free all the time


class OverloadMiddleware:
    """Pure ASGI middleware; it goes inside the access log, which has a line for each refusal.

    A request counts from its arrival until its response starts, or until its handler ends without one. So a streaming
    response does not count while it streams, and neither does a slow client: what is bounded is the work that a client
    waits for. WebSockets and ``/health/...`` never count and are never refused.

    A request that has missed its deadline counts until its handler has ended: a sync (``def``) handler's thread cannot
    be cancelled, and a dependency that hangs must lead to 503, not to more and more threads.

    Args:
        app: The application.
        limit: How many requests may be in flight, 1 or more.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._in_flight = 0
        self._refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].startswith(_ALWAYS):
            await self._app(scope, receive, send)
        elif self._in_flight >= self._limit:
            self._note_refusal()
            detail = "This worker has as many requests as it can serve in time."
            response = problem(scope, HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": _RETRY_AFTER})
            await response(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        counted = True
        self._in_flight += 1

        def leave() -> None:
            nonlocal counted
            if counted:
                counted = False
                self._in_flight -= 1
                self._note_relief()

        async def watched_send(message: Message) -> None:
            if message["type"] == "http.response.start" and not is_late(scope):
                leave()
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            leave()

    def _note_refusal(self) -> None:
        """Log the beginning of an overload; its single refusals are in the access log."""
        self._refused += 1
        if self._refused == 1:
            _logger.warning("overload: requests are refused", extra={"fields": {"in_flight": self._in_flight}})

    def _note_relief(self) -> None:
        """Log the end, when half of the places are free again."""
        if self._refused and self._in_flight <= self._limit // 2:
            _logger.warning("overload: over", extra={"fields": {"refused": self._refused}})
            self._refused = 0
