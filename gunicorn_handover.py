"""How a worker leaves: without losing a request.

gunicorn forks a replacement only after the old worker is gone, and uvicorn closes idle and unread connections as soon
as it stops, so nginx's next POST on one of them is reset. Here the order is turned round, one worker after the other:

1. it has served ``max_requests``, or the operator reloads, scales or stops: it is *due*;
2. the arbiter forks a replacement and waits until that one is ready; the due worker serves on, accepting;
3. it *drains*: closes its copy of the listener, says ``Connection: close`` on every response, keeps idle connections
   until nginx uses or closes them, sends WebSockets 1012, goes on with its heartbeat, cancels what still runs at
   ``drain_timeout``;
4. it runs the lifespan shutdown and exits 0. ``graceful_timeout`` after the order the arbiter would kill it.

Only the arbiter decides, once a second or when a worker pokes it, from one byte that each worker shares with it. There
is no lock to lose: whoever dies, the next look at the remaining processes gives the same answer.

Use: ``gunicorn -c python:gunicorn_conf``, or in a gunicorn configuration of your own::

    from gunicorn_handover import on_reload, on_starting
    worker_class = "gunicorn_handover.HandoverWorker"

What is touched beyond documented interfaces, and why; tests prove each on the lowest and the newest version supported:

* ``Arbiter``: ``on_starting`` exchanges its class (no setting does) to extend ``manage_workers``, ``spawn_worker``,
  ``kill_worker``, ``setup``, ``reload``, ``stop``, ``handle_term``; it reads ``WORKERS``, ``num_workers``,
  ``worker_age``, ``app``, ``cfg.config``.
* ``UvicornWorker._serve``: replaced, to run our ``Server``; ``.sock`` of gunicorn's sockets: uvloop closes those twice.
* ``Server.server_state``, ``.servers``, ``.lifespan``: to see connections, close listeners, publish ``Handover``.
* ``Config.encoded_headers``: takes the ``Connection: close`` of all later responses.
* ``cycle`` of the HTTP protocols (``response_started``, ``default_headers``), ``conn.trailing_data`` of h11: the same
  for a response in the making, unless another request already waits behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import mmap
import os
import signal
import sys
import time
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

from gunicorn.arbiter import Arbiter
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

if TYPE_CHECKING:
    import socket
    from types import FrameType, ModuleType

    from gunicorn.config import Config as GunicornConfig
    from gunicorn.glogging import Logger
    from uvicorn.config import Config

__all__ = ["Handover", "HandoverWorker", "install", "on_reload", "on_starting"]

_CLOSE = (b"connection", b"close")
_Status = IntEnum("_Status", "BOOTING SERVING SPENT LEAVING", start=0)
_Reason = IntEnum("_Reason", "signal max_requests reload scale stop orphaned", start=0)


class _Board:
    """What a worker and the arbiter tell each other, a byte each, in memory shared since before the fork."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 3)

    @property
    def status(self) -> _Status:  # written by the worker
        return _Status(self._shared[0])

    @status.setter
    def status(self, value: _Status) -> None:
        self._shared[0] = value

    @property
    def order(self) -> _Reason:  # written by the arbiter; 0 ("signal") while it has no order
        return _Reason(self._shared[1])

    @order.setter
    def order(self, value: _Reason) -> None:
        self._shared[1] = value

    @property
    def told_to_leave(self) -> bool:  # written by the arbiter before it sends the signal
        return bool(self._shared[2])

    def tell_to_leave(self) -> None:
        self._shared[2] = 1


class Handover:
    """What an application may know of its worker's departure: ``request.state.handover``, also in the lifespan's state.

    A recycled worker is ``draining`` while others serve on. Only ``stopping`` concerns the whole instance: readiness
    should look at that one.
    """

    def __init__(self, board: _Board) -> None:
        self._board = board
        self._event = asyncio.Event()
        self._reason: str | None = None

    @property
    def draining(self) -> bool:
        """Whether this worker takes no new connections: a stream should end politely."""
        return self._event.is_set()

    @property
    def stopping(self) -> bool:
        """Whether the whole instance is about to stop, from SIGTERM on: readiness should say 503."""
        return self._board.order is _Reason.stop or self._reason == _Reason.orphaned.name

    @property
    def reason(self) -> str | None:
        """Why it drains: max_requests, reload, scale, stop, signal or orphaned; None while it does not."""
        return self._reason

    async def wait(self) -> None:
        """Return when the worker begins to drain."""
        await self._event.wait()

    def _begin(self, reason: _Reason) -> None:
        self._reason = reason.name
        self._event.set()


class _Server(Server):
    """uvicorn's server with another way to end: ``shutdown`` drains."""

    def __init__(self, config: Config, worker: HandoverWorker) -> None:
        super().__init__(config)
        self._worker, self._handover = worker, Handover(worker.board)
        self._leave: _Reason | None = None
        self._websockets: set[object] = set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn's signature
        """SIGTERM: drain, for the reason that the arbiter wrote down. SIGINT, SIGQUIT: quick, even out of a startup."""
        self._depart(self._worker.board.order)
        self.force_exit = self.force_exit or sig != signal.SIGTERM
        if self.force_exit and not self.started:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):  # a pipe that nobody reads, a closed stream
                    stream.flush()
            os._exit(0)  # uvicorn would look at the flag when the lifespan startup is over, which may be never

    def _depart(self, reason: _Reason) -> None:
        self._leave = reason if self._leave is None else self._leave  # asked twice, a worker leaves once

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does; then tell the arbiter, and send it a heartbeat every second."""
        self.lifespan.state["handover"] = self._handover
        await super().startup(sockets=sockets)
        if self.started:
            self._worker.board.status = _Status.SERVING
            self._worker.poke_arbiter()
            self._heartbeat()

    def _heartbeat(self) -> None:
        self._worker.notify()
        asyncio.get_running_loop().call_later(1.0, self._heartbeat)

    async def on_tick(self, counter: int) -> bool:
        """Every 0.1 s while serving: True when it is time to drain."""
        await super().on_tick(counter)
        worker, board = self._worker, self._worker.board
        if os.getppid() != worker.ppid:
            self._depart(_Reason.orphaned)  # the arbiter was killed: nobody would ever end this process
        if board.status is _Status.SERVING and self.server_state.total_requests >= worker.max_requests:
            board.status = _Status.SPENT
            worker.log.info("handover: worker %d has served %d requests", worker.pid, self.server_state.total_requests)
            worker.poke_arbiter()
        if board.status is _Status.SPENT and not worker.managed:
            self._depart(_Reason.max_requests)
        return self._leave is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, cancel what is left at the drain timeout, run the lifespan shutdown."""
        worker, state, began, served = (
            self._worker,
            self.server_state,
            time.monotonic(),
            self.server_state.total_requests,
        )
        reason = worker.board.order if self._leave is None else self._leave
        worker.board.status = _Status.LEAVING
        await self._stop_accepting(sockets or [])
        self._handover._begin(reason)  # noqa: SLF001  applications see the other half
        counts = (len(state.connections), len(state.tasks))
        worker.log.info(
            "handover: worker %d drains (%s): %d connections, %d requests", worker.pid, reason.name, *counts
        )
        self._announce_close()
        drain, graceful = worker.limits()
        cancelled = 0
        if not await self._drained(drain, unless_forced=True):
            cancelled = len(state.tasks)
            for task in list(state.tasks):
                task.cancel(msg="the worker leaves: drain timeout exceeded")
            await self._drained(0.2 if self.force_exit else (graceful - drain) / 2, unless_forced=False)
        with contextlib.suppress(TimeoutError):
            left = began + graceful - time.monotonic()
            await asyncio.wait_for(self.lifespan.shutdown(), 1.5 if self.force_exit else max(0.5, left - 1.0))
        worker.log.info(
            "handover: worker %d leaves (%s) after %.1f s: %d requests served while draining, %d cancelled",
            *(worker.pid, reason.name, time.monotonic() - began, state.total_requests - served, cancelled),
        )

    async def _stop_accepting(self, sockets: list[socket.socket]) -> None:
        for sock in sockets:  # asyncio would lose what it accepted in the same turn of the loop as Server.close()
            asyncio.get_running_loop().remove_reader(sock.fileno())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()  # this process's copy only: the arbiter and the other workers keep the listener open

    def _announce_close(self) -> None:
        """Say ``Connection: close`` on every response whose head is not yet sent."""
        self.config.encoded_headers.append(_CLOSE)
        for connection in self._http_connections():
            cycle = connection.cycle
            waiting = getattr(getattr(connection, "conn", None), "trailing_data", (b"", False))[0]
            if cycle is not None and not cycle.response_started and not waiting:
                cycle.default_headers = [*cycle.default_headers, _CLOSE]

    def _http_connections(self) -> list[Any]:
        kind: Any = self.config.http_protocol_class
        return [connection for connection in self.server_state.connections if isinstance(connection, kind)]

    async def _drained(self, seconds: float, *, unless_forced: bool) -> bool:
        """Wait until every connection and task is gone; False if that was not so in time."""
        state, began, ticks = self.server_state, time.monotonic(), 0
        while state.connections or state.tasks:
            waited = time.monotonic() - began
            if waited >= seconds or (unless_forced and self.force_exit):
                return False
            await super().on_tick(ticks)  # keeps the Date header right and takes the close header up
            for connection in self._http_connections():
                if connection.cycle is None and waited >= self.config.timeout_keep_alive:
                    connection.shutdown()  # it never sent a request, and uvicorn has no idle timer for those
            self._close_websockets()
            await asyncio.sleep(0.1)
            ticks += 1
        return True

    def _close_websockets(self) -> None:
        """Send 1012 (service restart) to the WebSockets that were there a tick ago: their handshake is through."""
        upgraded: set[Any] = {*self.server_state.connections} - {*self._http_connections()}
        for connection in upgraded & self._websockets:
            connection.shutdown()
        self._websockets = upgraded - self._websockets


class HandoverWorker(UvicornWorker):  # type: ignore[misc]  # published without types
    """A uvicorn worker that leaves without losing a request: gunicorn's ``worker_class``.

    It needs the arbiter's half, ``on_starting`` of this module as gunicorn's hook. Without it a worker still drains,
    but its replacement boots only after it is gone.
    """

    managed: ClassVar[bool] = False
    """Whether the arbiter's half is installed in this master."""
    may_halt: ClassVar[bool] = True
    """Whether a failed boot may stop gunicorn: only as long as no worker has ever been ready."""
    drain_timeout: ClassVar[int | None] = None
    """Seconds until what still runs is cancelled; None computes it from ``graceful_timeout``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  gunicorn's untyped signature, passed through
        super().__init__(*args, **kwargs)
        self.board = _Board()
        self.config.limit_max_requests = None  # uvicorn would stop at once; _Server.on_tick counts instead
        self.config.callback_notify = None  # every timeout / 2, by the wall clock; _Server sends every second

    @classmethod
    def check_config(cls, cfg: GunicornConfig, log: Logger) -> None:
        """Called by the arbiter before the first worker.

        Raises:
            RuntimeError: ``reuse_port`` is set: each worker has an accept queue of its own then, lost when it leaves.
        """
        if cfg.reuse_port:
            msg = "HandoverWorker cannot work with reuse_port (a leaving worker's accept queue is lost): remove it"
            raise RuntimeError(msg)
        if not cls.managed:
            log.warning(
                "handover: the arbiter's half is missing: workers drain, but replacements boot only after them. "
                "Add to your gunicorn configuration: from gunicorn_handover import on_reload, on_starting"
            )

    def limits(self) -> tuple[int, int]:
        """Seconds from the order to leave: until what still runs is cancelled, until the arbiter kills the worker."""
        graceful = int(self.cfg.graceful_timeout)
        return self.drain_timeout or max(1, graceful - min(9, max(1, graceful // 20))), graceful

    def poke_arbiter(self) -> None:
        """Have the arbiter look at its workers now rather than within a second.

        SIGCHLD does nothing to a process that does not handle it, and may come as often as it likes to one that does.
        """
        with contextlib.suppress(OSError):  # another user's process, or gone: the arbiter looks every second anyway
            if os.getppid() == self.ppid:
                os.kill(self.ppid, signal.SIGCHLD)

    def init_signals(self) -> None:
        """Set uvicorn-worker's signals, and have the Python stack printed when the arbiter aborts a blocked worker."""
        super().init_signals()
        faulthandler.enable()

    def init_process(self) -> None:
        """Run the worker. A boot that fails later than the first one must not make the arbiter halt."""
        try:
            super().init_process()
        except SystemExit as error:
            booting = self.board.status is _Status.BOOTING
            if self.may_halt or not booting or error.code not in (Arbiter.WORKER_BOOT_ERROR, Arbiter.APP_LOAD_ERROR):
                raise
            raise SystemExit(1) from None
        except Exception:
            if self.may_halt or self.booted:
                raise
            self.log.exception("handover: worker %d cannot boot", self.pid)
            raise SystemExit(1) from None

    async def _serve(self) -> None:
        if self.board.told_to_leave:
            return  # a signal that came before this process had handlers of its own went to the arbiter's, for nothing
        self.config.app = self.wsgi
        server = _Server(self.config, self)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None)
        await server.serve(sockets=[wrapper.sock for wrapper in self.sockets])
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class _GenerationForked(Exception):  # noqa: N818  control flow, not an error
    """Leaves ``Arbiter.reload`` before it waits, deaf, for the old workers (gunicorn 26 and newer)."""


class _HandoverArbiter(Arbiter):  # type: ignore[misc]  # published without types
    """The arbiter's half: replacement first. ``manage_workers`` is the whole protocol."""

    pidfile: Any
    stop_delay = 0
    _crew: dict[int, HandoverWorker]  # as of the last look
    _leaving: dict[int, tuple[_Reason, float]]  # why, and since when
    _old_age = 0  # workers of this age and older are the generation before the last reload
    _boot_failures = 0  # in a row
    _failed_at = 0.0
    _stop_at: float | None = None
    _reloading = False
    _kept: list[socket.socket]  # the listeners, until a reload can no longer be refused

    def manage_workers(self) -> None:
        """Spawn what is missing; let workers leave once ``num_workers`` others are ready; kill the overdue."""
        now = time.monotonic()
        if self._reloading:
            raise _GenerationForked
        if self._stop_at is not None and now >= self._stop_at:
            raise StopIteration
        self._take_stock(now)
        staying = sorted((w for w in self._crew.values() if w.pid not in self._leaving), key=lambda worker: worker.age)
        old = [worker for worker in staying if worker.age <= self._old_age]
        one_leaves = any(reason is _Reason.max_requests for reason, _ in self._leaving.values())
        spent = [] if old or one_leaves else [w for w in staying if w.booted and w.board.status is _Status.SPENT][:1]
        keep = [worker for worker in staying if worker not in old and worker not in spent]
        ready = [worker for worker in keep if worker.booted]
        enough = len(ready) >= self.num_workers
        for worker in old:
            if enough or not worker.booted:
                self._dismiss(worker, _Reason.reload)
        for worker in spent if enough else []:
            self._dismiss(worker, _Reason.max_requests)
        for worker in ready[: max(0, len(ready) - self.num_workers)]:
            self._dismiss(worker, _Reason.scale)
        for _ in range(self.num_workers - len(keep) if now - self._failed_at >= self._pause() else 0):
            self.spawn_worker()
        for pid, (reason, since) in self._leaving.items():
            if now - since > self.cfg.graceful_timeout:
                self.log.error("handover: worker %d is killed: it did not leave (%s) in time", pid, reason.name)
                self.kill_worker(pid, signal.SIGKILL)

    def _take_stock(self, now: float) -> None:
        """Compare the processes with those of the last look: who is ready, who is gone and how."""
        present = dict(self.WORKERS)
        for pid in self._crew.keys() - present.keys():
            reason, since = self._leaving.pop(pid, (None, now))
            if reason is not None:
                self.log.info("handover: worker %d gone (%s) %.1f s after the order", pid, reason.name, now - since)
            elif self._crew[pid].board.status is _Status.BOOTING:
                self._boot_failed(pid, now)
        for pid, worker in present.items():
            status = worker.board.status
            if status is not _Status.BOOTING and not worker.booted:
                worker.booted = True  # of the arbiter's copy
                self.log.info("handover: worker %d is ready", pid)
                self._boot_failures, HandoverWorker.may_halt = 0, False
            if status is _Status.LEAVING and pid not in self._leaving:
                self._leaving[pid] = (worker.board.order, now)
            if self._stop_at is not None:
                worker.board.order = _Reason.stop
        self._crew = present

    def _serving(self) -> int:
        return sum(worker.board.status is not _Status.BOOTING for worker in list(self.WORKERS.values()))

    def _pause(self) -> float:
        """Seconds from a failed boot to the next try: longer with each, short when nobody serves."""
        return min(30.0 if self._serving() else 1.0, 0.5 * 2**self._boot_failures) if self._boot_failures else 0.0

    def _boot_failed(self, pid: int, now: float) -> None:
        self._boot_failures, self._failed_at = min(self._boot_failures + 1, 999), now
        self.log.error(
            "handover: worker %d could not boot (failure %d in a row): %d workers serve on, next try in %.0f s",
            *(pid, self._boot_failures, self._serving(), self._pause()),
        )

    def _dismiss(self, worker: HandoverWorker, reason: _Reason) -> None:
        self._leaving[worker.pid] = (reason, time.monotonic())
        worker.board.order = reason
        self.log.info("handover: worker %d may leave (%s)", worker.pid, reason.name)
        self.kill_worker(worker.pid, signal.SIGTERM)

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal; one that ends a worker is written down first, for a worker that has no handlers yet."""
        if sig in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT} and pid in self.WORKERS:
            self.WORKERS[pid].board.tell_to_leave()
        super().kill_worker(pid, sig)

    def spawn_worker(self) -> int:
        """Fork a worker and remember it, so that even one that dies before the next look is accounted for."""
        while self._kept:
            self._kept.pop().close()  # a worker must not inherit a second copy of the listener
        pid: int = super().spawn_worker()
        if pid in self.WORKERS:
            self._crew[pid] = self.WORKERS[pid]
        else:  # gunicorn before 23 reaps in the signal handler
            self._boot_failed(pid, time.monotonic())
        return pid

    def setup(self, app: Any) -> None:  # noqa: ANN401  gunicorn's application object
        """Apply a configuration.

        Raises:
            SystemExit: its workers cannot hand over; ``reload`` then goes back to the one before.
        """
        super().setup(app)
        if not issubclass(self.worker_class, HandoverWorker):
            msg = "handover: a reload cannot change worker_class: restart gunicorn instead"
            raise SystemExit(msg)

    def reload(self) -> None:
        """SIGHUP: fork a new generation beside the old one, which leaves when all of the new one is ready.

        A configuration that fails before the first fork, in whatever way, changes nothing.
        """
        before = (self.app.cfg, self.num_workers, self._old_age, self.pidfile, self.LISTENERS)
        modules = self._forget_configuration()
        self._kept = [listener.sock.dup() for listener in self.LISTENERS]
        self._reloading, self._old_age, self._boot_failures = True, self.worker_age, 0
        try:
            super().reload()
        except _GenerationForked:
            pass
        except (Exception, SystemExit) as error:
            if os.getpid() != self.pid or not self._kept:
                raise  # the end of a worker, which runs inside of this call; or gunicorn's own, later failure
            sys.modules.update(modules)
            self._undo_reload(*before)
            trace = not isinstance(error, SystemExit)  # gunicorn and gunicorn_conf have said it all before they exit
            message = "handover: reload refused, the old configuration stays in force: %s"
            self.log.error(message, error, exc_info=trace)  # noqa: TRY400
        finally:
            self._reloading = False
        self.manage_workers()

    def _forget_configuration(self) -> dict[str, ModuleType]:
        """Have the modules of the configuration run again when they are imported next, and return the present ones.

        Python would hand out the cached module of ``-c python:NAME``; ``gunicorn_conf`` may be what a file imports.
        """
        names = {"gunicorn_conf", str(self.cfg.config).removeprefix("python:")}
        return {name: sys.modules.pop(name) for name in names if name in sys.modules}

    def _undo_reload(self, cfg: Any, workers: int, old_age: int, pidfile: Any, listeners: list[Any]) -> None:  # noqa: ANN401
        self.app.cfg, self._old_age, self.LISTENERS = cfg, old_age, listeners
        for listener, kept in zip(listeners, self._kept, strict=True):
            if listener.sock is None:
                kept.set_inheritable(True)  # for SIGUSR2
                kept.setblocking(False)
                listener.sock = kept
            else:
                kept.close()
        self._kept = []
        self.setup(self.app)
        self.num_workers = workers
        if self.pidfile is not pidfile:
            self.pidfile = pidfile
            if pidfile is not None:
                pidfile.create(self.pid)

    def handle_term(self) -> None:
        """SIGTERM: stop, after ``stop_delay`` seconds in which workers accept while readiness says 503."""
        if not self.stop_delay:
            raise StopIteration
        if self._stop_at is None:
            self._stop_at = time.monotonic() + self.stop_delay
            self.log.info("handover: readiness says 503 from now on; workers drain in %d s", self.stop_delay)

    def stop(self, graceful: bool = True) -> None:
        """Tell the workers why they leave, then stop as gunicorn does."""
        for worker in list(self.WORKERS.values()):
            worker.board.order = _Reason.stop
        super().stop(graceful)


def install(server: Arbiter, *, stop_delay: int = 0, drain_timeout: int | None = None) -> None:
    """Give the running arbiter its half of the handover; for ``on_starting`` and ``on_reload``.

    Args:
        server: what gunicorn passes to the hook.
        stop_delay: seconds between SIGTERM and the drain, in which workers go on accepting.
        drain_timeout: seconds until a leaving worker cancels what still runs; None: just below ``graceful_timeout``.
    """
    if not issubclass(server.worker_class, HandoverWorker):
        server.log.warning("handover: worker class %s does not hand over", server.cfg.worker_class_str)
        return
    if not isinstance(server, _HandoverArbiter):
        server.__class__ = _HandoverArbiter
        server._crew, server._leaving, server._kept = {}, {}, []  # noqa: SLF001  there is no __init__ to run any more
    server.stop_delay = stop_delay
    HandoverWorker.managed, HandoverWorker.drain_timeout = True, drain_timeout


def on_starting(server: Arbiter) -> None:
    """Do the same as ``install``: gunicorn's hook, for a configuration of your own."""
    install(server)


def on_reload(server: Arbiter) -> None:
    """Keep what ``install`` was given: gunicorn's hook, for a configuration of your own."""
    install(server, stop_delay=getattr(server, "stop_delay", 0), drain_timeout=HandoverWorker.drain_timeout)
