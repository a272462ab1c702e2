"""A gunicorn worker that drains without losing a request.

gunicorn forks a replacement only after the old worker has exited, and uvicorn closes idle and unread connections as
soon as it stops, so nginx's next POST on one of them is reset. Here the order is reversed, one worker after the other:

1. A worker is *due*: it has served ``max_requests``, has passed ``max_memory`` or ``max_lifetime``, its application
   asks for a replacement, or you reload, scale or stop.
2. The arbiter (``gunicorn_arbiter.py``) forks a replacement and waits until it is ready; the due worker keeps serving.
3. The due worker *drains*: it closes its copy of the listener, says ``Connection: close`` on every response, keeps idle
   connections until nginx uses or closes them, closes WebSockets with code 1012, tells streams to end, keeps sending
   heartbeats, and cancels what still runs at ``drain_timeout``.
4. It runs the lifespan shutdown and exits 0. ``graceful_timeout`` after SIGTERM the arbiter would kill it.

Only the arbiter decides, every second or when a worker wakes it. What each worker and the arbiter tell each other is in
shared memory (``Board``): single bytes with one writer each, and the text why a worker could not boot. There are no
locks, so a process may die at any point and the arbiter's next pass converges.

Use: ``gunicorn -c python:gunicorn_conf``, or in a gunicorn configuration of your own::

    from gunicorn_handover import on_reload, on_starting
    worker_class = "gunicorn_handover.HandoverWorker"

What is touched beyond documented interfaces, and why; tests prove each on the lowest and the newest version supported:

* ``Arbiter``: ``install`` exchanges its class (no setting does); see ``gunicorn_arbiter.py`` for its methods.
* ``Worker.SIGNALS``, ``.wsgi``: what every gunicorn worker class uses; ``.sock`` of gunicorn's sockets: uvloop closes
  those twice.
* ``Server.server_state``, ``.servers``, ``.lifespan``: to see connections, close listeners, publish ``Handover``.
* ``Server.should_exit``: set when the drain begins, because event streams of third parties poll it.
* ``app`` of the HTTP protocols: exchanged, to say ``Connection: close`` on later responses; ``cycle``
  (``response_started``, ``default_headers``): the same for the response in the making; ``pipeline`` and, of h11,
  ``conn.trailing_data``: whether another request waits behind it, which would be lost.
* ``Config.loaded_app``: wrapped, to tell what a request has started from what the lifespan has.
* ``Config.ws_protocol_class``: tells a WebSocket from everything else; its ``handshake_complete``,
  ``handshake_completed_event`` (legacy class) or ``response_started`` (wsproto) say whether 1012 can be sent.
* ``connection.transport``, ``.writable``: to abort a WebSocket whose client does not read, and to refuse one that was
  never accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import mmap
import os
import random
import signal
import sys
import time
import traceback
from collections import deque
from contextvars import Context, ContextVar
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker
from uvicorn.config import Config
from uvicorn.importer import import_from_string
from uvicorn.server import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from types import FrameType

    from gunicorn.config import Config as GunicornConfig
    from gunicorn.glogging import Logger

__all__ = ["Handover", "HandoverWorker", "Options", "install", "on_reload", "on_starting"]

_CLOSE = (b"connection", b"close")
_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 19\r\n\r\nService Unavailable"
)
_WEBSOCKET_CLOSE_SECONDS = 10.0
"""How long a WebSocket may take to close: uvicorn's own ``close_timeout``. Then it is aborted."""
_WEBSOCKET_SPREAD_SECONDS = 2.0
"""Over how long the 1012 closes are spread, so that thousands of clients do not reconnect in the same tick."""
_PIPELINE_SECONDS = 5.0
"""For how long of a drain a client that always has another request under way is not told to close."""
_TICK_SECONDS = 0.1

Status = IntEnum("Status", "BOOTING SERVING DUE LEAVING", start=0)
"""What a worker tells the arbiter. DUE: it has reached a limit and keeps serving."""
Reason = IntEnum("Reason", "signal max_requests reload scale stop orphaned max_memory max_lifetime requested", start=0)
"""Why a worker drains."""


class Board:
    """What a worker and the arbiter tell each other, in memory shared since before the fork."""

    _CAUSE = 6  # where the text begins
    _SIZE = 512

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, self._SIZE)

    @property
    def status(self) -> Status:  # written by the worker
        return Status(self._shared[0])

    @status.setter
    def status(self, value: Status) -> None:
        self._shared[0] = value

    @property
    def order(self) -> Reason:  # written by the arbiter; 0 ("signal") while it has no order
        return Reason(self._shared[1])

    @order.setter
    def order(self, value: Reason) -> None:
        self._shared[1] = value

    @property
    def drain_requested(self) -> bool:  # written by the arbiter before it sends the signal
        return bool(self._shared[2])

    def request_drain(self) -> None:
        self._shared[2] = 1

    @property
    def limit(self) -> Reason:  # written by the worker before it says DUE: which limit it has reached
        return Reason(self._shared[3])

    @limit.setter
    def limit(self, value: Reason) -> None:
        self._shared[3] = value

    @property
    def failed_boots(self) -> int:  # written by the arbiter: in a row, at most 255
        return self._shared[4]

    @failed_boots.setter
    def failed_boots(self, value: int) -> None:
        self._shared[4] = min(value, 255)

    @property
    def killed(self) -> int:  # written by the arbiter: workers that it has killed, modulo 256
        return self._shared[5]

    @killed.setter
    def killed(self, value: int) -> None:
        self._shared[5] = value % 256

    @property
    def cause(self) -> str:  # written by the worker: why it could not boot, one line; empty if it did not say
        return self._shared[self._CAUSE :].rstrip(b"\0").decode(errors="replace")

    @cause.setter
    def cause(self, text: str) -> None:
        line = " ".join(text.split()).encode()[: self._SIZE - self._CAUSE]
        self._shared[self._CAUSE : self._CAUSE + len(line)] = line

    def close(self) -> None:
        """Give the memory back; the arbiter does, once the worker is gone."""
        self._shared.close()


@dataclass(frozen=True)
class Options:
    """What gunicorn has no setting for."""

    stop_delay: int = 0
    """Seconds between SIGTERM and the drain, in which workers keep accepting."""
    drain_timeout: int | None = None
    """Seconds until a draining worker cancels what still runs; None: as ``drain_within`` computes it."""
    max_memory: int = 0
    """Bytes of resident memory above which a worker that grows is replaced; 0: off."""
    max_lifetime: int = 0
    """Seconds after which a worker is replaced; 0: off."""
    max_lifetime_jitter: int = 0
    """Upper bound of the random seconds added to ``max_lifetime``."""
    reload_surge: int | None = None
    """How many workers more than configured a reload may run at a time; None: a whole second generation."""

    def drain_within(self, graceful: int) -> int:
        """Return ``drain_timeout``, or what the ladder computes from ``graceful_timeout`` (``gunicorn_conf.RUNGS``)."""
        return self.drain_timeout or max(1, graceful - min(9, max(1, graceful // 20)))


class Handover:
    """What an application may know of its worker's drain: ``request.state.handover``, also in the lifespan's state.

    A worker that is being replaced is ``draining`` while others keep serving. Only ``stopping`` concerns the whole
    instance: readiness should look at that one.
    """

    reasons: ClassVar[tuple[str, ...]] = tuple(Reason.__members__)
    """What ``reason`` can be."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._event = asyncio.Event()
        self._reason: str | None = None
        self._wish = ""

    @property
    def draining(self) -> bool:
        """Whether this worker takes no new connections: a stream should end at its next event."""
        return self._event.is_set()

    @property
    def stopping(self) -> bool:
        """Whether the whole instance is about to stop, from SIGTERM on: readiness should say 503."""
        return self._board.order is Reason.stop or self._reason == Reason.orphaned.name

    @property
    def reason(self) -> str | None:
        """Why it drains, a name of ``Reason``: max_requests, reload, stop, ...; None while it does not."""
        return self._reason

    @property
    def failed_boots(self) -> int:
        """How many new workers in a row could not boot, at most 255: the old ones, and the old code, keep serving."""
        return self._board.failed_boots

    @property
    def killed(self) -> int:
        """How many workers the arbiter has killed, modulo 256: a blocked event loop, or a drain that did not end."""
        return self._board.killed

    def request_replacement(self, why: str) -> None:
        """Have this worker replaced, as at ``max_requests``: its replacement is ready before it drains.

        For what makes a process unfit although it answers, such as threads that hang. The first call counts.

        Args:
            why: What the log says, in one line.
        """
        self._wish = self._wish or " ".join(why.split()) or "no reason given"

    async def wait(self) -> None:
        """Return when the worker begins to drain."""
        await self._event.wait()

    def _begin(self, reason: Reason) -> None:
        self._reason = reason.name
        self._event.set()


class _Memory:
    """Whether a worker has outgrown ``max_memory`` and its replacement would not: growth counts, not the level.

    Past the bound, a worker that has grown slowly over the last minute leaks, and so does one that grows with each of
    many requests. One that has grown fast, within few requests, has loaded what its replacement would load too (a
    model, a cache): once it stops growing it is left alone until it uses a quarter more.
    """

    _WINDOW_SECONDS = 60
    _STEP_SECONDS = 0.5
    _QUIET_SECONDS = 2.0

    def __init__(self, limit: int, booted: int, workers: int) -> None:
        self.bound = limit
        """Bytes above which it is looked at more closely."""
        self.settled: int | None = None
        """Bytes at which it stopped growing, above its bound; None: never."""
        self._limit, self._step = limit, limit // 64
        self._fits = limit + (limit - booted) // (2 * workers)  # by each, beside a replacement; half is kept free
        self._levels: deque[int] = deque(maxlen=self._WINDOW_SECONDS)  # one a second
        self._next_level = 0.0
        self._mark: tuple[float, int, int] | None = None  # when, bytes, requests
        self._quiet_since = 0.0
        self._leaks = False  # in the last step

    def outgrown(self, now: float, used: int, requests: int) -> bool:
        """Look, several times a second: bytes in use, requests completed so far."""
        if now >= self._next_level:
            self._next_level = now + 1.0
            self._levels.append(used)
        if used <= self.bound:
            self._mark = None
            return False
        if self._mark is None:
            if self._grows_slowly(used):
                return True
            self._mark, self._quiet_since, self._leaks = (now, used, requests), now, False
        began, before, requests_before = self._mark
        if now - began < self._STEP_SECONDS:
            return False
        self._mark = (now, used, requests)
        if (grown := used - before) >= self._step:
            leaked, self._leaks = self._leaks, grown < self._step * (requests - requests_before)
            self._quiet_since = now
            return leaked and self._leaks  # requests that have waited for a model complete together, once
        return now - self._quiet_since >= self._QUIET_SECONDS and not self._settles(used)

    def _grows_slowly(self, used: int) -> bool:
        levels = self._levels
        minute = len(levels) == self._WINDOW_SECONDS and used - levels[0] < self._limit // 8
        return minute and used - levels[-4] < self._step  # three seconds ago

    def _settles(self, used: int) -> bool:
        """Raise the bound, unless it has been raised before and a replacement would no longer fit."""
        if self.settled is not None and used > self._fits:
            return False
        self.settled, self._mark, self.bound = used, None, used + used // 4
        return True


class _Limits:
    """Whether a worker has reached ``max_requests``, ``max_lifetime`` or ``max_memory``, or asks to be replaced."""

    def __init__(self, worker: HandoverWorker, handover: Handover) -> None:
        options, used = worker.options, _resident_bytes()
        self._worker, self._handover = worker, handover
        self._until = time.monotonic() + options.max_lifetime + random.randint(0, options.max_lifetime_jitter)
        self._lifetime = options.max_lifetime
        self._memory = _Memory(options.max_memory, used, worker.cfg.workers) if 0 < used <= options.max_memory else None
        if options.max_memory < used and options.max_memory:
            worker.log.warning(
                "handover: worker %d uses %d MiB as soon as it has booted, more than max_memory (%d MiB): "
                "it is not replaced for its memory",
                *(worker.pid, used >> 20, options.max_memory >> 20),
            )

    def reached(self, requests: int) -> Reason | None:
        """Return the limit that was reached, and log it."""
        log, pid = self._worker.log, self._worker.pid
        if requests >= self._worker.max_requests:
            log.info("handover: worker %d has served %d requests", pid, requests)
            return Reason.max_requests
        if self._lifetime and time.monotonic() >= self._until:
            log.info("handover: worker %d has lived for %d s", pid, self._lifetime)
            return Reason.max_lifetime
        if wish := self._handover._wish:  # noqa: SLF001  the application's half
            log.warning("handover: worker %d asks to be replaced: %s", pid, wish)
            return Reason.requested
        return Reason.max_memory if self._memory is not None and self._outgrown(self._memory, requests) else None

    def _outgrown(self, memory: _Memory, requests: int) -> bool:
        used, settled, bound = _resident_bytes(), memory.settled, memory.bound
        if memory.outgrown(time.monotonic(), used, requests):
            self._worker.log.info(
                "handover: worker %d uses %d MiB, more than %d", self._worker.pid, used >> 20, bound >> 20
            )
            return True
        if memory.settled != settled:
            self._worker.log.warning(
                "handover: worker %d uses %d MiB, more than max_memory (%d MiB), and no longer grows: "
                "it is left alone up to %d MiB, because its replacement would load the same",
                *(self._worker.pid, used >> 20, self._worker.options.max_memory >> 20, memory.bound >> 20),
            )
        return False


def _resident_bytes() -> int:
    """Return this process's resident memory; 0 where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except (OSError, IndexError):
        return 0


class _WebSockets:
    """Closes WebSockets: each is told once, and one that does not close in time is aborted."""

    def __init__(self, config: Config, connections: set[Any], log: Logger) -> None:
        self._kind: Any = config.ws_protocol_class or ()
        self._connections, self._log = connections, log
        self._told: dict[Any, float] = {}  # when
        self._batch = 0

    def open(self) -> list[Any]:
        return [connection for connection in list(self._connections) if isinstance(connection, self._kind)]

    def close(self, *, at_once: bool) -> None:
        """Send 1012 (service restart) to some whose handshake is complete; abort those that were told long ago.

        A handshake that the application has not accepted yet is left alone: it completes, and its turn comes then.
        """
        now, connections = time.monotonic(), self.open()
        waiting = [connection for connection in connections if connection not in self._told]
        self._batch = self._batch or max(10, round(len(waiting) * _TICK_SECONDS / _WEBSOCKET_SPREAD_SECONDS))
        batch = len(waiting) if at_once else self._batch
        for connection in [each for each in waiting if _can_be_closed(each)][:batch]:
            self._told[connection] = now
            _attempt(self._log, connection, connection.shutdown)
        for connection in self._told.keys() - {*connections}:
            self._release(connection)
        for connection in connections:
            if now - self._told.get(connection, now) >= _WEBSOCKET_CLOSE_SECONDS:
                _attempt(self._log, connection, connection.transport.abort)

    @staticmethod
    def _release(connection: Any) -> None:
        """Wake an application that waits to send to a connection that is gone: older wsproto classes forget to."""
        writable = getattr(connection, "writable", None)
        if isinstance(writable, asyncio.Event):
            writable.set()

    def refuse(self) -> None:
        """Answer 503 to handshakes that the application has still not accepted."""
        for connection in self.open():
            if connection not in self._told and not _can_be_closed(connection):
                self._told[connection] = time.monotonic()
                _attempt(self._log, connection, connection.transport.write, _UNAVAILABLE)
                _attempt(self._log, connection, connection.transport.close)


def _attempt(log: Logger, connection: object, act: Callable[..., object], *arguments: object) -> None:
    """Do something to one connection: what it raises must not end the drain of the others."""
    try:
        act(*arguments)
    except Exception as error:  # noqa: BLE001  a library's protocol class may raise anything
        log.warning("handover: a connection could not be closed: %s: %r", type(connection).__name__, error)


def _can_be_closed(connection: Any) -> bool:
    """Return whether the handshake is complete and no refusal is being sent."""
    if getattr(connection, "response_started", False):
        return False
    event = getattr(connection, "handshake_completed_event", None)
    return bool(event.is_set() if event is not None else getattr(connection, "handshake_complete", True))


@dataclass
class _Request:
    """A request, as everything that it starts knows it."""

    ended: float | None = None
    """When the application returned from it; None: it has not."""


_REQUEST: ContextVar[_Request | None] = ContextVar("handover_request", default=None)


class _Requests:
    """The ASGI application, and the tasks that its requests have started (``asyncio.create_task``).

    A task copies the context that it is created in, so each request marks its own: the mark reaches all descendants,
    through threads too. What the lifespan has started has no mark; it is a service, which ends in the lifespan
    shutdown. So is what a request has started and what has outlived that request for longer than a drain may take.
    """

    def __init__(self, app: Any, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        """Serve a request, or run the lifespan."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = _Request()
        _REQUEST.set(request)  # of this task, which uvicorn has created for this request
        try:
            await self._app(scope, receive, send)
        finally:
            request.ended = time.monotonic()

    def tasks(self) -> set[asyncio.Task[Any]]:
        """Return the tasks that a drain waits for."""
        return {task for task in asyncio.all_tasks() if self._is_waited_for(_request_of(task))}

    def _is_waited_for(self, request: _Request | None) -> bool:
        return request is not None and (request.ended is None or time.monotonic() - request.ended < self._seconds)


def _request_of(task: asyncio.Task[Any]) -> _Request | None:
    """Return the request that a task descends from; Python 3.11 shows its context only to the garbage collector."""
    if sys.version_info >= (3, 12):
        return task.get_context().get(_REQUEST)
    contexts = (each for each in gc.get_referents(task) if isinstance(each, Context))
    return next(contexts, Context()).get(_REQUEST)


class _LastError(logging.Handler):
    """Remembers the last line of the last error that uvicorn has logged: why the lifespan startup failed."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, unless it only says that the startup failed."""
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            self.text = _one_line(record.exc_info[1])
        elif record.levelno >= logging.ERROR and not message.startswith("Application startup failed"):
            self.text = message.strip().rpartition("\n")[2]


def _one_line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip().rpartition("\n")[2]


class _Server(Server):
    """uvicorn's server with another way to end: ``shutdown`` drains."""

    def __init__(self, config: Config, worker: HandoverWorker) -> None:
        super().__init__(config)
        self._worker, self._handover = worker, Handover(worker.board)
        self._leave: Reason | None = None
        self._limits: _Limits | None = None
        self._requests: _Requests | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn's signature
        """SIGTERM: drain, for the reason that the arbiter wrote down. SIGINT, SIGQUIT: quick, even out of a startup."""
        self._depart(self._worker.board.order)
        self.force_exit = self.force_exit or sig != signal.SIGTERM
        if self.force_exit and not self.started:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):  # a pipe that nothing reads, a closed stream
                    stream.flush()
            os._exit(0)  # uvicorn would look at the flag when the lifespan startup is over, which may be never

    def _depart(self, reason: Reason) -> None:
        self._leave = reason if self._leave is None else self._leave  # a worker drains once

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does; then tell the arbiter, and send it a heartbeat every second."""
        self.lifespan.state["handover"] = self._handover
        self._requests = _Requests(self.config.loaded_app, self._worker.timeouts()[0])
        self.config.loaded_app = self._requests
        logger, errors = logging.getLogger("uvicorn.error"), _LastError()
        logger.addHandler(errors)
        try:
            await super().startup(sockets=sockets)
        finally:
            logger.removeHandler(errors)
            if not self.started:
                self._worker.board.cause = errors.text or "the lifespan startup failed"
        if self.started:
            self._limits = _Limits(self._worker, self._handover)
            self._worker.board.status = Status.SERVING
            self._worker.wake_arbiter()
            self._heartbeat()

    def _heartbeat(self) -> None:
        self._worker.notify()
        asyncio.get_running_loop().call_later(1.0, self._heartbeat)

    async def on_tick(self, counter: int) -> bool:
        """Every 0.1 s while serving: True when it is time to drain."""
        await super().on_tick(counter)
        worker, board = self._worker, self._worker.board
        if os.getppid() != worker.ppid:
            self._depart(Reason.orphaned)  # the arbiter was killed: this process would never end
        if board.status is Status.SERVING and self._limits is not None:
            limit = self._limits.reached(self.server_state.total_requests)
            if limit is not None:
                board.limit, board.status = limit, Status.DUE
                worker.wake_arbiter()
        if board.status is Status.DUE and not worker.managed:
            self._depart(board.limit)
        return self._leave is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, cancel what is left at the drain timeout, run the lifespan shutdown."""
        worker, state = self._worker, self.server_state
        began, served = time.monotonic(), state.total_requests
        reason = worker.board.order if self._leave is None else self._leave
        worker.board.status = Status.LEAVING
        drain, graceful = worker.timeouts()
        cancelled = 0
        try:
            await self._stop_accepting(sockets or [])
            self._handover._begin(reason)  # noqa: SLF001  applications see the other half
            self.should_exit = True  # sse-starlette finds this object by the signal handler and polls the flag
            counts = (len(state.connections), len(state.tasks))
            worker.log.info(
                "handover: worker %d drains (%s): %d connections, %d requests", worker.pid, reason.name, *counts
            )
            cancelled = await self._drain(drain, graceful)
        except Exception:
            worker.log.exception("handover: worker %d could not drain", worker.pid)
        with contextlib.suppress(TimeoutError):
            left = began + graceful - time.monotonic()
            await asyncio.wait_for(self.lifespan.shutdown(), 1.5 if self.force_exit else max(0.5, left - 1.0))
        worker.log.info(
            "handover: worker %d leaves (%s) after %.1f s: %d requests served while draining, %d cancelled",
            *(worker.pid, reason.name, time.monotonic() - began, state.total_requests - served, cancelled),
        )

    async def _drain(self, drain: float, graceful: float) -> int:
        """Serve until everything is gone or ``drain`` seconds have passed; return the number of cancelled tasks."""
        websockets = _WebSockets(self.config, self.server_state.connections, self._worker.log)
        if await self._drained(websockets, drain, unless_forced=True):
            return 0
        websockets.refuse()
        await asyncio.sleep(0.05)  # the refusals are sent, and their tasks see a closed connection, not a cancellation
        cancelled = self._cancel(self.server_state.tasks)
        await asyncio.sleep(0.05)  # the tasks that a request waits for have ended with it
        cancelled += self._cancel(self._tasks())
        await self._drained(websockets, 0.2 if self.force_exit else (graceful - drain) / 2, unless_forced=False)
        return cancelled

    def _cancel(self, tasks: set[asyncio.Task[Any]]) -> int:
        for task in list(tasks):
            task.cancel(msg="the worker leaves: drain timeout exceeded")
        return len(tasks)

    def _tasks(self) -> set[asyncio.Task[Any]]:
        """Return what still runs: requests, and the tasks that they have started."""
        return {*self.server_state.tasks, *(self._requests.tasks() if self._requests is not None else ())}

    async def _stop_accepting(self, sockets: list[socket.socket]) -> None:
        for sock in sockets:  # asyncio would lose what it accepted in the same turn of the loop as Server.close()
            asyncio.get_running_loop().remove_reader(sock.fileno())
        await self._turns()
        for server in self.servers:
            server.close()  # this process's copy only: the arbiter and the other workers keep the listener open
        await self._turns()  # uvloop has accepted until now, and such a connection is not among the others yet

    @staticmethod
    async def _turns() -> None:
        """Let the event loop make the connections that it has accepted: a task, and a callback of that task."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _drained(self, websockets: _WebSockets, seconds: float, *, unless_forced: bool) -> bool:
        """Wait until every connection and task is gone; False if that was not so in time."""
        state, began, ticks = self.server_state, time.monotonic(), 0
        told = _Told()
        while state.connections or self._tasks():
            waited = time.monotonic() - began
            if waited >= seconds or (unless_forced and self.force_exit):
                return False
            try:
                await super().on_tick(ticks)  # keeps the Date header right
                self._tell(websockets, told, idle=waited >= self.config.timeout_keep_alive)
            except Exception:
                if not told.failed:  # what fails once may fail at each tick; the requests in flight go on either way
                    self._worker.log.exception("handover: worker %d goes on with its drain", self._worker.pid)
                told.failed = True
            await asyncio.sleep(_TICK_SECONDS)
            ticks += 1
        return True

    def _tell(self, websockets: _WebSockets, told: _Told, *, idle: bool) -> None:
        """Tell each connection once that it is to close; ``idle``: those too that have never sent a request."""
        others = self.server_state.connections - {*websockets.open()}
        for connection in others - told.to_close:
            told.to_close.add(connection)
            _attempt(self._worker.log, connection, _say_close, connection)
        websockets.close(at_once=self.force_exit)
        for connection in others - told.closed if idle else ():
            if getattr(connection, "cycle", None) is None:
                told.closed.add(connection)
                _attempt(self._worker.log, connection, connection.shutdown)  # uvicorn has no idle timer for those


@dataclass
class _Told:
    """What a drain has done already."""

    to_close: set[object] = field(default_factory=set)
    """Connections whose next response says ``Connection: close``."""
    closed: set[object] = field(default_factory=set)
    failed: bool = False


def _say_close(connection: Any) -> None:
    """Add ``Connection: close`` to the last response of a connection: behind it no other request waits already."""
    cycle: Any = getattr(connection, "cycle", None)  # of requests in a pipeline the newest
    if cycle is not None and not cycle.response_started and not _unparsed(connection):
        cycle.default_headers = [*cycle.default_headers, _CLOSE]
    connection.app = _LastResponse(connection, connection.app)


def _unparsed(connection: Any) -> bytes:
    """Return what h11 has received behind the request in hand."""
    unparsed: bytes = getattr(getattr(connection, "conn", None), "trailing_data", (b"", False))[0]
    return unparsed


class _LastResponse:
    """The application of a connection that is to close: a response behind which no request waits says so."""

    def __init__(self, connection: Any, app: Any) -> None:
        self._connection, self._app = connection, app
        self._until = time.monotonic() + _PIPELINE_SECONDS

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        """Serve one request."""

        async def announced(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start" and not self._another_waits():
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        await self._app(scope, receive, announced)

    def _another_waits(self) -> bool:
        waits = getattr(self._connection, "pipeline", None) or _unparsed(self._connection)
        return bool(waits) and time.monotonic() < self._until


def _speaks_http2(settings: dict[str, Any]) -> bool:
    """Return whether uvicorn settings have HTTP/2: by ``http2``, or by a protocol class that offers h2 itself."""
    http = settings.get("http")
    if isinstance(http, str) and ":" in http:
        http = import_from_string(http)
    return bool(settings.get("http2")) or "h2" in (getattr(http, "alpn_protocols", None) or ())


def _ignore(sig: int, frame: FrameType | None) -> None:
    """Do nothing. A handler, because the programs that an application starts would inherit SIG_IGN."""


class HandoverWorker(Worker):  # type: ignore[misc]  # published without types
    """A uvicorn worker that drains without losing a request: gunicorn's ``worker_class``.

    It needs the arbiter's half, ``on_starting`` of this module as gunicorn's hook. Without it a worker still drains,
    but its replacement boots only after it is gone.
    """

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"loop": "auto", "http": "auto"}
    """uvicorn settings, for a subclass to replace. https://uvicorn.dev/settings/"""
    managed: ClassVar[bool] = False
    """Whether the arbiter's half is installed in this master."""
    may_halt: ClassVar[bool] = True
    """Whether a failed boot may stop gunicorn: only as long as no worker has ever been ready."""
    options: ClassVar[Options] = Options()
    """What ``install`` was given."""
    not_inherited: ClassVar[list[socket.socket]] = []
    """Sockets of the arbiter that a worker closes first of all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.board = Board()
        for name, theirs in (("uvicorn.error", self.log.error_log), ("uvicorn.access", self.log.access_log)):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = theirs.handlers, False
            logger.setLevel(theirs.level)
        self.config = Config(**self._uvicorn_settings())

    def _uvicorn_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "app": None,  # known when the application is loaded
            "log_config": None,
            "timeout_keep_alive": self.cfg.keepalive,
            "forwarded_allow_ips": self.cfg.forwarded_allow_ips,
            "backlog": self.cfg.backlog,
        }
        if self.cfg.is_ssl:
            ours = ("keyfile", "certfile", "password", "ssl_version", "cert_reqs", "ca_certs", "ciphers")
            theirs = ("keyfile", "certfile", "keyfile_password", "version", "cert_reqs", "ca_certs", "ciphers")
            for name, name_there in zip(ours, theirs, strict=True):
                settings[f"ssl_{name_there}"] = self.cfg.ssl_options.get(name)
        return settings | self.CONFIG_KWARGS

    @classmethod
    def check_config(cls, cfg: GunicornConfig, log: Logger) -> None:
        """Called by the arbiter before the first worker.

        Raises:
            RuntimeError: ``reuse_port`` is set: each worker has an accept queue of its own then, lost when it exits. Or
                uvicorn's ``http2`` is: nginx answers 502 when an upstream ends an HTTP/2 connection.
        """
        if cfg.reuse_port:
            msg = "HandoverWorker cannot work with reuse_port (a draining worker's accept queue is lost): remove it"
            raise RuntimeError(msg)
        if _speaks_http2(cls.CONFIG_KWARGS):
            msg = (
                "HandoverWorker cannot work with uvicorn's http2 (a GOAWAY of a draining worker is a 502 in nginx): "
                "remove it from CONFIG_KWARGS, and proxy_http_version 2 from nginx"
            )
            raise RuntimeError(msg)
        if not cls.managed:
            log.warning(
                "handover: the arbiter's half is missing: workers drain, but replacements boot only after them. "
                "Add to your gunicorn configuration: from gunicorn_handover import on_reload, on_starting"
            )

    def timeouts(self) -> tuple[int, int]:
        """Seconds from the start of the drain: until tasks are cancelled, until the arbiter kills the worker."""
        graceful = int(self.cfg.graceful_timeout)
        return self.options.drain_within(graceful), graceful

    def wake_arbiter(self) -> None:
        """Have the arbiter look at its workers now rather than within a second.

        SIGCHLD does nothing to a process that does not handle it, and may come as often as it likes to one that does.
        """
        with contextlib.suppress(OSError):  # another user's process, or gone: the arbiter looks every second anyway
            if os.getppid() == self.ppid:
                os.kill(self.ppid, signal.SIGCHLD)

    def init_signals(self) -> None:
        """Reset gunicorn's handlers; ignore the signals that are meant for the master.

        A signal to the whole process group (``pkill -HUP gunicorn``, ``tini -g``, a terminal that closes) must not end
        workers with requests in flight. SIGINT and SIGTERM get their handlers from uvicorn. faulthandler prints the
        Python stack when the arbiter aborts a worker whose event loop is blocked.
        """
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(number, _ignore)
            signal.siginterrupt(number, False)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.siginterrupt(signal.SIGUSR1, False)
        faulthandler.enable()

    def init_process(self) -> None:
        """Run the worker. A boot that fails after the first one must not make the arbiter halt."""
        for inherited in self.not_inherited:
            inherited.close()  # a second copy of the listener would outlive the drain
        try:
            super().init_process()
        except SystemExit as error:
            booting = self.board.status is Status.BOOTING
            if booting and not self.board.cause and error.code not in (None, 0):
                self.board.cause = f"exit status {error.code}" if isinstance(error.code, int) else str(error.code)
            if self.may_halt or not booting or error.code not in (Arbiter.WORKER_BOOT_ERROR, Arbiter.APP_LOAD_ERROR):
                raise
            raise SystemExit(1) from None
        except Exception as error:
            if not self.booted:
                self.board.cause = _one_line(error)
            if self.may_halt or self.booted:
                raise
            self.log.exception("handover: worker %d cannot boot", self.pid)
            raise SystemExit(1) from None

    def run(self) -> None:
        """Serve until the drain is over."""
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(self._serve())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, _ignore)  # it exits already

    async def _serve(self) -> None:
        if self.board.drain_requested:
            return  # a signal that came before this process had handlers of its own went to the arbiter's, for nothing
        self.config.app = self.wsgi
        server = _Server(self.config, self)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None)
        await server.serve(sockets=[wrapper.sock for wrapper in self.sockets])
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


def install(server: Arbiter, **options: int | None) -> None:
    """Give the running arbiter its half of the handover; for ``on_starting`` and ``on_reload``.

    Args:
        server: what gunicorn passes to the hook.
        options: the fields of ``Options``, by name.
    """
    if not issubclass(server.worker_class, HandoverWorker):
        server.log.warning("handover: worker class %s does not hand over", server.cfg.worker_class_str)
        return
    from gunicorn_arbiter import HandoverArbiter

    HandoverWorker.managed, HandoverWorker.options = True, Options(**options)  # type: ignore[arg-type]
    HandoverArbiter.take_over(server)
    if server.cfg.preload_app:
        server.log.warning(
            "handover: preload_app is set: SIGHUP forks new workers from the code that this master has already loaded. "
            "Restart gunicorn, or send SIGUSR2, to serve new code"
        )


def on_starting(server: Arbiter) -> None:
    """Do the same as ``install``: gunicorn's hook, for a configuration of your own."""
    install(server)


def on_reload(server: Arbiter) -> None:
    """Keep what ``install`` was given: gunicorn's hook, for a configuration of your own."""
    install(server, **asdict(HandoverWorker.options))
