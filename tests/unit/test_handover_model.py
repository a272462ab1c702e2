"""The protocol against everything that may happen to processes: the real decisions, with workers that are faked.

Hypothesis boots, fails, stalls, drains and kills workers in any order, and reloads and scales meanwhile. After each
step no ready worker may have been told to drain unless enough others were ready. In the end, once nothing more goes
wrong, the configured number of workers of the newest generation has to be ready, and nothing else to be left.

Each mutation below puts a defect into the decisions; the model has to find it.
"""

import errno
import logging
import os
import signal
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from gunicorn.arbiter import Arbiter
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import gunicorn_arbiter
from gunicorn_arbiter import HandoverArbiter
from gunicorn_handover import Board, HandoverWorker, Options, Reason, Status

_GRACEFUL = 60
_QUIET = logging.getLogger("model")
_QUIET.disabled = True


class _Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class _Arbiter(HandoverArbiter):
    """The real decisions; ``_fork`` and the signals only change a table."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.pid = os.getpid()
        self.log = _QUIET
        self.cfg = SimpleNamespace(graceful_timeout=_GRACEFUL, config="model", child_exit=lambda *_: None)
        self.app = SimpleNamespace(cfg=self.cfg)
        self.pidfile = None
        self.LISTENERS: list[Any] = []
        self.WORKERS = {}
        self.worker_age = 0
        self._num_workers = 2
        self._crew, self._leaving, self._killed = {}, {}, set()
        self.forks_fail = False
        self.refuses = False
        self.told: set[int] = set()
        self.broken: list[str] = []

    def setup(self, app: Any) -> None: ...

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

    def kill_worker(self, pid: int, sig: int) -> None:
        if sig == signal.SIGKILL:
            del self.WORKERS[pid]
            return
        assert sig == signal.SIGTERM
        ready_before = self._is_ready(pid)
        self.told.add(pid)
        others = [other for other in self.WORKERS if other not in self.told and self._is_ready(other)]
        if ready_before and len(others) < self.num_workers:
            self.broken.append(f"worker {pid} was told to drain with {len(others)} others of {self.num_workers} ready")

    def _is_ready(self, pid: int) -> bool:
        return self.WORKERS[pid].board.status in {Status.SERVING, Status.DUE}


class Model(RuleBasedStateMachine):
    """What may happen."""

    arbiter_class: ClassVar[type[_Arbiter]] = _Arbiter

    def __init__(self) -> None:
        super().__init__()
        module: Any = gunicorn_arbiter
        self._before = (module.time, Arbiter.reload, HandoverWorker.may_halt, HandoverWorker.options)
        self.clock = _Clock()
        module.time = self.clock
        Arbiter.reload = _read_configuration
        HandoverWorker.may_halt, HandoverWorker.options = True, Options()
        self.arbiter = self.arbiter_class(self.clock)
        self.arbiter.manage_workers()
        self._all_boot()
        self.arbiter.manage_workers()

    def teardown(self) -> None:
        """Nothing more goes wrong: everything has to settle."""
        try:
            self.arbiter.forks_fail = self.arbiter.refuses = False
            for _ in range(400):
                self._all_boot()
                for pid in [*self.arbiter.WORKERS]:
                    if pid in self.arbiter.told and pid not in self.stalled:
                        self._gone(pid)
                self.clock.now += 1
                self.arbiter.manage_workers()
            statuses = [worker.board.status for worker in self.arbiter.WORKERS.values()]
            assert statuses == [Status.SERVING] * self.arbiter.num_workers
            assert all(worker.age > self.arbiter._old_age for worker in self.arbiter.WORKERS.values())
            assert self.arbiter._leaving == {}
        finally:
            module: Any = gunicorn_arbiter
            module.time, Arbiter.reload, HandoverWorker.may_halt, HandoverWorker.options = self._before

    @property
    def stalled(self) -> set[int]:
        """Workers that do not react to SIGTERM any more."""
        return self.__dict__.setdefault("_stalled", set())  # type: ignore[no-any-return]

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
        return data.draw(st.sampled_from(workers)) if workers else None

    @rule(data=st.data())
    def boots(self, data: st.DataObject) -> None:
        """A worker gets ready."""
        if worker := self._one(data, Status.BOOTING, told=False):
            worker.board.status = Status.SERVING

    @rule(data=st.data())
    def fails_to_boot(self, data: st.DataObject) -> None:
        """A worker ends before it is ready."""
        if worker := self._one(data, Status.BOOTING):
            self._gone(worker.pid)

    @rule(
        data=st.data(),
        limit=st.sampled_from([Reason.max_requests, Reason.max_memory, Reason.max_lifetime, Reason.requested]),
    )
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

    @rule(seconds=st.sampled_from([0, 1, 5, 31, 61]))
    def looks(self, seconds: int) -> None:
        """Time passes, and the arbiter looks at its workers."""
        self.clock.now += seconds
        self.arbiter.manage_workers()

    @rule(surge=st.sampled_from([None, 1, 2]), refused=st.booleans())
    def reloads(self, surge: int | None, refused: bool) -> None:
        """SIGHUP, with a configuration that is good or not."""
        self.arbiter.refuses = refused
        if not refused:
            HandoverWorker.options = Options(reload_surge=surge)
        self.arbiter.reload()

    @rule(more=st.booleans())
    def scales(self, more: bool) -> None:
        """SIGTTIN or SIGTTOU."""
        self.arbiter._num_workers = min(4, max(1, self.arbiter.num_workers + (1 if more else -1)))
        self.arbiter.manage_workers()

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


def _read_configuration(arbiter: _Arbiter) -> None:
    if arbiter.refuses:
        message = "a bad configuration"
        raise SystemExit(message)
    arbiter.spawn_worker()


def _run(model: type[Model], *, examples: int, phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink)) -> None:
    run_state_machine_as_test(
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
        if self.refuses:
            self._old_age = self.worker_age


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
    _ReadyIsWhateverRuns,
    _DrainingWorkersCount,
    _OverdueWorkersStay,
    _DueWorkersLeaveAtOnce,
]


@pytest.mark.parametrize("mutation", _MUTATIONS, ids=lambda mutation: mutation.__name__.lstrip("_"))
def test_a_defect_is_found(mutation: type[_Arbiter]) -> None:
    """Each defect that is put into the decisions is found."""
    mutant = type("Mutant", (Model,), {"arbiter_class": mutation})
    with pytest.raises((AssertionError, OSError)):
        _run(mutant, examples=300, phases=(Phase.generate,))
