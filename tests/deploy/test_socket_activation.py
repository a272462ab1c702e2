"""gunicorn on a socket that another process holds, as systemd does: while it is away connections wait.

The test plays systemd's part and keeps the listening socket; ``systemd-socket-activate`` waits for the first connection
and hands the socket over as systemd would.
"""

import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy.gateway import Gateway
from tests.support.polling import wait_until
from tests.support.server import Gunicorn
from tests.support.wire import Connection, Load, request

_RESTARTS = 3
_SECONDS = 40.0
_HAND_OVER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


@pytest.fixture(name="listener")
def _listener(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of the .socket unit: it outlives every gunicorn."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(2048)
        yield listener


def _activated(directory: Path, listener: socket.socket) -> Gunicorn:
    """Return a gunicorn that starts with the first connection; entering it does not wait."""
    program = shutil.which("systemd-socket-activate")
    assert program, "systemd-socket-activate is missing: apt-get install systemd"
    kept = [word for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "GUNICORN_BIND") for word in ("-E", name)]
    launcher = [sys.executable, "-c", _HAND_OVER, str(listener.fileno()), program, *kept]
    bind = {"GUNICORN_BIND": f"unix:{directory / 's'}"}
    return Gunicorn(directory, unix=True, launcher=launcher, pass_fds=[listener.fileno()], boots=False, env=bind)


def _answered(loads: list[Load]) -> int:
    return min(sum(load.pids.values()) for load in loads)


def test_restarts_under_load_lose_nothing(tmp_path: Path, listener: socket.socket) -> None:
    """POSTs go on over stop and start, directly and through nginx: each is answered 200, those sent meanwhile too."""
    address = tmp_path / "s"
    with Gateway.before(tmp_path / "nginx", f"unix:{address}") as gateway, ExitStack() as stack:
        loads = [Load(str(address)), Load(gateway.address), Load(gateway.address)]
        for load in loads:
            stack.enter_context(load)
        for number in range(_RESTARTS):
            with Connection(str(address), seconds=_SECONDS) as waiting:  # made while no gunicorn exists
                waiting.send(request())
                before = _answered(loads)
                with _activated(tmp_path, listener) as server:
                    assert waiting.response().status == 200
                    waiting.close()  # idle, it would delay the stop
                    wait_until(lambda: _answered(loads) >= before + 5, seconds=_SECONDS, what="answers")  # noqa: B023
                    assert server.stop(seconds=_SECONDS) == 0
            assert address.is_socket(), f"gunicorn has removed a socket that is not its own (restart {number})"
        with _activated(tmp_path, listener):
            before = _answered(loads)
            wait_until(lambda: _answered(loads) >= before + 5, seconds=_SECONDS, what="answers after the restarts")
            stack.close()  # no load may wait when the server stops for good
        assert [load.failures for load in loads] == [[], [], []]


def test_restart_twin(tmp_path: Path) -> None:
    """Without the socket unit the same restart refuses connections, and nginx answers 502."""
    address = tmp_path / "s"
    with Gateway.before(tmp_path / "nginx", f"unix:{address}") as gateway, Load(gateway.address) as load:
        with Gunicorn(tmp_path, unix=True) as server:
            wait_until(lambda: _answered([load]) >= 5, seconds=_SECONDS, what="answers")
            assert server.stop(seconds=_SECONDS) == 0
        with pytest.raises(OSError, match=r"refused|No such file"):
            Connection(str(address))
        wait_until(lambda: "status 502" in load.failures, seconds=_SECONDS, what="a 502 while gunicorn is away")


def test_reload_keeps_the_socket(tmp_path: Path, listener: socket.socket) -> None:
    """ExecReload, SIGHUP: a new worker takes over on the same socket, and no POST is lost."""
    address = str(tmp_path / "s")
    with _activated(tmp_path, listener) as server, Load(address) as load, Load(address, reuse=True) as pooled:
        wait_until(lambda: _answered([load, pooled]) >= 5, seconds=_SECONDS, what="answers")
        [old] = server.wait_for_workers(1, seconds=_SECONDS)
        server.send_signal(signal.SIGHUP)
        [new] = server.wait_for_workers(1, without=[old], seconds=_SECONDS)
        wait_until(lambda: min(load.pids[new], pooled.pids[new]) >= 5, seconds=_SECONDS, what="answers of the new one")
        load.__exit__(None, None, None)
        pooled.__exit__(None, None, None)
        assert load.failures + pooled.failures == []


def test_it_tells_systemd_when_it_has_started(tmp_path: Path) -> None:
    """gunicorn sends READY=1 to NOTIFY_SOCKET: the unit may say Type=notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "n"))
        notified.settimeout(_SECONDS)
        with Gunicorn(tmp_path, unix=True, env={"NOTIFY_SOCKET": str(tmp_path / "n")}):
            assert b"READY=1" in notified.recv(4096).splitlines()
