"""The request deadline: a response starts in time, or the client gets 504 from here and not from nginx.

nginx's ``proxy_read_timeout`` is longer (see ``gunicorn_conf``), so the client learns which service was late, the log
has the request id, and the work that nobody waits for is cancelled.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem

__all__ = ["DeadlineMiddleware", "within"]

_logger = logging.getLogger("app.deadline")


class _Clock:
    """The time that one request has: runs from the start, is stopped by the response or rings once."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._seconds = seconds
        self._stopped = False
        self.rang: asyncio.Future[None] = self._loop.create_future()
        self._timer = self._set()

    @property
    def seconds(self) -> float:
        """The whole time, in seconds since the request arrived."""
        return self._seconds

    def shorten(self, seconds: float) -> None:
        """Ring earlier; a longer time than the present one changes nothing, nor does anything after the end."""
        if seconds < self._seconds and not self._stopped and not self.rang.done():
            self._seconds = seconds
            self._timer.cancel()
            self._timer = self._set()

    def stop(self) -> bool:
        """Stop for good and tell whether that was in time. Never true once it rang; never rings once it was true."""
        if self.rang.done():
            return False
        self._stopped = True
        self._timer.cancel()
        return True

    def _set(self) -> asyncio.TimerHandle:
        return self._loop.call_at(self._began + self._seconds, self.rang.set_result, None)


class DeadlineMiddleware:
    """Pure ASGI middleware; only HTTP requests have a deadline.

    The handler runs in a task of its own. Whichever comes first decides, once: the start of the response (from then on
    there is no limit, so streams are free), or the clock (then the client gets the 504, the handler is cancelled, and
    what it still sends is refused with ``OSError``, as for a client that has gone). The request counts as running until
    the handler has ended, so that a worker that leaves waits for its clean-up.

    A sync (``def``) handler runs in a thread, and threads can not be cancelled: the client gets the 504 in time, but
    the thread runs to its end and does not count against the thread pool's limit any more. Give whatever it calls a
    timeout of its own.

    Args:
        app: The application.
        seconds: The time until the response must have started, counted from the request's headers.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clock = _Clock(self._seconds)
        scope.setdefault("state", {})["deadline"] = clock

        async def send_in_time(message: Message) -> None:
            if not clock.stop():
                msg = "the deadline has passed and the client has got its 504"
                raise OSError(msg)
            await send(message)

        async def run() -> None:
            await self._app(scope, receive, send_in_time)

        handler = asyncio.create_task(run())
        try:
            await asyncio.wait({handler, clock.rang}, return_when=asyncio.FIRST_COMPLETED)
            if clock.stop():
                await handler
                return
            handler.cancel()
            fields = {"method": scope["method"], "path": scope["path"], "seconds": clock.seconds}
            _logger.warning("request deadline passed", extra={"fields": fields})
            detail = f"No response within {clock.seconds:g} s."
            await problem(scope, HTTPStatus.GATEWAY_TIMEOUT, detail)(scope, receive, send)
        finally:
            clock.stop()
            if clock.rang.done() or not handler.done():
                await _end(handler)


async def _end(handler: asyncio.Task[None]) -> None:
    """Wait for the clean-up of a handler whose response nobody gets; its errors go to the log."""
    if not handler.cancelling():  # a second cancellation would interrupt the clean-up
        handler.cancel()
    await asyncio.wait({handler})
    if not handler.cancelled() and (error := handler.exception()) is not None and not isinstance(error, OSError):
        _logger.error("the handler failed after its request had ended", exc_info=error)


def within(seconds: float) -> Any:  # noqa: ANN401  as fastapi.Depends itself
    """Give a route a shorter deadline: ``@router.get("/quick", dependencies=[within(2)])``.

    It counts from the request's arrival and takes effect when the body has been read. It never lengthens: the service's
    deadline follows from what nginx waits for.

    Raises:
        ValueError: ``seconds`` is not positive.
    """
    if seconds <= 0:
        msg = f"within({seconds}): must be more than 0 seconds"
        raise ValueError(msg)

    async def shorten(request: Request) -> None:
        clock: _Clock | None = getattr(request.state, "deadline", None)
        if clock is not None:
            clock.shorten(seconds)

    return Depends(shorten)
