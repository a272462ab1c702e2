"""The protocol against everything that may happen to processes: the real decisions, with workers that are faked.

Hypothesis boots, fails, stalls, blocks, drains and kills workers in any order, from the first boot on; it reloads,
scales and stops meanwhile. After each step no ready worker may have been told to drain unless enough others were ready;
every listener is open; a refused reload has changed nothing; gunicorn has stopped by itself only while no worker
was ever ready. In the end, once nothing more goes wrong, the configured number of workers of the newest generation has
to be ready, and nothing else to be left. After a stop all have been told.

Each mutation below puts a defect into the decisions; the model has to find it.
"""

import errno
import os
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_model

import gunicorn_arbiter
from gunicorn_arbiter import HandoverArbiter
from gunicorn_handover import Board, HandoverWorker, Options, Reason, Status

_GRACEFUL = 60


class _Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class _Log:
    """Remembers whether a reload was refused."""

    refused = False

    def error(self, message: str, *_: object, **__: object) -> None:
        self.refused = self.refused or message.startswith("handover: reload refused")

    def info(self, *_: object) -> None: ...

    def debug(self, *_: object, **__: object) -> None: ...

    def exception(self, *_: object) -> None: ...


class _Socket:
    closed = False

    def dup(self) -> "_Socket":
        return _Socket()

    def close(self) -> None:
        self.closed = True

    def set_inheritable(self, value: bool) -> None: ...

    def setblocking(self, value: bool) -> None: ...


class _Listener:
    def __init__(self) -> None:
        self.sock: _Socket | None = _Socket()

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
        self.sock = None


def _configuration(workers: int) -> SimpleNamespace:
    return SimpleNamespace(
        graceful_timeout=_GRACEFUL, config="model", workers=workers, nworkers_changed=lambda *_: None
    )


class _Arbiter(HandoverArbiter):
    """The real decisions; ``_fork`` and the signals only change a table."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.pid = os.getpid()
        self.log = _Log()
        self.cfg = _configuration(2)
        self.app = SimpleNamespace(cfg=self.cfg)
        self.pidfile = None
        self.LISTENERS: list[Any] = [_Listener()]
        self.WORKERS = {}
        self.worker_age = 0
        self._num_workers = 2
        self._crew, self._leaving, self._killed = {}, {}, set()
        self.forks_fail = False
        self.new: Callable[[], None] = lambda: None  # what a reload reads
        self.before_reload: Any = None
        self.not_booted: set[int] = set()  # workers that have ended, but were not collected
        self.stopping = False
        self.told: set[int] = set()
        self.killed: set[int] = set()
        self.broken: list[str] = []

    def setup(self, app: Any) -> None:
        self.cfg, self._num_workers = app.cfg, app.cfg.workers

    def processes(self) -> Any:
        """Return what a refused reload leaves alone until the next look."""
        return (sorted(self.WORKERS), sorted(self.told), self._boot_failures)

    def configuration(self) -> Any:
        """Return what a refused reload leaves alone."""
        return (self._old_age, self.num_workers, HandoverWorker.options, id(self.cfg), [*map(id, self.LISTENERS)])

    def manage_workers(self) -> None:
        if self.before_reload is not None and self.log.refused and self.before_reload != self.processes():
            self.broken.append("a refused reload has changed the processes")
        self.before_reload = None
        super().manage_workers()

    def _fork(self) -> int:
        if self.forks_fail:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        surge = HandoverWorker.options.reload_surge
        old = [pid for pid, worker in self.WORKERS.items() if worker.age <= self._old_age and pid not in self.told]
        if old and surge is not None and len(self.WORKERS) >= self.num_workers + surge:
            self.broken.append("more processes than a reload may have")
        self.worker_age += 1
        worker: Any = SimpleNamespace(pid=self.worker_age, age=self.worker_age, board=Board(), booted=False)
        self.WORKERS[worker.pid] = self._crew[worker.pid] = worker
        return int(worker.pid)

    def _forget(self, before: dict[int, Any]) -> None: ...

    def deliver(self, pid: int, sig: int) -> None:
        """Do what a signal does to a worker."""
        if sig in {signal.SIGKILL, signal.SIGABRT}:
            del self.WORKERS[pid]
            self.killed.add(pid)
            return
        assert sig == signal.SIGTERM
        ready_before = self.is_ready(pid)
        self.told.add(pid)
        others = [other for other in self.WORKERS if other not in self.told and self.is_ready(other)]
        if ready_before and len(others) < self.num_workers and not self.stopping:
            self.broken.append(f"worker {pid} was told to drain with {len(others)} others of {self.num_workers} ready")

    def collect(self) -> None:
        """Do what gunicorn does for a worker that has ended: halt, if it could not boot."""
        for pid in [*self.not_booted]:
            self.not_booted.remove(pid)
            del self.WORKERS[pid]
            message = "Worker failed to boot."
            raise HaltServer(message, self.WORKER_BOOT_ERROR)

    def stop_all(self, graceful: bool) -> None:
        """Do what gunicorn does at a stop."""
        assert graceful
        self.stopping = True
        for pid in [*self.WORKERS]:
            self.kill_worker(pid, signal.SIGTERM)

    def is_ready(self, pid: int) -> bool:
        return self.WORKERS[pid].board.status in {Status.SERVING, Status.DUE}


_FAKES: dict[str, Any] = {
    "reload": lambda arbiter: arbiter.new() or arbiter.spawn_worker(),
    "kill_worker": _Arbiter.deliver,
    "reap_workers": _Arbiter.collect,
    "stop": _Arbiter.stop_all,
}
"""gunicorn's half, by the name of the method."""


class Model(RuleBasedStateMachine):
    """What may happen."""

    arbiter_class: ClassVar[type[_Arbiter]] = _Arbiter

    def __init__(self) -> None:
        super().__init__()
        module: Any = gunicorn_arbiter
        self._before = (module.time, HandoverWorker.may_halt, HandoverWorker.options)
        self._gunicorn = {name: getattr(Arbiter, name) for name in _FAKES}
        for name, fake in _FAKES.items():
            setattr(Arbiter, name, fake)
        self.clock = _Clock()
        module.time = self.clock
        HandoverWorker.may_halt, HandoverWorker.options = True, Options()
        self.stalled: set[int] = set()  # workers that do not react to SIGTERM any more
        self.was_ready = False  # when the arbiter looked
        self.ended = ""
        self.arbiter = self.arbiter_class(self.clock)
        self._look()

    @initialize(ready=st.booleans())
    def begins(self, ready: bool) -> None:
        """The first workers are ready, or boot."""
        if ready:
            self._all_boot()
            self._look()

    def teardown(self) -> None:
        """Nothing more goes wrong: everything has to settle."""
        try:
            self.arbiter.forks_fail = False
            for _ in range(0 if self.ended else 400):
                self._all_boot()
                for pid in [*self.arbiter.WORKERS]:
                    if pid in self.arbiter.told and pid not in self.stalled:
                        self._gone(pid)
                self.clock.now += 1
                self._look()
            if self.ended == "halted":
                return
            if self.ended or self.arbiter._stop_at is not None:
                assert self.ended == "stopped"
                assert self.arbiter.told >= self.arbiter.WORKERS.keys()
                assert {worker.board.order for worker in self.arbiter.WORKERS.values()} <= {Reason.stop}
                return
            statuses = [worker.board.status for worker in self.arbiter.WORKERS.values()]
            assert statuses == [Status.SERVING] * self.arbiter.num_workers
            assert all(worker.age > self.arbiter._old_age for worker in self.arbiter.WORKERS.values())
            assert self.arbiter._leaving == {}
        finally:
            module: Any = gunicorn_arbiter
            module.time, HandoverWorker.may_halt, HandoverWorker.options = self._before
            for name, method in self._gunicorn.items():
                setattr(Arbiter, name, method)

    def _all_boot(self) -> None:
        for worker in self.arbiter.WORKERS.values():
            if worker.board.status is Status.BOOTING and worker.pid not in self.arbiter.told:
                worker.board.status = Status.SERVING

    def _gone(self, pid: int) -> None:
        self.arbiter.WORKERS.pop(pid)

    def _one(self, data: st.DataObject, *statuses: Status, told: bool | None = None) -> Any:
        workers = [
            worker
            for worker in self.arbiter.WORKERS.values()
            if worker.board.status in statuses and (told is None or told == (worker.pid in self.arbiter.told))
        ]
        return data.draw(st.sampled_from(workers)) if workers and not self.ended else None

    def _act(self, act: Callable[[], None]) -> None:
        """Do what the master does, and end as it does."""
        if self.ended:
            return
        try:
            act()
        except HaltServer:
            serving = [pid for pid in self.arbiter.WORKERS if self.arbiter.is_ready(pid)]
            assert serving == []
            assert not self.was_ready
            self.ended = "halted"
        except StopIteration:
            self.ended = "stopped"
            self.arbiter.stop()

    def _look(self) -> None:
        known = {pid: worker for pid, worker in self.arbiter.WORKERS.items() if pid not in self.arbiter.told}
        ready = any(self.arbiter.is_ready(pid) for pid in self.arbiter.WORKERS)
        self._act(self.arbiter.manage_workers)
        self.was_ready = self.was_ready or ready
        if self.arbiter._stop_at is not None and not self.ended:
            orders = {worker.board.order for pid, worker in known.items() if pid not in self.arbiter.told}
            assert orders <= {Reason.stop}

    @rule(data=st.data())
    def boots(self, data: st.DataObject) -> None:
        """A worker gets ready."""
        if worker := self._one(data, Status.BOOTING, told=False):
            worker.board.status = Status.SERVING

    @rule(data=st.data())
    def fails_to_boot(self, data: st.DataObject) -> None:
        """A worker ends before it is ready."""
        if worker := self._one(data, Status.BOOTING):
            self.arbiter.not_booted.add(worker.pid)
            self._act(self.arbiter.reap_workers)

    @rule(data=st.data(), limit=st.sampled_from([Reason.max_requests, Reason.max_memory, Reason.max_lifetime]))
    def is_due(self, data: st.DataObject, limit: Reason) -> None:
        """A worker reaches a limit."""
        if worker := self._one(data, Status.SERVING, told=False):
            worker.board.limit, worker.board.status = limit, Status.DUE

    @rule(data=st.data())
    def drains(self, data: st.DataObject) -> None:
        """A worker that was told to begins to drain."""
        if worker := self._one(data, Status.SERVING, Status.DUE, told=True):
            worker.board.status = Status.LEAVING

    @rule(data=st.data())
    def drains_by_itself(self, data: st.DataObject) -> None:
        """An operator's SIGTERM goes to a worker directly."""
        if worker := self._one(data, Status.SERVING, told=False):
            self.arbiter.told.add(worker.pid)
            worker.board.status = Status.LEAVING

    @rule(data=st.data())
    def stalls(self, data: st.DataObject) -> None:
        """A worker that was told to drain never ends by itself."""
        if worker := self._one(data, *Status, told=True):
            self.stalled.add(worker.pid)

    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        """A draining worker ends."""
        if worker := self._one(data, Status.LEAVING):
            self._gone(worker.pid)

    @rule(data=st.data())
    def is_killed(self, data: st.DataObject) -> None:
        """Any worker dies at any time."""
        if worker := self._one(data, *Status):
            self._gone(worker.pid)

    @rule(data=st.data())
    def passes_its_timeout(self, data: st.DataObject) -> None:
        """gunicorn ends a worker whose event loop is blocked; the others learn that it did."""
        if worker := self._one(data, *Status):
            self.arbiter.kill_worker(worker.pid, signal.SIGABRT)
            count, others = len(self.arbiter.killed), [*self.arbiter.WORKERS.values()]
            self._look()
            present = [other for other in others if other.pid in self.arbiter.WORKERS]
            assert self.ended or {other.board.killed for other in present} <= {count}

    @rule(seconds=st.sampled_from([0, 1, 5, 31, 61]))
    def looks(self, seconds: int) -> None:
        """Time passes, and the arbiter looks at its workers."""
        self.clock.now += seconds
        self._look()

    @rule(
        surge=st.sampled_from([None, 1, 2]),
        workers=st.integers(1, 3),
        moves=st.booleans(),
        refused=st.sampled_from(["", "early", "late"]),
    )
    def reloads(self, surge: int | None, workers: int, moves: bool, refused: str) -> None:
        """SIGHUP, with a configuration that is good or not, perhaps for another address."""
        arbiter = self.arbiter

        def read() -> None:
            if refused == "early":
                raise SystemExit(refused)
            arbiter.app.cfg = _configuration(workers)
            arbiter.setup(arbiter.app)
            if moves:
                for listener in arbiter.LISTENERS:
                    listener.close()
                arbiter.LISTENERS = [_Listener()]
            HandoverWorker.options = Options(reload_surge=surge)
            if refused:
                raise SystemExit(refused)

        arbiter.new, arbiter.log.refused = read, False
        arbiter.before_reload, configuration = arbiter.processes(), arbiter.configuration()
        self._act(arbiter.reload)
        if arbiter.log.refused:
            assert arbiter.configuration() == configuration

    @rule(more=st.booleans())
    def scales(self, more: bool) -> None:
        """SIGTTIN or SIGTTOU."""
        self.arbiter._num_workers = min(4, max(1, self.arbiter.num_workers + (1 if more else -1)))
        self._look()

    @rule(delay=st.sampled_from([0, 5]))
    def stops(self, delay: int) -> None:
        """SIGTERM, with or without a stop delay."""
        HandoverWorker.options = Options(reload_surge=HandoverWorker.options.reload_surge, stop_delay=delay)
        self._act(self.arbiter.handle_term)

    @rule()
    def forks_begin_to_fail(self) -> None:
        """A process limit is reached."""
        self.arbiter.forks_fail = True

    @precondition(lambda self: self.arbiter.forks_fail)
    @rule()
    def forks_work_again(self) -> None:
        """The limit is lifted."""
        self.arbiter.forks_fail = False

    @invariant()
    def nothing_was_broken(self) -> None:
        """No promise was broken in the last step."""
        assert self.arbiter.broken == []

    @invariant()
    def listeners_are_open(self) -> None:
        """New workers can listen."""
        assert [listener for listener in self.arbiter.LISTENERS if listener.sock is None or listener.sock.closed] == []


def _run(model: type[Model], *, examples: int, phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink)) -> None:
    run_model(
        model,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=[*HealthCheck],
            phases=phases,
            report_multiple_bugs=False,
        ),
    )


def test_no_sequence_of_events_breaks_the_protocol() -> None:
    """However processes behave, no ready worker is given up too early, and everything settles in the end."""
    _run(Model, examples=100)


class _ForkFailureEscapes(_Arbiter):
    def spawn_worker(self) -> int:
        return self._fork()


class _OldLeaveAtOnce(_Arbiter):
    def _replaced(self, old: list[Any], ready: list[Any]) -> list[Any]:  # noqa: ARG002
        return old


class _OldLeaveWithTheFirstNew(_Arbiter):
    def _replaced(self, old: list[Any], ready: list[Any]) -> list[Any]:
        return old if ready else []


class _ReloadIgnoresItsSurge(_Arbiter):
    def _room(self, old: list[Any]) -> int:  # noqa: ARG002
        return self.num_workers


class _OneFailedBootIsTheLast(_Arbiter):
    def _pause(self) -> float:
        return 1e9 if self._boot_failures else 0.0


class _FailedBootsAreForgotten(_Arbiter):
    def _take_stock(self, now: float) -> None:
        self._crew = {pid: worker for pid, worker in self._crew.items() if pid in self.WORKERS}
        super()._take_stock(now)
        self._boot_failures = 0 if not self._boot_failures else 60


class _ReadyIsWhateverRuns(_Arbiter):
    def _take_stock(self, now: float) -> None:
        super()._take_stock(now)
        for worker in self._crew.values():
            worker.booted = True


class _DrainingWorkersCount(_Arbiter):
    def _take_stock(self, now: float) -> None:
        super()._take_stock(now)
        self._leaving = {pid: value for pid, value in self._leaving.items() if value[0] is Reason.reload}


class _OverdueWorkersStay(_Arbiter):
    def kill_worker(self, pid: int, sig: int) -> None:
        if sig != signal.SIGKILL:
            super().kill_worker(pid, sig)


class _RefusedReloadForgetsWhichAreOld(_Arbiter):
    def reload(self) -> None:
        super().reload()
        if self.log.refused:
            self._old_age = self.worker_age


class _RefusedReloadEndsTheBackOff(_Arbiter):
    def setup(self, app: Any) -> None:
        super().setup(app)
        self._boot_failures = 0


class _ListenersAreGivenAwayEarly(_Arbiter):
    def _fork(self) -> int:
        for kept in HandoverWorker.not_inherited:
            kept.close()
        return super()._fork()


class _AnyFailedBootHalts(_Arbiter):
    def _may_halt(self) -> bool:
        return True


class _StopDelayNeverEnds(_Arbiter):
    def handle_term(self) -> None:
        self._stop_at = self.clock.now + 1e9


class _StopDelayIsNotSaid(_Arbiter):
    def _take_stock(self, now: float) -> None:
        self._stop_at, kept = None, self._stop_at
        super()._take_stock(now)
        self._stop_at = kept


class _StopHasNoReason(_Arbiter):
    def stop(self, graceful: bool = True) -> None:
        Arbiter.stop(self, graceful)


class _KillsAreNotCounted(_Arbiter):
    def kill_worker(self, pid: int, sig: int) -> None:
        Arbiter.kill_worker(self, pid, sig)


class _DueWorkersLeaveAtOnce(_Arbiter):
    def _look(self, now: float) -> None:
        super()._look(now)
        for worker in [*self._crew.values()]:
            if worker.board.status is Status.DUE and worker.pid not in self._leaving:
                self._dismiss(worker, worker.board.limit)


_MUTATIONS = [
    _ForkFailureEscapes,
    _OldLeaveAtOnce,
    _OldLeaveWithTheFirstNew,
    _ReloadIgnoresItsSurge,
    _OneFailedBootIsTheLast,
    _FailedBootsAreForgotten,
    _ReadyIsWhateverRuns,
    _DrainingWorkersCount,
    _OverdueWorkersStay,
    _RefusedReloadForgetsWhichAreOld,
    _RefusedReloadEndsTheBackOff,
    _ListenersAreGivenAwayEarly,
    _AnyFailedBootHalts,
    _StopDelayNeverEnds,
    _StopDelayIsNotSaid,
    _StopHasNoReason,
    _KillsAreNotCounted,
    _DueWorkersLeaveAtOnce,
]


@pytest.mark.parametrize("mutation", _MUTATIONS, ids=lambda mutation: mutation.__name__.lstrip("_"))
def test_a_defect_is_found(mutation: type[_Arbiter]) -> None:
    """Each defect that is put into the decisions is found."""
    mutant = type("Mutant", (Model,), {"arbiter_class": mutation})
    with pytest.raises((AssertionError, OSError)):
        _run(mutant, examples=300, phases=(Phase.generate,))
