"""What fails in the master while a worker serves: it is logged and tried again, and the instance keeps serving."""

import os
import resource
import signal
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.server import UVICORN, Gunicorn
from tests.support.wire import LostError, request

_FORK = """
import errno, os
_fork = getattr(os, "real_fork", os.fork)
os.real_fork = _fork
def _limited():
    if os.path.exists("no_fork"):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()
os.fork = _limited
"""
_PRE_FORK = """
import os
def pre_fork(server, worker):
    if os.path.exists("no_fork"):
        raise OSError("the hook failed")
"""
_NO_SECOND = """
import os
def pre_fork(server, worker):
    if os.path.exists("no_fork") and worker.age == 4:
        raise OSError("the hook failed")
"""


class _Fault:
    """Makes the creation of a worker fail, and repairs that."""

    def __init__(self, kind: str, server: Gunicorn) -> None:
        self._kind, self._server = kind, server
        self._limit = (0, 0)

    @staticmethod
    def prepare(kind: str, server: Gunicorn) -> None:
        """Write what the configuration needs."""
        if kind == "worker_tmp_dir":
            (server.directory / "heartbeats").mkdir()
            server.configure(worker_tmp_dir=str(server.directory / "heartbeats"))
        else:
            server.configure({"fork": _FORK, "pre_fork": _PRE_FORK}.get(kind, ""))

    def begin(self) -> None:
        """From now on no worker can be created."""
        if self._kind == "worker_tmp_dir":
            (self._server.directory / "heartbeats").rmdir()
        elif self._kind == "descriptors":
            self._limit = resource.prlimit(self._server.pid, resource.RLIMIT_NOFILE)
            lowest = _lowest_free_descriptor(self._server.pid)
            resource.prlimit(self._server.pid, resource.RLIMIT_NOFILE, (lowest, self._limit[1]))
        else:
            (self._server.directory / "no_fork").touch()

    def end(self) -> None:
        """Repair it."""
        if self._kind == "worker_tmp_dir":
            (self._server.directory / "heartbeats").mkdir()
        elif self._kind == "descriptors":
            resource.prlimit(self._server.pid, resource.RLIMIT_NOFILE, self._limit)
        else:
            (self._server.directory / "no_fork").unlink()


each_fault = pytest.mark.parametrize("kind", ["fork", "worker_tmp_dir", "pre_fork", "descriptors"])


def _lowest_free_descriptor(pid: int) -> int:
    used = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
    return min(set(range(len(used) + 1)) - used)


def _started(kind: str, server: Gunicorn) -> int:
    """Return the one worker, created with a configuration in which the fault can be switched on."""
    [first] = server.wait_for_workers(1)
    _Fault.prepare(kind, server)
    server.send_signal(signal.SIGHUP)
    [old] = server.wait_for_workers(1, without=[first])
    return old


@each_fault
def test_replacement_that_cannot_be_created(tmp_path: Path, kind: str) -> None:
    """A recycle for which no process can be created waits and tries again; the due worker keeps serving."""
    with Gunicorn(tmp_path, max_requests=2) as server:
        old = _started(kind, server)
        fault = _Fault(kind, server)
        fault.begin()
        server.ask()
        server.ask()
        server.wait_for_log(r"a worker could not be created \(failure 2 in a row\): 1 workers keep serving")
        assert server.ask() == old
        fault.end()
        server.wait_for_workers(1, without=[old])
        assert not server.found("Traceback|Unhandled exception")
        assert server.stop() == 0


@each_fault
def test_reload_that_cannot_create_its_first_worker(tmp_path: Path, kind: str) -> None:
    """A reload that cannot fork its first worker is refused and changes nothing; the next one works."""
    with Gunicorn(tmp_path) as server:
        old = _started(kind, server)
        fault = _Fault(kind, server)
        fault.begin()
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("reload refused, the old configuration stays in force")
        assert server.ask() == old
        fault.end()
        server.send_signal(signal.SIGHUP)
        server.wait_for_workers(1, without=[old])
        assert not server.found("Traceback|Unhandled exception")
        assert server.stop() == 0


@pytest.mark.parametrize("kind", ["fork", "pre_fork", "worker_tmp_dir"])
def test_replacement_that_cannot_be_created_twin(tmp_path: Path, kind: str) -> None:
    """gunicorn's own arbiter ends when it cannot create the next worker, and nothing listens any more."""
    server = Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, max_requests=2)
    _Fault.prepare(kind, server)
    with server:
        _Fault(kind, server).begin()
        server.ask()
        server.ask()
        server.wait_for_log("Unhandled exception in main loop")
        assert server.wait() != 0
        with pytest.raises(ConnectionRefusedError):
            server.connect()


_KILL = """
import os
_kill = getattr(os, "real_kill", os.kill)
os.real_kill = _kill
def _limited(pid, number):
    if os.path.exists("no_kill") and number == 15:
        raise PermissionError(1, "Operation not permitted")
    return _kill(pid, number)
os.kill = _limited
"""


def test_worker_that_cannot_be_told_to_drain(tmp_path: Path) -> None:
    """What fails while the master manages its workers is logged and tried again; the due worker keeps serving."""
    server = Gunicorn(tmp_path, max_requests=2)
    server.configure(_KILL)
    with server:
        [old] = server.wait_for_workers(1)
        (tmp_path / "no_kill").touch()
        server.ask()
        server.ask()
        server.wait_for_log("the arbiter failed to manage its workers, and tries again", count=3)
        assert not server.found("drains")
        (tmp_path / "no_kill").unlink()
        server.wait_for_log(rf"worker {old} drains \(max_requests\)")
        server.wait_for_log(rf"worker {old} gone \(max_requests\)")
        assert not server.found("SIGKILL|is killed|Unhandled exception")


def test_worker_that_cannot_be_told_to_drain_twin(tmp_path: Path) -> None:
    """gunicorn's own arbiter ends."""
    server = Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, workers=2, graceful_timeout=3)
    server.configure(_KILL)
    with server:
        (tmp_path / "no_kill").touch()
        server.send_signal(signal.SIGTTOU)
        server.wait_for_log("Unhandled exception in main loop")
        (tmp_path / "no_kill").unlink()
        assert server.wait() != 0


def test_drain_that_fails(tmp_path: Path) -> None:
    """What raises again and again during a drain is said once, and the request in flight is answered all the same."""
    name = "tests.e2e.apps.classes.Unable"
    with Gunicorn(tmp_path, worker_class=name) as server, server.connect() as busy:
        [old] = server.wait_for_workers(1)
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(rf"worker {old} drains \(reload\)")
        (tmp_path / "name").write_text(str(old), encoding="ascii")
        (tmp_path / "name").rename(tmp_path / "no_tick")
        server.wait_for_log(rf"worker {old} goes on with its drain")
        server.wait_for_arbiter_pass()
        (tmp_path / "open").touch()
        response = busy.response()
        assert response.status == 200
        assert response.pid == old
        server.wait_for_log(rf"worker {old} gone \(reload\)")
        assert len(server.found("RuntimeError: no tick")) == 1
        assert server.lifespan("shutdown") == [old]
        assert not server.found("exited with code|Exception in worker process")
        assert server.ask() != old


def test_reload_with_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    """SIGHUP with a ``worker_tmp_dir`` that does not exist changes nothing: neither workers, listener nor umask."""
    with Gunicorn(tmp_path) as server, server.connect() as busy:
        [old] = server.wait_for_workers(1)
        mask = _umask(server.pid)
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        server.configure(worker_tmp_dir="/nonexistent", umask=0o027)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("reload refused.*/nonexistent doesn't exist")
        assert _umask(server.pid) == mask
        assert server.ask() == old
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        server.send_signal(signal.SIGTTIN)
        server.wait_for_workers(2)
        assert server.stop() == 0


def _umask(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(line for line in status.splitlines() if line.startswith("Umask:"))


def test_reload_that_cannot_create_its_second_worker(tmp_path: Path) -> None:
    """A reload that fails after its first fork keeps the old workers until the rest of the new ones can be created."""
    with Gunicorn(tmp_path, workers=2) as server:
        old = server.wait_for_workers(2)
        (tmp_path / "no_fork").touch()
        server.configure(_NO_SECOND)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(r"a worker could not be created \(failure 1 in a row\).*the hook failed")
        server.wait_for_workers(2, without=old)
        assert server.stop() == 0


def test_first_worker_that_cannot_be_created(tmp_path: Path) -> None:
    """At the start there is nothing to keep: gunicorn says why in one line and exits with status 3."""
    with Gunicorn(tmp_path, boots=False, worker_tmp_dir="/nonexistent") as server:
        assert server.wait() == 3
        assert "/nonexistent doesn't exist" in server.output().splitlines()[-1]
        assert not server.found("Traceback")


def test_hook_that_fails_when_a_worker_has_ended(tmp_path: Path) -> None:
    """A ``child_exit`` hook that raises is logged; gunicorn and its workers go on."""
    with Gunicorn(tmp_path) as server:
        [first] = server.wait_for_workers(1)
        server.configure("def child_exit(server, worker):\n    raise OSError('the hook failed')")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("a hook failed when a worker had ended")
        [second] = server.wait_for_workers(1, without=[first])
        os.kill(second, signal.SIGKILL)
        server.wait_for_workers(1, without=[first, second])
        server.ask()


def test_hook_that_fails_twin(tmp_path: Path) -> None:
    """Under gunicorn's own arbiter a ``child_exit`` hook that raises ends the master and all workers."""
    server = Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, workers=2, graceful_timeout=3)
    server.configure(
        "def child_exit(server, worker):\n    if worker.age == 1:\n        raise OSError('the hook failed')"
    )
    with server:
        os.kill(server.worker_pids()[0], signal.SIGKILL)
        server.wait_for_log("Unhandled exception in main loop")
        assert server.wait() != 0


@pytest.mark.parametrize(("app", "status"), [("tests.e2e.apps.service:app", 3), ("tests.e2e.apps.service:nothing", 4)])
def test_two_workers_that_fail_their_first_boot_together(tmp_path: Path, app: str, status: int) -> None:
    """gunicorn stops with the documented status; the last line of its log is the cause; no traceback of the arbiter."""
    (tmp_path / "broken").touch()
    (tmp_path / "hold").touch()
    with Gunicorn(tmp_path, app=app, workers=2, boots=False) as server:
        if status == 3:
            server.wait_for_lifespan("enters", count=2)
        (tmp_path / "hold").unlink()
        assert server.wait() == status
        last = server.output().splitlines()[-1]
        assert "Reason: " in last
        assert ("the database is away" if status == 3 else "nothing") in last
        assert not server.found("HaltServer|Unhandled exception")


def test_two_workers_that_fail_their_first_boot_together_twin(tmp_path: Path) -> None:
    """With uvicorn-worker the last line of the log is not the cause."""
    (tmp_path / "broken").touch()
    (tmp_path / "hold").touch()
    with Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, workers=2, boots=False) as server:
        server.wait_for_lifespan("enters", count=2)
        (tmp_path / "hold").unlink()
        assert server.wait() != 0
        assert "the database is away" in server.output()
        assert "the database is away" not in server.output().splitlines()[-1]


def test_boot_that_fails_while_another_worker_serves(tmp_path: Path) -> None:
    """At the first start, too, a worker that cannot boot does not stop gunicorn once another one is ready."""
    (tmp_path / "hold").touch()
    with Gunicorn(tmp_path, workers=2, boots=False) as server:
        server.wait_for_lifespan("enters", count=2)
        first, second = server.worker_pids()
        os.kill(first, signal.SIGSTOP)
        (tmp_path / "hold").unlink()
        server.wait_for_log(rf"worker {second} is ready")
        (tmp_path / "broken").touch()
        os.kill(first, signal.SIGCONT)
        server.wait_for_log(r"could not boot \(failure 1 in a row\): 1 workers keep serving.*the database is away")
        (tmp_path / "broken").unlink()
        assert second in server.wait_for_workers(2)
        assert server.stop() == 0


def test_hangup_of_the_whole_process_group(tmp_path: Path) -> None:
    """SIGHUP to the master and all workers (``pkill -HUP``, ``tini -g``) is a reload like any other."""
    with Gunicorn(tmp_path, workers=2) as server, server.connect() as busy:
        old = server.wait_for_workers(2)
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        os.killpg(server.pid, signal.SIGHUP)
        server.wait_for_log(r"drains \(reload\)", count=2)
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        server.wait_for_workers(2, without=old)
        assert not server.found("was sent SIGHUP")


def test_hangup_of_the_whole_process_group_twin(tmp_path: Path) -> None:
    """uvicorn-worker dies of SIGHUP, with the request that it was serving."""
    with Gunicorn(tmp_path, worker_class=UVICORN, hooks=False) as server, server.connect() as busy:
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        os.killpg(server.pid, signal.SIGHUP)
        with pytest.raises(LostError):
            busy.response()
        (tmp_path / "open").touch()
        os.killpg(server.pid, signal.SIGKILL)  # older ones do not end by themselves any more


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGTTIN", "SIGTTOU"])
def test_signals_for_the_master_do_nothing_to_a_worker(tmp_path: Path, name: str) -> None:
    """A worker survives the signals that only the master understands."""
    with Gunicorn(tmp_path) as server:
        [worker] = server.wait_for_workers(1)
        os.kill(worker, signal.Signals[name])
        assert server.ask() == worker
        server.wait_for_arbiter_pass()
        assert server.worker_pids() == [worker]


def test_programs_that_the_application_starts_do_not_ignore_hangups(tmp_path: Path) -> None:
    """What a worker ignores is not inherited by the programs that it starts."""
    with Gunicorn(tmp_path) as server:
        [worker] = server.wait_for_workers(1)
        ignored = _signals(worker, "SigIgn")
        caught = _signals(worker, "SigCgt")
        assert signal.SIGHUP not in ignored
        assert {signal.SIGHUP, signal.SIGUSR2, signal.SIGWINCH} <= caught


def _signals(pid: int, field: str) -> set[int]:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(f"{field}:"))
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def test_preloaded_code_is_not_reloaded_and_gunicorn_says_so(tmp_path: Path) -> None:
    """With ``preload_app`` there is one warning at the start and one at each SIGHUP."""
    with Gunicorn(tmp_path, preload_app=True) as server:
        [old] = server.wait_for_workers(1)
        assert len(server.found("preload_app is set")) == 1
        server.send_signal(signal.SIGHUP)
        server.wait_for_workers(1, without=[old])
        assert len(server.found("preload_app is set")) == 2


def test_nothing_is_said_without_preload(tmp_path: Path) -> None:
    """Without ``preload_app`` there is no such warning."""
    with Gunicorn(tmp_path) as server:
        server.wait_for_workers(1)
        assert not server.found("preload_app is set")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (_FORK, "the new master cannot be created: BlockingIOError"),
        ("def pre_exec(server):\n    1 / 0", "the new master cannot be started: ZeroDivisionError"),
        ("def pre_exec(server):\n    raise SystemExit(1)", "the new master cannot be started: SystemExit"),
    ],
    ids=["fork", "hook", "hook-exits"],
)
def test_upgrade_that_cannot_be_started(tmp_path: Path, lines: str, said: str) -> None:
    """SIGUSR2 that cannot start another master leaves this one and its workers serving."""
    server = Gunicorn(tmp_path)
    server.configure(lines)
    with server, server.connect() as busy:
        [worker] = server.wait_for_workers(1)
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        (tmp_path / "no_fork").touch()
        server.send_signal(signal.SIGUSR2)
        server.wait_for_log(said)
        (tmp_path / "no_fork").unlink()
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        assert server.ask() == worker
        assert server.stop() == 0


def test_upgrade_that_cannot_be_started_twin(tmp_path: Path) -> None:
    """Under gunicorn's own arbiter the new master that fails stops the workers of the old one."""
    server = Gunicorn(tmp_path, worker_class=UVICORN, hooks=False, graceful_timeout=3)
    server.configure("def pre_exec(server):\n    1 / 0")
    with server:
        [worker] = server.worker_pids()
        server.send_signal(signal.SIGUSR2)
        wait_until(lambda: worker not in server.worker_pids(), what="the end of the worker")


@pytest.mark.parametrize("name", ["SIGTTIN", "SIGTTOU"])
def test_hook_that_fails_when_the_number_changes(tmp_path: Path, name: str) -> None:
    """A ``nworkers_changed`` hook that raises is logged; the workers keep serving."""
    server = Gunicorn(tmp_path, workers=2)
    server.configure(
        "def nworkers_changed(server, new, old):",
        "    if old is not None and new != old:",
        "        raise OSError('the hook')",
    )
    with server:
        server.wait_for_workers(2)
        server.send_signal(signal.Signals[name])
        server.wait_for_log("a signal could not be handled")
        server.ask()
        assert server.stop() == 0


def test_master_does_not_grow(tmp_path: Path) -> None:
    """Handovers and reloads leave as many open files in the master as before, and little more memory.

    30 and 10 here; ``make long-life`` has 2,000 and 500.
    """
    handovers, reloads = int(os.environ.get("HANDOVERS", "30")), int(os.environ.get("RELOADS", "10"))
    with Gunicorn(tmp_path, max_requests=1) as server:
        workers = server.wait_for_workers(1)
        every, files, memory = (handovers + reloads) // reloads, 0, 0
        for number in range(handovers + reloads):
            if number == every:
                files, memory = _open_files(server.pid), _resident_kib(server.pid)
            if number % every == every - 1:
                server.send_signal(signal.SIGHUP)
            else:
                server.ask()
            server.wait_for_log(r"gone \((max_requests|reload)\)", count=number + 1)
            workers = server.wait_for_workers(1, without=workers)
        wait_until(lambda: _open_files(server.pid) <= files, what="as few open files as before")
        assert _resident_kib(server.pid) - memory < 8 * 1024


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
