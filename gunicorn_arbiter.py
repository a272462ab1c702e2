"""The arbiter's half of the handover: a replacement is ready before a worker drains.

``gunicorn_handover.install`` puts it into a running gunicorn master. ``manage_workers`` is the whole protocol; it runs
every second and whenever a worker wakes the master, and decides from the processes that there are and the memory that
each of them shares. Nothing that fails here ends the master while a worker serves: a fork, a temporary file, a hook, a
configuration. It is logged and tried again.

What is touched of ``gunicorn.arbiter.Arbiter``: ``manage_workers``, ``spawn_worker``, ``kill_worker``,
``reap_workers``, ``setup``, ``reload``, ``reexec``, ``stop``, ``halt``, ``handle_term``, ``handle_ttin``,
``handle_ttou``, ``handle_usr1`` are extended; ``WORKERS``, ``LISTENERS``,
``num_workers``, ``worker_age``, ``pidfile``, ``app``, ``cfg.config`` are read.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from gunicorn_handover import HandoverWorker, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["HandoverArbiter"]

_LIMITS = {Reason.max_requests, Reason.max_memory, Reason.max_lifetime, Reason.requested}
_LONGEST_PAUSE_SECONDS = 30.0


class _ConfigurationRead(Exception):  # noqa: N818  control flow, not an error
    """Leaves ``Arbiter.reload`` before its first fork: the rest is decided by ``manage_workers``."""


class HandoverArbiter(Arbiter):  # type: ignore[misc]  # published without types
    """gunicorn's arbiter, replacement first."""

    pidfile: Any
    num_workers: int
    WORKERS: dict[int, HandoverWorker]
    _crew: dict[int, HandoverWorker]  # as of the last look
    _leaving: dict[int, tuple[Reason, float]]  # why, and since when
    _old_age = 0  # workers of this age and older are the generation before the last reload
    _boot_failures = 0  # in a row
    _failed_at = 0.0
    _killed: set[int]  # process ids of the workers that were killed
    _stop_at: float | None = None
    _reloading = False
    _counted = 0  # workers, as last logged

    @classmethod
    def take_over(cls, server: Arbiter) -> None:
        """Turn the running arbiter into one of this class; a second call changes nothing."""
        if not isinstance(server, cls):
            server.__class__ = cls
            server._crew, server._leaving, server._killed = {}, {}, set()  # noqa: SLF001  there is no __init__ to run any more

    # ------------------------------------------------------------------------------------------------- the protocol
    def manage_workers(self) -> None:
        """Look once; an exception is logged and the next look tries again, unless no worker was ever ready."""
        if self._reloading:
            raise _ConfigurationRead
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            raise StopIteration
        try:
            self._look(time.monotonic())
            self._send_gauges()
        except (StopIteration, HaltServer):
            raise
        except Exception:
            if os.getpid() != self.pid or self._may_halt():
                raise
            self.log.exception("handover: the arbiter failed to manage its workers, and tries again")

    def _look(self, now: float) -> None:
        """Spawn what is missing; let workers leave once ``num_workers`` others are ready; kill the overdue."""
        self._take_stock(now)
        staying = sorted((w for w in self._crew.values() if w.pid not in self._leaving), key=lambda worker: worker.age)
        old = [worker for worker in staying if worker.age <= self._old_age]
        one_leaves = any(reason in _LIMITS for reason, _ in self._leaving.values())
        due = [] if old or one_leaves else [w for w in staying if w.booted and w.board.status is Status.DUE][:1]
        keep = [worker for worker in staying if worker not in old and worker not in due]
        ready = [worker for worker in keep if worker.booted]
        enough = len(ready) >= self.num_workers
        for worker in self._replaced(old, ready):
            self._dismiss(worker, Reason.reload)
        for worker in due if enough else []:
            self._dismiss(worker, worker.board.limit)
        for worker in ready[: max(0, len(ready) - self.num_workers)]:
            self._dismiss(worker, Reason.scale)
        if now - self._failed_at >= self._pause():
            self._spawn(min(self.num_workers - len(keep), self._room(old)))
        for pid, (reason, since) in self._leaving.items():
            if now - since > self.cfg.graceful_timeout:
                self.log.error("handover: worker %d is killed: it did not leave (%s) in time", pid, reason.name)
                self.kill_worker(pid, signal.SIGKILL)

    def _send_gauges(self) -> None:
        """Log what gunicorn's own arbiter logs here: ``statsd_host`` makes gauges of these lines."""
        count = len(self._crew)
        if count != self._counted:
            self._counted = count
            gauge = {"metric": "gunicorn.workers", "value": count, "mtype": "gauge"}
            self.log.debug("%d workers", count, extra=gauge)
        if getattr(self.cfg, "enable_backlog_metric", False):
            waiting = sum(listener.get_backlog() or 0 for listener in self.LISTENERS)
            if waiting >= 0:  # -1 where the system does not tell
                gauge = {"metric": "gunicorn.backlog", "value": waiting, "mtype": "histogram"}
                self.log.debug("socket backlog: %d", waiting, extra=gauge)

    def _replaced(self, old: list[HandoverWorker], ready: list[HandoverWorker]) -> list[HandoverWorker]:
        """Return the workers of the old generation that are no longer needed, and those that never got ready.

        A reload with room for a whole second generation waits for all of it; else each new worker replaces an old one.
        """
        useless = [worker for worker in old if not worker.booted]
        serving = [worker for worker in old if worker.booted]
        missing, surge = max(0, self.num_workers - len(ready)), HandoverWorker.options.reload_surge
        if missing and surge is None:
            return useless
        needed = self.num_workers if missing and surge is not None and surge >= self.num_workers else missing
        return useless + serving[: max(0, len(serving) - needed)]

    def _room(self, old: list[HandoverWorker]) -> int:
        """Return how many processes may be added; there is a limit only for a reload."""
        return self._reload_room() if old else self.num_workers

    def _reload_room(self) -> int:
        surge = HandoverWorker.options.reload_surge
        return self.num_workers if surge is None else self.num_workers + max(1, surge) - len(self.WORKERS)

    def _spawn(self, count: int) -> None:
        for _ in range(count):
            if not self.spawn_worker():
                break

    def _take_stock(self, now: float) -> None:
        """Compare the processes with those of the last look: which are ready, which are gone and how."""
        present = dict(self.WORKERS)
        for pid in self._crew.keys() - present.keys():
            worker, (reason, since) = self._crew[pid], self._leaving.pop(pid, (None, now))
            if reason is not None:
                self.log.info("handover: worker %d gone (%s) %.1f s after the order", pid, reason.name, now - since)
            elif worker.board.status is Status.BOOTING:
                self._boot_failed(f"worker {pid} could not boot", now, worker.board.cause)
            worker.board.close()
        for pid, worker in present.items():
            status = worker.board.status
            if status is not Status.BOOTING and not worker.booted:
                worker.booted = True  # of the arbiter's copy
                self.log.info("handover: worker %d is ready", pid)
                self._boot_failures, HandoverWorker.may_halt = 0, False
            if status is Status.LEAVING and pid not in self._leaving:
                self._leaving[pid] = (worker.board.order, now)
            worker.board.failed_boots, worker.board.killed = self._boot_failures, len(self._killed)
            if self._stop_at is not None:
                worker.board.order = Reason.stop
        self._crew = present

    def _serving(self) -> int:
        return sum(1 for worker in list(self.WORKERS.values()) if worker.board.status is not Status.BOOTING)

    def _may_halt(self) -> bool:
        return bool(HandoverWorker.may_halt and not self._serving())

    def _pause(self) -> float:
        """Seconds from a failed boot to the next try: longer with each, short when no worker serves."""
        longest = _LONGEST_PAUSE_SECONDS if self._serving() else 1.0
        return min(longest, 0.5 * 2**self._boot_failures) if self._boot_failures else 0.0

    def _boot_failed(self, what: str, now: float, cause: str) -> None:
        self._boot_failures, self._failed_at = min(self._boot_failures + 1, 999), now
        self.log.error(
            "handover: %s (failure %d in a row): %d workers keep serving, next try in %.0f s; cause: %s",
            *(what, self._boot_failures, self._serving(), self._pause(), cause or "unknown, see the log above"),
        )

    # ----------------------------------------------------------------------------------------------------- processes
    def _dismiss(self, worker: HandoverWorker, reason: Reason) -> None:
        worker.board.order = reason
        self.log.info("handover: worker %d may leave (%s)", worker.pid, reason.name)
        self.kill_worker(worker.pid, signal.SIGTERM)
        self._leaving[worker.pid] = (reason, time.monotonic())  # not before it has been told: the next look would not

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal; one that ends a worker is written down first, for a worker that has no handlers yet."""
        if sig in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT} and pid in self.WORKERS:
            self.WORKERS[pid].board.request_drain()
        if sig in {signal.SIGABRT, signal.SIGKILL} and pid in self.WORKERS:
            self._killed.add(pid)
        super().kill_worker(pid, sig)

    def spawn_worker(self) -> int:
        """Fork a worker and return its process id; 0 if that failed, which counts as a failed boot.

        Raises:
            HaltServer: it failed, and no worker has ever been ready.
        """
        if self._reloading:
            raise _ConfigurationRead
        try:
            return self._fork()
        except Exception as error:
            if os.getpid() != self.pid:
                raise
            if self._may_halt():
                reason = f"a worker could not be created: {_cause(error)}"
                raise HaltServer(reason, self.WORKER_BOOT_ERROR) from None
            self._boot_failed("a worker could not be created", time.monotonic(), _cause(error))
            return 0

    def _fork(self) -> int:
        """Fork a worker and remember it, so that even one that dies before the next look is accounted for."""
        mask = os.umask(0o077)
        os.umask(mask)
        try:
            pid: int = super().spawn_worker()
        except Exception:
            os.umask(mask)  # gunicorn leaves its own behind when it cannot create the worker's temporary file
            raise
        if pid in self.WORKERS:
            self._crew[pid] = self.WORKERS[pid]
        else:  # gunicorn before 23 reaps in the signal handler
            self._boot_failed(f"worker {pid} could not boot", time.monotonic(), "")
        return pid

    def reap_workers(self) -> None:
        """Collect ended workers; a boot or a hook that fails does not halt gunicorn while another worker serves."""
        while True:
            before = dict(self.WORKERS)
            try:
                super().reap_workers()
            except HaltServer:
                if self._may_halt():
                    raise
                self._forget(before)
            except Exception:
                if self._may_halt():
                    raise
                self.log.exception("handover: a hook failed when a worker had ended")
            else:
                return

    def _forget(self, before: dict[int, HandoverWorker]) -> None:
        """Do for a worker that could not boot what gunicorn does for all others, which it stops for this one."""
        for pid, worker in before.items():
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                self.WORKERS.pop(pid, None)  # gunicorn before 23 has not done that yet
            else:
                continue
            try:
                worker.tmp.fileno()
            except ValueError:
                continue  # closed: gunicorn has done the rest
            worker.tmp.close()
            try:
                self.cfg.child_exit(self, worker)
            except Exception:
                self.log.exception("handover: the child_exit hook failed")

    # -------------------------------------------------------------------------------------------------------- reload
    def setup(self, app: Any) -> None:
        """Apply a configuration.

        Raises:
            SystemExit: its workers cannot hand over; ``reload`` then goes back to the one before.
            RuntimeError: ``check_config`` refuses it, which gunicorn asks at its start only.
        """
        super().setup(app)
        if not issubclass(self.worker_class, HandoverWorker):
            msg = "handover: a reload cannot change worker_class: restart gunicorn instead"
            raise SystemExit(msg)
        self.worker_class.check_config(self.cfg, self.log)

    def reload(self) -> None:
        """SIGHUP: fork a new generation beside the old one, at most ``reload_surge`` workers more than configured.

        A configuration that fails until its first worker is forked, in whatever way, changes nothing.
        """
        before = _Before(self)
        try:
            before.keep()
            self._reloading, self._old_age, self._boot_failures = True, self.worker_age, 0
            with contextlib.suppress(_ConfigurationRead):
                super().reload()
            self._reloading = False
            if self.num_workers and self._reload_room() > 0:
                HandoverWorker.not_inherited[:] = before.listeners
                self._fork()
        except (Exception, SystemExit) as error:
            if os.getpid() != self.pid:
                raise  # the end of a worker, which runs inside this call
            before.restore()
            trace = not isinstance(error, (SystemExit, OSError, RuntimeError))  # the others say it all in one line
            message = "handover: reload refused, the old configuration stays in force: %s"
            self.log.error(message, _cause(error) if trace else error, exc_info=trace)  # noqa: TRY400
        else:
            before.forget()
        finally:
            self._reloading = False
            HandoverWorker.not_inherited.clear()
        self.manage_workers()

    # ------------------------------------------------------------------------------------------------ other signals
    def handle_ttin(self) -> None:
        """SIGTTIN: one worker more."""
        self._survive(super().handle_ttin)

    def handle_ttou(self) -> None:
        """SIGTTOU: one worker less."""
        self._survive(super().handle_ttou)

    def handle_usr1(self) -> None:
        """SIGUSR1: open the log files again."""
        self._survive(super().handle_usr1)

    def reexec(self) -> None:
        """SIGUSR2: start another master; one that cannot be started costs the present one nothing."""
        try:
            super().reexec()
        except BaseException as error:
            if os.getpid() != self.pid:  # the other master: it must not go on as this one and stop its workers
                self.log.error("handover: the new master cannot be started: %s", _cause(error))  # noqa: TRY400
                os._exit(1)
            if not isinstance(error, OSError):
                raise
            self.log.error("handover: the new master cannot be created: %s", _cause(error))  # noqa: TRY400

    def _survive(self, act: Callable[[], None]) -> None:
        """Do what a signal asks for; what fails is logged, unless no worker was ever ready."""
        try:
            act()
        except (StopIteration, HaltServer):
            raise
        except Exception:
            if os.getpid() != self.pid or self._may_halt():
                raise
            self.log.exception("handover: a signal could not be handled")

    # ---------------------------------------------------------------------------------------------------------- stop
    def handle_term(self) -> None:
        """SIGTERM: stop, after ``stop_delay`` seconds in which workers accept while readiness says 503."""
        delay = HandoverWorker.options.stop_delay
        if not delay:
            raise StopIteration
        if self._stop_at is None:
            self._stop_at = time.monotonic() + delay
            self.log.info("handover: readiness says 503 from now on; workers drain in %d s", delay)

    def stop(self, graceful: bool = True) -> None:
        """Tell the workers why they drain, then stop as gunicorn does.

        gunicorn raises ``HaltServer`` out of this for a second worker that could not boot: it stops already. One that
        has ended together with the first is collected here: gunicorn before 23 would wait for it until the timeout.
        """
        for worker in list(self.WORKERS.values()):
            worker.board.order = Reason.stop
        stopped = False
        while not stopped:
            with contextlib.suppress(HaltServer):
                self.reap_workers()
                super().stop(graceful)
                stopped = True

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop and exit; the last line of the log says why the workers could not boot."""
        causes = [worker.board.cause for worker in self._crew.values() if exit_status]
        cause = next(filter(None, causes), "")
        super().halt(f"{reason} {cause}" if reason and cause else reason, exit_status)


class _Before:
    """What a reload goes back to when it is refused."""

    def __init__(self, arbiter: HandoverArbiter) -> None:
        self._arbiter = arbiter
        self._state = (arbiter.app.cfg, arbiter.num_workers, arbiter.pidfile, arbiter.LISTENERS)
        self._generation = (arbiter._old_age, arbiter._boot_failures)  # noqa: SLF001
        self._options = HandoverWorker.options
        self._modules: dict[str, ModuleType] = {}
        self.listeners: list[Any] = []
        """Copies of the sockets, in case the reload closes them."""

    def keep(self) -> None:
        """Copy the listeners, and have the modules of the configuration run again when they are imported next.

        Python would hand out the cached module of ``-c python:NAME``; ``gunicorn_conf`` may be what a file imports.
        """
        self.listeners += [listener.sock.dup() for listener in self._arbiter.LISTENERS]
        names = {"gunicorn_conf", "no502.gunicorn", str(self._arbiter.cfg.config).removeprefix("python:")}
        self._modules = {name: sys.modules.pop(name) for name in names if name in sys.modules}

    def forget(self) -> None:
        """The reload cannot be refused any more."""
        while self.listeners:
            self.listeners.pop().close()

    def restore(self) -> None:
        """Go back, step by step; a step that fails is logged and the next one taken."""
        arbiter = self._arbiter
        cfg, workers, pidfile, listeners = self._state
        sys.modules.update(self._modules)
        HandoverWorker.options = self._options
        arbiter.app.cfg, arbiter.LISTENERS = cfg, listeners
        arbiter._old_age, arbiter._boot_failures = self._generation  # noqa: SLF001
        self._step(self._restore_listeners)
        self._step(lambda: arbiter.setup(arbiter.app))
        self._step(lambda: setattr(arbiter, "num_workers", workers))
        if arbiter.pidfile is not pidfile:
            arbiter.pidfile = pidfile
            if pidfile is not None:
                self._step(lambda: pidfile.create(arbiter.pid))

    def _restore_listeners(self) -> None:
        for listener, kept in zip(self._arbiter.LISTENERS, self.listeners, strict=False):
            if listener.sock is None:
                kept.set_inheritable(True)  # for SIGUSR2
                kept.setblocking(False)
                listener.sock = kept
            else:
                kept.close()
        self.listeners.clear()

    def _step(self, step: Any) -> None:
        try:
            step()
        except (Exception, SystemExit):
            self._arbiter.log.exception("handover: going back to the old configuration failed in part")


def _cause(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
