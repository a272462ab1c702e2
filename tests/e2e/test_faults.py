"""Whatever dies or is asked for in the middle of a handover: afterwards the workers are those that were configured."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.server import Gunicorn, processes
from tests.support.wire import LostError, request


def test_due_worker_is_killed_before_its_replacement_is_ready(tmp_path: Path) -> None:
    """SIGKILL of a worker that waits for its replacement leaves that replacement, and no other, in its place."""
    with Gunicorn(tmp_path, max_requests=1) as server:
        [old] = server.wait_for_workers(1)
        (tmp_path / "hold").touch()
        server.ask()
        new = server.wait_for_lifespan("enters", count=2)
        os.kill(old, signal.SIGKILL)
        server.wait_for_log(rf"pid:{old}\) was sent SIGKILL")
        (tmp_path / "hold").unlink()
        assert server.wait_for_workers(1, without=[old]) == [new]
        assert len(server.found("Booting worker")) == 2
        assert server.stop() == 0


def test_draining_worker_is_killed(tmp_path: Path) -> None:
    """SIGKILL of a draining worker loses what it was serving and nothing else; its replacement goes on alone."""
    with Gunicorn(tmp_path, max_requests=1) as server, server.connect() as busy:
        [old] = server.wait_for_workers(1)
        busy.send(request("/gate?file=never"))
        server.wait_for_lifespan("waits", count=1)
        server.ask()
        server.wait_for_log(rf"worker {old} drains")
        os.kill(old, signal.SIGKILL)
        assert busy.has_ended()
        server.wait_for_workers(1, without=[old])
        server.wait_for_log(rf"worker {old} gone \(max_requests\)")
        assert server.stop() == 0
        assert len(server.found("Booting worker")) == 2


def test_replacement_is_killed_while_booting(tmp_path: Path) -> None:
    """SIGKILL of a replacement that still boots is a failed boot: the due worker serves until the next is ready."""
    with Gunicorn(tmp_path, max_requests=1) as server:
        [old] = server.wait_for_workers(1)
        (tmp_path / "hold").touch()
        server.ask()
        os.kill(server.wait_for_lifespan("enters", count=2), signal.SIGKILL)
        server.wait_for_log(r"could not boot \(failure 1 in a row\): 1 workers keep serving, next try in 1 s")
        assert server.ask() == old
        third = server.wait_for_lifespan("enters", count=3)
        (tmp_path / "hold").unlink()
        assert server.wait_for_workers(1, without=[old]) == [third]
        assert server.stop() == 0


def test_replacement_is_killed_when_it_is_ready(tmp_path: Path) -> None:
    """SIGKILL of a replacement while the old worker drains brings another one at once."""
    with Gunicorn(tmp_path, max_requests=1) as server, server.connect() as busy:
        [old] = server.wait_for_workers(1)
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        server.ask()
        server.wait_for_log(rf"worker {old} drains")
        second = server.wait_for_lifespan("startup", count=2)
        os.kill(second, signal.SIGKILL)
        third = server.wait_for_lifespan("startup", count=3)
        assert server.ask() == third
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        server.wait_for_workers(1, without=[old, second])
        assert server.stop() == 0


def test_last_worker_is_killed_after_failed_boots(tmp_path: Path) -> None:
    """When no worker serves any more, one boots again by itself, however many boots have failed before."""
    with Gunicorn(tmp_path) as server:
        [old] = server.wait_for_workers(1)
        (tmp_path / "broken").touch()
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(r"\(failure 3 in a row\): 1 workers keep serving, next try in 4 s")
        (tmp_path / "broken").unlink()
        os.kill(old, signal.SIGKILL)
        server.wait_for_workers(1, without=[old])


def test_reload_during_a_recycle(tmp_path: Path) -> None:
    """SIGHUP while a replacement boots ends with a new generation of the configured size."""
    with Gunicorn(tmp_path, max_requests=1) as server:
        [old] = server.wait_for_workers(1)
        (tmp_path / "hold").touch()
        server.ask()
        second = server.wait_for_lifespan("enters", count=2)
        server.send_signal(signal.SIGHUP)
        third = server.wait_for_lifespan("enters", count=3)
        assert server.ask() == old
        (tmp_path / "hold").unlink()
        assert server.wait_for_workers(1, without=[old, second]) == [third]
        assert server.stop() == 0


def test_reload_while_a_recycled_worker_drains(tmp_path: Path) -> None:
    """SIGHUP while a recycled worker drains lets it finish its request."""
    with Gunicorn(tmp_path, max_requests=1) as server, server.connect() as busy:
        [old] = server.wait_for_workers(1)
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        server.ask()
        server.wait_for_log(rf"worker {old} drains")
        [second] = sorted(set(server.worker_pids()) - {old})
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(rf"worker {second} gone \(reload\)")
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        server.wait_for_workers(1, without=[old, second])
        assert server.stop() == 0


def test_scale_during_a_recycle(tmp_path: Path) -> None:
    """SIGTTIN and SIGTTOU while a replacement boots add and remove one worker, beside the recycle."""
    with Gunicorn(tmp_path, max_requests=1) as server:
        [old] = server.wait_for_workers(1)
        (tmp_path / "hold").touch()
        server.ask()
        server.wait_for_lifespan("enters", count=2)
        server.send_signal(signal.SIGTTIN)
        server.wait_for_lifespan("enters", count=3)
        assert server.ask() == old
        (tmp_path / "hold").unlink()
        two = server.wait_for_workers(2, without=[old])
        server.send_signal(signal.SIGTTOU)
        server.wait_for_log(r"gone \(scale\)")
        [one] = server.wait_for_workers(1)
        assert one in two
        assert server.stop() == 0


def test_scale_down_during_a_recycle(tmp_path: Path) -> None:
    """SIGTTOU while a replacement boots still ends with the smaller number, and a worker accepts all the time."""
    with Gunicorn(tmp_path, workers=2, max_requests=3) as server:
        server.wait_for_workers(2)
        (tmp_path / "hold").touch()
        wait_until(lambda: server.ask() and server.found("has served"), what="a worker that is due")
        server.wait_for_lifespan("enters", count=3)
        server.send_signal(signal.SIGTTOU)
        server.wait_for_log("Handling signal: ttou")
        server.ask()
        (tmp_path / "hold").unlink()
        server.wait_for_workers(1)
        server.ask()
        assert server.stop() == 0


def test_worker_is_terminated_by_hand(tmp_path: Path) -> None:
    """SIGTERM to one worker makes that one drain, answering what it has, and brings a replacement."""
    with Gunicorn(tmp_path) as server, server.connect() as busy, server.connect() as idle:
        [old] = server.wait_for_workers(1)
        idle.post()
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        os.kill(old, signal.SIGTERM)
        server.wait_for_log(rf"worker {old} drains \(signal\)")
        assert idle.post().closes
        second = server.wait_for_lifespan("startup", count=2)
        assert server.ask() == second
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        server.wait_for_workers(1, without=[old])
        assert server.stop() == 0


def test_master_is_killed(tmp_path: Path) -> None:
    """Workers whose master was killed answer what they have, run their lifespan shutdown and end by themselves."""
    with Gunicorn(tmp_path, workers=2) as server, server.connect() as busy, server.connect() as idle:
        workers = server.wait_for_workers(2)
        idle.post()
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        server.send_signal(signal.SIGKILL)
        wait_until(lambda: len(server.found(r"drains \(orphaned\)")) == 2, what="both workers to drain")
        answer = idle.post()
        assert answer.status == 200
        assert answer.closes is True
        assert answer.data["stopping"] is True
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        server.assert_nothing_left()
        assert sorted(server.lifespan("shutdown")) == workers


def test_stop_during_a_recycle(tmp_path: Path) -> None:
    """SIGTERM to the master while a replacement boots stops both workers promptly."""
    with Gunicorn(tmp_path, max_requests=1) as server:
        (tmp_path / "hold").touch()
        server.ask()
        server.wait_for_lifespan("enters", count=2)
        server.terminate()
        server.wait_for_log(r"drains \(stop\)")
        (tmp_path / "hold").unlink()
        assert server.wait(60) == 0


def test_stop_during_the_first_boot(tmp_path: Path) -> None:
    """SIGTERM to the master while its first worker boots leaves no process."""
    (tmp_path / "hold").touch()
    with Gunicorn(tmp_path, boots=False) as server:
        server.wait_for_lifespan("enters", count=1)
        server.terminate()
        (tmp_path / "hold").unlink()
        assert server.wait(60) == 0


def test_worker_is_killed_while_serving(tmp_path: Path) -> None:
    """SIGKILL of a serving worker brings a replacement at once, without a wait for failed boots."""
    with Gunicorn(tmp_path, workers=2) as server:
        first, second = server.wait_for_workers(2)
        os.kill(first, signal.SIGKILL)
        assert second in server.wait_for_workers(2, without=[first])
        assert not server.found("could not boot")
        assert first not in {process.pid for process in processes()}


def test_overdue_worker_is_killed(tmp_path: Path) -> None:
    """A worker that has not left ``graceful_timeout`` seconds after the order is killed, and the log says so."""
    with Gunicorn(tmp_path, graceful_timeout=15, timeout=120) as server, server.connect() as victim:
        [old] = server.wait_for_workers(1)
        victim.send(request("/block?seconds=120&file=block"))
        server.wait_for_lifespan("waits", count=1)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(rf"worker {old} drains")
        (tmp_path / "block").touch()
        server.wait_for_log(rf"worker {old} is killed: it did not leave \(reload\) in time")
        with pytest.raises(LostError):
            victim.response()
        server.wait_for_workers(1, without=[old])
        assert server.stop() == 0


_SLOW_FORK = """
import os, time
def post_fork(server, worker):
    while os.path.exists("hold_fork"):
        time.sleep(0.02)
"""


def test_stop_right_after_a_fork(tmp_path: Path) -> None:
    """A stop reaches a worker that had just been forked and did not handle signals yet."""
    with Gunicorn(tmp_path) as server:
        (tmp_path / "hold_fork").touch()
        server.configure(_SLOW_FORK)
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.worker_pids()) == 2, what="the fork")
        server.terminate()
        server.wait_for_log(r"drains \(stop\)")
        (tmp_path / "hold_fork").unlink()
        assert server.wait(60) == 0
        assert not server.found("was sent SIGKILL")


def test_reload_right_after_a_fork(tmp_path: Path) -> None:
    """A second reload reaches a worker of the first that did not handle signals yet; it need not be killed."""
    with Gunicorn(tmp_path) as server:
        [first] = server.wait_for_workers(1)
        (tmp_path / "hold_fork").touch()
        server.configure(_SLOW_FORK)
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.worker_pids()) == 2, what="the fork")
        [second] = set(server.worker_pids()) - {first}
        server.configure()
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(rf"worker {second} may leave \(reload\)")
        (tmp_path / "hold_fork").unlink()
        server.wait_for_workers(1, without=[first, second])
        assert not server.found("did not leave|was sent SIGKILL")
