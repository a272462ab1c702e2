# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""The request deadline: a response starts in time, or the client gets 504 from here and not from nginx.

nginx's ``proxy_read_timeout`` is longer (see ``gunicorn_conf``), so the client learns which service was late, the log
has the request id, and work that no client waits for is cancelled.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, MutableMapping
from http import HTTPStatus
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem

__all__ = ["DeadlineMiddleware", "abandoned_threads", "is_late", "on_abandoned_threads", "on_deadline", "within"]

_logger = logging.getLogger("app.deadline")
_THREAD = {"run_sync_in_worker_thread", "to_thread"}
_LOOK_SECONDS = 0.2
_TOO_MANY = 20
"""Half of the threads that sync handlers have by default. https://anyio.readthedocs.io/en/stable/threads.html"""

_abandoned = 0
_watchers: list[Callable[[int], None]] = []
_deadline_watchers: list[Callable[[], None]] = []


def abandoned_threads() -> int:
    """Return how many threads of this process still work for requests that have got their 504."""
    return _abandoned


def on_abandoned_threads(watcher: Callable[[int], None]) -> None:
    """Call ``watcher`` with that number whenever it changes."""
    _watchers.append(watcher)


def on_deadline(watcher: Callable[[], None]) -> None:
    """Call ``watcher`` for each request of this process whose deadline passes."""
    _deadline_watchers.append(watcher)


def is_late(scope: Scope) -> bool:
    """Return whether the deadline of a request has passed before its response started."""
    clock: _Clock | None = scope.get("state", {}).get("deadline")
    return clock is not None and clock.rang.done()


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

    def change(self, seconds: float) -> None:
        """Ring earlier or later; after the end nothing changes."""
        if not self._stopped and not self.rang.done():
            self._seconds = seconds
            self._timer.cancel()
            self._timer = self._set()

    def stop(self) -> bool:
        """Stop for good and return whether that was in time. Never true once it rang; never rings once it was true."""
        if self.rang.done():
            return False
        self._stopped = True
        self._timer.cancel()
        return True

    def has_thread(self, handler: asyncio.Task[None]) -> bool:
        """Return whether a thread works for the request: in the handler's task, or in one that a middleware started.

        starlette's ``BaseHTTPMiddleware`` (``@app.middleware("http")``) serves the routes in a task of its own.
        """
        return _is_in_thread(handler) or any(task is handler or self._serves(task) for task in _in_pool())

    def _serves(self, task: asyncio.Task[Any]) -> bool:
        """Return whether a task serves this request: a coroutine that it awaits has the request's scope."""
        for coroutine in _awaited_by(task):
            frame = getattr(coroutine, "cr_frame", None)
            scope = None if frame is None else frame.f_locals.get("scope")
            if isinstance(scope, MutableMapping) and scope.get("state", {}).get("deadline") is self:
                return True
        return False

    def _set(self) -> asyncio.TimerHandle:
        return self._loop.call_at(self._began + self._seconds, self.rang.set_result, None)


class DeadlineMiddleware:
    """Pure ASGI middleware; only HTTP requests have a deadline.

    The handler runs in a task of its own. Whichever comes first decides, once: the start of the response (from then on
    there is no limit, so streams are free), or the clock (then the client gets the 504, the handler is cancelled, and
    what it still sends is refused with ``OSError``, as for a client that has gone). The request counts as running until
    the handler has ended, so that a draining worker waits for its clean-up.

    A sync (``def``) handler runs in a thread, and threads cannot be cancelled: the client gets the 504 in time, and the
    request keeps its thread and its place in the overload bound until the thread has ended. So a dependency that hangs
    takes at most the thread pool (40 threads by default), and what comes then gets 504 or 503. Give what a sync handler
    calls a timeout of its own. A worker with too many such threads asks to be replaced, where ``gunicorn_handover``
    serves the application: its replacement is ready first.

    Args:
        app: The application.
        seconds: The time until the response must have started, counted from the request's headers.
        too_many_threads: How many abandoned threads make the worker ask, 1 or more; None: it never asks.
    """

    def __init__(self, app: ASGIApp, *, seconds: float, too_many_threads: int | None = _TOO_MANY) -> None:
        self._app = app
        self._seconds = seconds
        self._too_many = too_many_threads

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

        handler, abandoned = asyncio.create_task(run()), False
        try:
            await asyncio.wait({handler, clock.rang}, return_when=asyncio.FIRST_COMPLETED)
            if clock.stop():
                await handler
                return
            fields: dict[str, Any] = {"method": scope["method"], "path": scope["path"], "seconds": clock.seconds}
            abandoned = clock.has_thread(handler)
            if abandoned:
                _count(1)
                fields["abandoned_threads"] = _abandoned
                if self._too_many is not None and _abandoned >= self._too_many:
                    _ask_for_replacement(scope, _abandoned)
            else:
                handler.cancel()
            _logger.warning("request deadline passed", extra={"fields": fields})
            for watcher in _deadline_watchers:
                watcher()
            detail = f"No response within {clock.seconds:g} s."
            await problem(scope, HTTPStatus.GATEWAY_TIMEOUT, detail)(scope, receive, send)
        finally:
            clock.stop()
            if clock.rang.done() or not handler.done():
                await _end(handler, clock, abandoned=abandoned)


def _ask_for_replacement(scope: Scope, threads: int) -> None:
    """Make the worker due for replacement, where the server has that: ``gunicorn_handover.Handover``."""
    request_replacement = getattr(scope["state"].get("handover"), "request_replacement", None)
    if request_replacement is not None:
        request_replacement(f"{threads} threads still work for requests that have got their 504")


async def _end(handler: asyncio.Task[None], clock: _Clock, *, abandoned: bool) -> None:
    """Wait for the clean-up of a handler whose response no client gets; its errors go to the log.

    While a thread works for it, it is not cancelled: cancelled, it would leave the thread behind.
    """
    if not abandoned and clock.has_thread(handler):
        abandoned = True
        _count(1)
    try:
        while clock.has_thread(handler):
            await asyncio.wait({handler}, timeout=_LOOK_SECONDS)
    finally:
        if abandoned:
            _count(-1)
    if not handler.done() and not handler.cancelling():  # a second cancellation would interrupt the clean-up
        handler.cancel()
    await asyncio.wait({handler})
    if not handler.cancelled() and (error := handler.exception()) is not None and not isinstance(error, OSError):
        _logger.error("the handler failed after its request had ended", exc_info=error)


def _count(change: int) -> None:
    global _abandoned  # noqa: PLW0603  one number for the process
    _abandoned += change
    for watcher in _watchers:
        watcher(_abandoned)


def _is_in_thread(task: asyncio.Task[Any]) -> bool:
    """Return whether a task awaits a thread: the innermost coroutine that it awaits says so.

    One that waits for a free thread awaits something else further in, and can be cancelled.
    """
    *_, innermost = [None, *_awaited_by(task)]
    code = getattr(innermost, "cr_code", None)
    return code is not None and code.co_name in _THREAD


def _awaited_by(task: asyncio.Task[Any]) -> Iterator[Any]:
    """Yield a task's coroutine and those that it awaits, from the outermost to the innermost."""
    waiting: Any = task.get_coro()
    while waiting is not None and not task.done():
        if hasattr(waiting, "cr_code") or hasattr(waiting, "ag_code"):
            yield waiting
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "ag_await", None)


def _in_pool() -> list[asyncio.Task[Any]]:
    """Return the tasks that have a thread of the pool in which starlette and FastAPI run sync handlers."""
    borrowers = current_default_thread_limiter().statistics().borrowers
    return [task for task in borrowers if isinstance(task, asyncio.Task)]


def within(seconds: float) -> Any:
    """Give a route a deadline of its own: ``@router.get("/quick", dependencies=[within(2)])``.

    It counts from the request's arrival and takes effect when the body has been read. The innermost ``within`` decides:
    a route's, not its router's. A longer one than the service's needs a location of nginx whose ``proxy_read_timeout``
    is longer still; elsewhere nginx answers 504 first.

    Raises:
        ValueError: ``seconds`` is not positive.
    """
    from fastapi import Depends

    if not seconds > 0:
        msg = f"within({seconds}): must be more than 0 seconds"
        raise ValueError(msg)

    async def change(request: Request) -> None:
        clock: _Clock | None = getattr(request.state, "deadline", None)
        if clock is not None:
            clock.change(seconds)

    return Depends(change)
