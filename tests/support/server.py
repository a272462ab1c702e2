"""A real gunicorn in a process group of its own, started by tests."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from no502.ladder.settings import is_ours
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.wire import Address, Connection

__all__ = ["HANDOVER", "ROOT", "UVICORN", "Gunicorn", "processes"]

ROOT = Path(__file__).resolve().parents[2]
"""The checkout that is under test."""
HANDOVER = "gunicorn_handover.HandoverWorker"
UVICORN = "uvicorn_worker.UvicornWorker"

_SERVICE = "tests.e2e.apps.service:app"
_HOOKS = "from gunicorn_handover import on_reload, on_starting"
# Long enough for a boot, and for every step between two signals, on a slow machine.
_SETTINGS: Mapping[str, object] = {
    "workers": 1,
    "timeout": 60,
    "graceful_timeout": 60,
    "keepalive": 30,
    "control_socket_disable": True,  # it has one path for all servers; gunicorn before 25.1 ignores the name
}


class Process(NamedTuple):
    """One line of the process table."""

    pid: int
    ppid: int
    group: int


def processes() -> list[Process]:
    """Return every process of this machine that is not a zombie."""
    ps = shutil.which("ps")
    assert ps is not None
    columns = [argument for name in ("pid", "ppid", "pgid", "stat") for argument in ("-o", f"{name}=")]
    listing = subprocess.run([ps, "-A", *columns], capture_output=True, text=True, check=True).stdout
    fields = [line.split() for line in listing.splitlines()]
    return [Process(int(pid), int(ppid), int(group)) for pid, ppid, group, state in fields if not state.startswith("Z")]


class Gunicorn(Running):
    """gunicorn with one configuration file in ``directory``, which is its working directory too.

    Entering the block waits until all workers serve; leaving it stops the server and fails if a process is left.

    Args:
        directory: An empty directory, usually ``tmp_path``.
        app: The application, ``module:name``.
        worker_class: gunicorn's setting of that name.
        hooks: Whether the configuration imports the arbiter's half.
        unix: Listen on a unix socket instead of a TCP port.
        conf: The configuration file instead of one made of the other arguments; it has to bind to ``GUNICORN_BIND``.
        env: Environment variables on top of this process's own.
        launcher: What runs gunicorn, in front of its command line.
        boots: Whether it is expected to serve at all.
        pass_fds: File descriptors that it inherits, besides the standard ones.
        settings: gunicorn settings, on top of those of the tests.
    """

    def __init__(
        self,
        directory: Path,
        *,
        app: str = _SERVICE,
        worker_class: str = HANDOVER,
        hooks: bool = True,
        unix: bool = False,
        conf: Path | None = None,
        env: Mapping[str, str] | None = None,
        launcher: Sequence[str | Path] = (),
        boots: bool = True,
        pass_fds: Sequence[int] = (),
        **settings: object,
    ) -> None:
        self.directory = directory
        self.address: Address = str(directory / "s") if unix else ("127.0.0.1", free_port())
        self.bind = f"unix:{self.address}" if isinstance(self.address, str) else f"{self.address[0]}:{self.address[1]}"
        self._settings = {**_SETTINGS, "worker_class": worker_class, "bind": self.bind, **settings}
        self._hooks, self._boots = hooks, boots
        environment = {name: value for name, value in os.environ.items() if not is_ours(name)}
        environment |= {"PYTHONPATH": os.pathsep.join([str(directory), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"GUNICORN_BIND": self.bind} if conf else {}
        environment |= env or {}
        if conf is None:
            self.configure()
        script = Path(sysconfig.get_path("scripts")) / "gunicorn"
        command = [*launcher, sys.executable, script, "-c", conf or self.conf, app]
        super().__init__(command, env=environment, cwd=directory, pass_fds=pass_fds)

    def __enter__(self) -> Self:
        """Start it and wait until every worker serves."""
        super().__enter__()
        if self._boots:
            try:
                self.wait_for_log("Application startup complete", count=int(str(self._settings["workers"])))
            except BaseException as error:
                super().__exit__(type(error), error, error.__traceback__)
                self._kill_group()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it; fail if one of its processes outlives it."""
        try:
            super().__exit__(kind, error, traceback)
            if error is None:
                self.assert_nothing_left()
        finally:
            self._kill_group()

    # ------------------------------------------------------------------------------------------------ configuration
    @property
    def conf(self) -> Path:
        """The configuration file that a reload reads again."""
        return self.directory / "conf.py"

    def configure(self, *lines: str, **settings: object) -> None:
        """Write the configuration file: settings as at the start, changed by ``settings``, then ``lines``."""
        self._settings |= settings
        head = [_HOOKS] if self._hooks else []
        body = [f"{name} = {value!r}" for name, value in self._settings.items()]
        self.conf.write_text("\n".join([*head, *body, *lines, ""]), encoding="utf-8")

    # ----------------------------------------------------------------------------------------------------- requests
    def connect(self) -> Connection:
        """Open a connection."""
        return Connection(self.address)

    def ask(self, path: str = "/") -> int:
        """POST on a connection of its own, expect 200, and return the pid that answered."""
        with self.connect() as connection:
            response = connection.post(path)
        assert response.status == 200, response
        return response.pid

    def connect_to(self, pid: int) -> Connection:
        """Open connections until one is accepted by that worker; it has served one request then."""
        found: list[Connection] = []

        def attempt() -> bool:
            connection = self.connect()
            if connection.post().pid == pid:
                found.append(connection)
                return True
            connection.close()
            return False

        wait_until(attempt, what=f"a connection to worker {pid}")
        return found[0]

    # ---------------------------------------------------------------------------------------------------- processes
    def worker_pids(self, master: int | None = None) -> list[int]:
        """Return the children of the master, oldest first."""
        return sorted(process.pid for process in processes() if process.ppid == (master or self.pid))

    def wait_for_workers(self, count: int, *, without: Sequence[int] = (), seconds: float = 60.0) -> list[int]:
        """Wait until exactly so many workers exist, all of them ready and none of ``without`` among them."""

        def settled() -> list[int]:
            pids = self.worker_pids()
            ready = {int(pid) for pid in re.findall(r"handover: worker (\d+) is ready", self.output())}
            return pids if len(pids) == count and ready.issuperset(pids) and not set(pids) & set(without) else []

        return wait_until(settled, seconds=seconds, what=f"{count} ready workers, none of {list(without)}")

    def wait_for_arbiter_pass(self) -> None:
        """Return after the arbiter has looked at its workers: it does so after every signal, and ignores SIGWINCH."""
        for _ in range(2):
            count = len(self.found("Handling signal: winch"))
            self.send_signal(signal.SIGWINCH)
            self.wait_for_log("Handling signal: winch", count=count + 1)

    def assert_nothing_left(self) -> None:
        """Wait a moment for the last process of the group to go; fail if it does not."""
        wait_until(lambda: not self._group(), seconds=60.0, what=f"the end of every process of {self.pid}")

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = 60.0) -> int:
        """Signal the master, wait for the end of every process of the group, and return the exit status."""
        self.send_signal(number)
        status = self.wait(seconds)
        self.assert_nothing_left()
        return status

    def _group(self) -> list[int]:
        return [process.pid for process in processes() if process.group == self.pid]

    def _kill_group(self) -> None:
        for pid in self._group():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # ---------------------------------------------------------------------------------------------------------- log
    def found(self, pattern: str) -> list[re.Match[str]]:
        """Return every match of a regular expression in the output so far."""
        return list(re.finditer(pattern, self.output()))

    def wait_for_log(self, pattern: str, *, count: int = 1, seconds: float = 60.0) -> re.Match[str]:
        """Wait for the ``count``-th match and return it; fail at once when the server ends without it."""

        def enough() -> bool:
            return self.returncode is not None or len(self.found(pattern)) >= count

        wait_until(enough, seconds=seconds, what=f"match {count} of {pattern!r} in the log")
        if self.returncode is not None:
            self.wait()
        matches = self.found(pattern)
        assert len(matches) >= count, f"status {self.returncode} without match {count} of {pattern!r}"
        return matches[count - 1]

    def lifespan(self, event: str) -> list[int]:
        """Return the pids that have noted an event: ``enters``, ``startup`` or ``shutdown``."""
        notes = self.directory / "lifespan.log"
        lines = notes.read_text(encoding="ascii").splitlines() if notes.exists() else []
        return [int(line.split()[1]) for line in lines if line.split()[0] == event]

    def wait_for_lifespan(self, event: str, *, count: int) -> int:
        """Wait until so many workers have noted an event and return the pid of the last one."""
        wait_until(lambda: len(self.lifespan(event)) >= count, seconds=60.0, what=f"lifespan event {count} of {event}")
        return self.lifespan(event)[count - 1]
