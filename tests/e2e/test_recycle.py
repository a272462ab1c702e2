"""max_requests: the replacement first, one worker at a time."""

import re
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.server import UVICORN, Gunicorn
from tests.support.wire import Connection, Load, request

_VARIANTS = [
    pytest.param(name, reuse, id=f"{name}-{'reused' if reuse else 'fresh'}")
    for name in ("HttptoolsUvloop", "H11Asyncio")
    for reuse in (False, True)
]


@pytest.mark.parametrize(("worker_class", "reuse"), _VARIANTS)
def test_one_worker_leaves_no_gap(tmp_path: Path, worker_class: str, reuse: bool) -> None:
    """With a single worker, POSTs without a pause meet no error during three recycles."""
    name = f"tests.e2e.apps.classes.{worker_class}"
    with Gunicorn(tmp_path, worker_class=name, max_requests=40) as server:
        with Load(server.address, reuse=reuse) as load:
            server.wait_for_log(r"gone \(max_requests\)", count=3)
        assert load.failures == []
        assert len(load.pids) >= 3
        server.wait_for_workers(1)


def test_replacement_is_ready_before_the_old_worker_leaves(tmp_path: Path) -> None:
    """A worker that is due accepts connections for as long as its replacement boots."""
    with Gunicorn(tmp_path, max_requests=2) as server:
        [old] = server.worker_pids()
        (tmp_path / "hold").touch()
        assert server.ask() == old
        assert server.ask() == old
        new = server.wait_for_lifespan("enters", count=2)
        assert [server.ask() for _ in range(5)] == [old] * 5
        server.wait_for_arbiter_pass()
        assert not server.found("may leave")
        (tmp_path / "hold").unlink()
        assert server.wait_for_workers(1, without=[old]) == [new]
        assert server.ask() == new


def test_replacement_twin(tmp_path: Path) -> None:
    """With uvicorn-worker nothing answers while the only worker's replacement boots."""
    with Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, max_requests=1) as server:
        (tmp_path / "hold").touch()
        server.ask()
        server.wait_for_lifespan("enters", count=2)
        with Connection(server.address, seconds=1) as client, pytest.raises(TimeoutError):
            client.post()
        (tmp_path / "hold").unlink()
        server.wait_for_lifespan("startup", count=2)


def test_log_tells_the_handover_in_order(tmp_path: Path) -> None:
    """The log has one line for each step of a recycle, in order, and the old worker exits with status 0."""
    with Gunicorn(tmp_path, max_requests=3) as server:
        [old] = server.worker_pids()
        with server.connect() as busy:
            busy.send(request("/gate?file=open"))
            server.wait_for_lifespan("waits", count=1)
            for _ in range(3):
                server.ask()
            server.wait_for_log(r"drains \(max_requests\)")
            (tmp_path / "open").touch()
            assert busy.response().closes
        [new] = server.wait_for_workers(1, without=[old])
        steps = [
            rf"handover: worker {old} has served 3 requests",
            rf"Booting worker with pid: {new}",
            rf"handover: worker {new} is ready",
            rf"handover: worker {old} may leave \(max_requests\)",
            rf"handover: worker {old} drains \(max_requests\): \d+ connections, 1 requests",
            rf"handover: worker {old} leaves \(max_requests\) after \d+\.\d s: 1 requests served .*, 0 cancelled",
            rf"handover: worker {old} gone \(max_requests\) \d+\.\d s after the order",
        ]
        places = [server.wait_for_log(step).start() for step in steps]
        assert places == sorted(places)
        assert all(len(server.found(step)) == 1 for step in steps)
        assert not server.found(rf"pid:{old}\) (was sent|exited with)")
        assert server.lifespan("shutdown") == [old]
        assert server.stop() == 0
        assert server.lifespan("shutdown") == [old, new]


def test_one_worker_at_a_time(tmp_path: Path) -> None:
    """Of two workers that are due, the second waits until the first is gone: one extra process at most."""
    with Gunicorn(tmp_path, workers=2, max_requests=3) as server:
        workers = server.wait_for_workers(2)
        (tmp_path / "hold").touch()  # before the requests: to reach each worker may take as many as one of them serves
        connections = [server.connect_to(pid) for pid in workers]
        for pid, busy in zip(workers, connections, strict=True):
            busy.send(request(f"/gate?file=open{pid}"))
        server.wait_for_lifespan("waits", count=2)
        _use_up(server, 2)
        server.wait_for_lifespan("enters", count=3)
        server.wait_for_arbiter_pass()
        assert len(server.worker_pids()) == 3
        (tmp_path / "hold").unlink()
        first = int(server.wait_for_log(r"worker (\d+) drains").group(1))
        [second] = set(workers) - {first}
        server.wait_for_lifespan("startup", count=3)
        server.wait_for_arbiter_pass()
        assert len(server.worker_pids()) == 3
        assert not server.found(rf"worker {second} may leave")
        (tmp_path / f"open{first}").touch()
        told = server.wait_for_log(rf"worker {second} may leave \(max_requests\)")
        assert server.wait_for_log(rf"worker {first} gone").start() < told.start()
        (tmp_path / f"open{second}").touch()
        for busy in connections:
            assert busy.response().status == 200
            busy.close()
        server.wait_for_workers(2, without=workers)
        assert server.stop() == 0


def _use_up(server: Gunicorn, workers: int) -> None:
    """POST until so many workers have reported that they are due."""

    def all_due() -> bool:
        server.ask()
        return len(server.found("has served")) == workers

    wait_until(all_due, what=f"{workers} workers that are due")


def test_process_count_under_load(tmp_path: Path) -> None:
    """While two workers recycle under load there are never more than three processes, and each exits with 0."""
    with Gunicorn(tmp_path, workers=2, max_requests=30, max_requests_jitter=5) as server:
        with Load(server.address, reuse=True) as load, Load(server.address) as other:
            server.wait_for_log(r"gone \(max_requests\)", count=5, seconds=120)
        assert load.failures + other.failures == []
        alive: set[int] = set()
        for event in server.found(r"(Booting worker with pid|Worker exiting \(pid): (\d+)"):
            pid = int(event[2])
            alive = alive | {pid} if event[1].startswith("Booting") else alive - {pid}
            assert len(alive) <= 3
        wait_until(lambda: len(server.found("has served")) == len(server.found("gone")), what="the last recycle")
        server.wait_for_workers(2)
        assert server.stop() == 0
        assert sorted(server.lifespan("shutdown")) == sorted(server.lifespan("startup"))
        assert not re.search(r"exited with code|was sent SIG|WORKER TIMEOUT", server.output())


def test_replacement_that_cannot_boot(tmp_path: Path) -> None:
    """When a replacement's lifespan fails, the due worker keeps serving and the boot is tried until it succeeds."""
    with Gunicorn(tmp_path, max_requests=1) as server:
        [old] = server.worker_pids()
        (tmp_path / "broken").touch()
        server.ask()
        server.wait_for_log(r"could not boot \(failure 2 in a row\): 1 workers keep serving, next try in 2 s")
        assert server.ask() == old
        assert server.returncode is None
        (tmp_path / "broken").unlink()
        server.wait_for_workers(1, without=[old])
        assert server.stop() == 0
