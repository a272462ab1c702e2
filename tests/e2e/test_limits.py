"""What workers are replaced for besides requests: memory and age; and a reload that keeps within its memory."""

import re
import signal
import time
from pathlib import Path

import pytest

from tests.support.cgroup import memory_cgroup
from tests.support.polling import wait_until
from tests.support.server import ROOT, Gunicorn
from tests.support.wire import Load

_LEAK = "/leak?bytes=1048576&after=0.04"  # a few dozen a second, as fast as memory can be looked at and workers boot
_MIB = 2**20


def _server(directory: Path, **variables: str) -> Gunicorn:
    """Return a server with the project's own configuration, one worker, no limit of requests."""
    environment = {"WEB_CONCURRENCY": "1", "GUNICORN_MAX_REQUESTS": "0", **variables}
    return Gunicorn(directory, conf=ROOT / "gunicorn_conf.py", env=environment)


def _resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


def test_worker_that_has_grown_is_replaced(tmp_path: Path) -> None:
    """A worker that passes max_memory gets a replacement first; no request of a leaking application is lost."""
    with _server(tmp_path, GUNICORN_MAX_MEMORY="160M") as server:
        [first] = server.wait_for_workers(1)
        with Load(server.address, reuse=True, path=_LEAK) as load:
            server.wait_for_log(r"gone \(max_memory\)", count=2)
        assert load.failures == []
        assert sum(load.pids.values()) > 100
        [last] = server.wait_for_workers(1, without=[first])
        assert _resident(last) < 200 * _MIB
        assert server.found(rf"worker {first} uses 1\d\d MiB, more than 160")


def test_leak_under_a_memory_limit(tmp_path: Path) -> None:
    """Under a cgroup's limit the share is computed, and the kernel never has to kill: nothing is lost."""
    with memory_cgroup(360 * _MIB) as cgroup:
        server = Gunicorn(
            tmp_path,
            conf=ROOT / "gunicorn_conf.py",
            env={"WEB_CONCURRENCY": "1", "GUNICORN_MAX_REQUESTS": "0"},
            launcher=cgroup.launcher,
        )
        with server:
            server.wait_for_workers(1)
            with Load(server.address, reuse=True, path=_LEAK) as load:
                server.wait_for_log(r"gone \(max_memory\)", count=3)
            assert load.failures == []
            assert sum(load.pids.values()) > 200
        assert cgroup.oom_kills == 0


def test_leak_under_a_memory_limit_twin(tmp_path: Path) -> None:
    """Without max_memory the kernel kills the worker, and with it the request that it was serving."""
    with memory_cgroup(360 * _MIB) as cgroup:
        server = Gunicorn(
            tmp_path,
            conf=ROOT / "gunicorn_conf.py",
            env={"WEB_CONCURRENCY": "1", "GUNICORN_MAX_REQUESTS": "0", "GUNICORN_MAX_MEMORY": "0"},
            launcher=cgroup.launcher,
        )
        with server:
            with Load(server.address, reuse=True, path=_LEAK) as load:
                server.wait_for_log("was sent SIGKILL! Perhaps out of memory")
                wait_until(lambda: load.failures, what="a lost request")
            assert cgroup.oom_kills > 0


@pytest.mark.parametrize("seconds", ["0", "4"])
def test_worker_that_loads_a_model_at_its_first_request_is_left_alone(tmp_path: Path, seconds: str) -> None:
    """Memory that every worker would load is no reason to replace one, however long loading takes; one line says so."""
    with _server(tmp_path, GUNICORN_MAX_MEMORY="160M") as server:
        [worker] = server.wait_for_workers(1)
        with Load(server.address, reuse=True, path=f"/model?megabytes=150&seconds={seconds}") as load:
            settled = server.wait_for_log(
                rf"worker {worker} uses (\d+) MiB, more than max_memory \(160 MiB\), and no longer grows: "
                r"it is left alone up to (\d+) MiB"
            )
            count = sum(load.pids.values())
            wait_until(lambda: sum(load.pids.values()) > count + 500, what="some requests more")
        assert server.worker_pids() == [worker]
        assert int(settled[2]) == pytest.approx(int(settled[1]) * 5 / 4, abs=2)
        assert load.failures == []
        assert not server.found("drains")


def test_worker_that_leaks_after_it_has_loaded_a_model_is_replaced(tmp_path: Path) -> None:
    """A worker that was left alone is replaced when it grows on, and so are its successors."""
    with _server(tmp_path, GUNICORN_MAX_MEMORY="160M") as server:
        [first] = server.wait_for_workers(1)
        server.ask("/model?megabytes=150&seconds=0")
        server.wait_for_log(rf"worker {first} uses \d+ MiB, more than max_memory")
        with Load(server.address, reuse=True, path=_LEAK) as load:
            server.wait_for_log(r"gone \(max_memory\)", count=2)
        assert load.failures == []
        assert server.found(rf"worker {first} gone \(max_memory\)")


def test_worker_that_boots_above_its_share_is_left_alone(tmp_path: Path) -> None:
    """A worker that uses more than max_memory as soon as it has booted is not replaced for it; one line says so."""
    with _server(tmp_path, GUNICORN_MAX_MEMORY="10M") as server:
        [worker] = server.wait_for_workers(1)
        began = time.monotonic()
        wait_until(lambda: server.ask(_LEAK) and time.monotonic() > began + 3, what="a few looks at its memory")
        assert server.worker_pids() == [worker]
        assert len(server.found(r"as soon as it has booted, more than max_memory \(10 MiB\)")) == 1


def test_nothing_is_said_about_memory_below_the_limit(tmp_path: Path) -> None:
    """A worker within its share stays, without a word."""
    with _server(tmp_path, GUNICORN_MAX_MEMORY="1G") as server:
        [worker] = server.wait_for_workers(1)
        began = time.monotonic()
        wait_until(lambda: server.ask(_LEAK) and time.monotonic() > began + 3, what="a few looks at its memory")
        assert server.worker_pids() == [worker]
        assert not server.found("MiB")


def test_worker_is_replaced_for_its_age(tmp_path: Path) -> None:
    """A worker that has lived for max_lifetime seconds is replaced; no request is lost."""
    with _server(tmp_path, GUNICORN_MAX_LIFETIME="3") as server:
        [first] = server.wait_for_workers(1)
        with Load(server.address, reuse=True) as load:
            server.wait_for_log(r"gone \(max_lifetime\)", count=2)
        assert load.failures == []
        assert server.found(rf"worker {first} has lived for 3 s")


def _most_processes(server: Gunicorn) -> int:
    """Return how many workers there were at most, from the log's order of events."""
    most, present = 0, 0
    for event in re.finditer(r"Booting worker|worker \d+ gone|worker \d+ could not boot", server.output()):
        present += 1 if event[0] == "Booting worker" else -1
        most = max(most, present)
    return most


@pytest.mark.parametrize(("surge", "most"), [("1", 4), ("2", 5), (None, 6)])
def test_reload_keeps_to_its_surge(tmp_path: Path, surge: str | None, most: int) -> None:
    """A reload of three workers never has more than ``surge`` processes beyond them, and loses nothing."""
    environment = {"WEB_CONCURRENCY": "3", "GUNICORN_MAX_REQUESTS": "0"}
    environment |= {"GUNICORN_RELOAD_SURGE": surge} if surge else {}
    with Gunicorn(tmp_path, conf=ROOT / "gunicorn_conf.py", env=environment) as server:
        old = server.wait_for_workers(3)
        with Load(server.address, reuse=True) as load:
            server.send_signal(signal.SIGHUP)
            server.wait_for_log(r"gone \(reload\)", count=3)
        assert load.failures == []
        server.wait_for_workers(3, without=old)
        assert _most_processes(server) == most


def test_failure_in_a_bounded_reload_keeps_the_old_workers(tmp_path: Path) -> None:
    """With a surge of one, new code that cannot boot leaves every old worker that was not replaced yet serving."""
    server = Gunicorn(tmp_path, workers=3)
    server.configure(
        "import gunicorn_handover",
        "def on_reload(server):\n    gunicorn_handover.install(server, reload_surge=1)",
        "import os",
        "def post_fork(server, worker):",
        "    if worker.age >= 5 and os.path.exists('broken_code'):",
        "        1 / 0",
    )
    with server:
        old = server.wait_for_workers(3)
        (tmp_path / "broken_code").touch()
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(r"could not boot \(failure 2 in a row\): 3 workers keep serving")
        assert len(set(server.worker_pids()) & set(old)) == 2
        (tmp_path / "broken_code").unlink()
        server.wait_for_workers(3, without=old)
        assert _most_processes(server) == 4
