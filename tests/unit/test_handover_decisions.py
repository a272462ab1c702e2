"""What the arbiter's half decides, with workers that are not processes and a clock that no machine can slow down."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gunicorn_arbiter import HandoverArbiter
from gunicorn_handover import Board, HandoverWorker, Options, Reason, Status, _Server


class _Arbiter(HandoverArbiter):
    """An arbiter that notes what it would do to processes, and calls ``between`` right after it has taken stock."""

    def __init__(self, *statuses: Status, num_workers: int) -> None:
        self.cfg = SimpleNamespace(graceful_timeout=60)
        self.log = logging.getLogger("arbiter")
        self._num_workers = num_workers
        self.between: Callable[[], None] = lambda: None
        self.told: list[int] = []
        self.spawned = 0
        self.WORKERS: dict[int, Any] = {}
        self._crew, self._leaving, self._killed = {}, {}, set()
        for pid, status in enumerate(statuses, start=1):
            board = Board()
            board.status, board.limit = status, Reason.max_requests
            self.WORKERS[pid] = SimpleNamespace(pid=pid, age=pid, board=board, booted=False)

    def _take_stock(self, now: float) -> None:
        super()._take_stock(now)
        self.between()

    def kill_worker(self, pid: int, sig: int) -> None:
        assert sig == signal.SIGTERM
        self.told.append(pid)

    def spawn_worker(self) -> int:
        self.spawned += 1
        return 1000 + self.spawned


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking stock of the first ready worker changes the class."""
    monkeypatch.setattr(HandoverWorker, "may_halt", True)
    monkeypatch.setattr(HandoverWorker, "options", Options())


def _becomes(arbiter: _Arbiter, pid: int, status: Status) -> Callable[[], None]:
    def change() -> None:
        arbiter.WORKERS[pid].board.status = status

    return change


@pytest.mark.parametrize(
    ("age", "first", "reason"),
    [
        (1, Status.SERVING, Reason.reload),
        (0, Status.DUE, Reason.max_requests),
        (0, Status.SERVING, Reason.scale),
    ],
)
def test_replacement_that_gets_ready_during_the_look(age: int, first: Status, reason: Reason) -> None:
    """A replacement that gets ready after stock was taken counts from the next look on: no worker drains before."""
    arbiter = _Arbiter(first, Status.BOOTING, num_workers=1)
    arbiter._old_age = age
    arbiter.between = _becomes(arbiter, 2, Status.SERVING)
    arbiter.manage_workers()
    assert arbiter.told == []
    assert not arbiter.WORKERS[2].booted
    arbiter.manage_workers()
    assert arbiter.told == [1]
    assert arbiter.WORKERS[2].booted
    assert arbiter.WORKERS[1].board.order is reason


def test_worker_that_is_due_before_it_was_seen_ready() -> None:
    """A worker that gets ready and is due after stock was taken is not replaced before the next look."""
    arbiter = _Arbiter(Status.BOOTING, num_workers=1)
    arbiter.between = _becomes(arbiter, 1, Status.DUE)
    arbiter.manage_workers()
    assert arbiter.spawned == 0
    arbiter.manage_workers()
    assert arbiter.spawned == 1
    assert arbiter.told == []


def test_pause_is_short_when_no_worker_serves() -> None:
    """After failed boots the wait grows to half a minute while a worker serves; it is a second when none does."""
    arbiter = _Arbiter(Status.SERVING, num_workers=1)
    arbiter._boot_failures = 20
    assert arbiter._pause() == 30.0
    arbiter.WORKERS.clear()
    assert arbiter._pause() == 1.0


def test_second_term_does_not_begin_the_stop_delay_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both a stop delay's end and its announcement belong to the first SIGTERM."""
    arbiter = _Arbiter(Status.SERVING, num_workers=1)
    monkeypatch.setattr(HandoverWorker, "options", Options(stop_delay=10))
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    arbiter.handle_term()
    monkeypatch.setattr(time, "monotonic", lambda: 105.0)
    arbiter.handle_term()
    assert arbiter._stop_at == 110.0


def test_scaling_down_in_a_bounded_reload_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old workers beyond the configured number leave, or no new one could ever be forked within the surge."""
    monkeypatch.setattr(HandoverWorker, "options", Options(reload_surge=1))
    arbiter = _Arbiter(Status.SERVING, Status.SERVING, num_workers=1)
    arbiter._old_age = 2
    arbiter.manage_workers()
    assert arbiter.told == [1]


@pytest.mark.parametrize(("surge", "told"), [(None, []), (2, []), (1, [1])])
def test_old_workers_leave_when_they_are_not_needed(
    monkeypatch: pytest.MonkeyPatch, surge: int | None, told: list[int]
) -> None:
    """With room for a whole generation all old workers wait for all new ones; with less, one for one."""
    monkeypatch.setattr(HandoverWorker, "options", Options(reload_surge=surge))
    arbiter = _Arbiter(Status.SERVING, Status.SERVING, Status.SERVING, Status.BOOTING, num_workers=2)
    arbiter._old_age = 2
    arbiter.manage_workers()
    assert arbiter.told == told


def test_connection_that_is_accepted_while_the_listener_closes_is_drained_too() -> None:
    """uvloop accepts until the listener is closed and makes the connection in the turn after: the drain sees it."""
    connections: list[str] = []

    class _Listener:
        def close(self) -> None:
            asyncio.get_running_loop().call_soon(connections.append, "accepted last")

    server = _Server.__new__(_Server)
    server.servers = [_Listener()]  # type: ignore[list-item]  # as far as it is used

    async def seen() -> list[str]:
        await server._stop_accepting([])
        return [*connections]

    assert asyncio.run(seen()) == ["accepted last"]
