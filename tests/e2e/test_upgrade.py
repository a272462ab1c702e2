"""Ways to run it: binary upgrade, preloading, socket activation, unix sockets."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.server import Gunicorn, processes
from tests.support.wire import Load

_ACTIVATOR = Path(__file__).parent / "apps" / "activator.py"


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_binary_upgrade(tmp_path: Path, unix: bool) -> None:
    """SIGUSR2 and then SIGTERM to the old master move the service to a new master without losing a POST."""
    with Gunicorn(tmp_path, unix=unix) as server:
        with Load(server.address, reuse=True) as reused, Load(server.address) as fresh:
            server.send_signal(signal.SIGUSR2)
            server.wait_for_log("handover: worker .* is ready", count=2)
            new_master = int(server.wait_for_log(r"Listening at: \S+ \((\d+)\)", count=2).group(1))
            server.terminate()
            wait_until(lambda: server.returncode is not None, what="the end of the old master")
            wait_until(lambda: fresh.pids[server.worker_pids(new_master)[0]], what="an answer of the new worker")
        assert reused.failures + fresh.failures == []
        assert server.returncode == 0
        os.kill(new_master, signal.SIGTERM)
        server.assert_nothing_left()
        assert len(server.lifespan("shutdown")) == 2


def test_binary_upgrade_that_fails(tmp_path: Path) -> None:
    """When the new binary's workers cannot boot, its master ends and the old one goes on as if nothing had happened."""
    with Gunicorn(tmp_path, max_requests=3) as server:
        old = server.wait_for_workers(1)
        (tmp_path / "broken").touch()
        server.send_signal(signal.SIGUSR2)
        server.wait_for_log("Reason: Worker failed to boot")
        wait_until(lambda: server.worker_pids() == old, what="the end of the new master")
        (tmp_path / "broken").unlink()
        assert [server.ask() for _ in range(3)] == old * 3
        server.wait_for_workers(1, without=old)
        assert server.stop() == 0


def test_preloaded_application(tmp_path: Path) -> None:
    """With preload_app a recycle and a reload hand over in the same way."""
    with Gunicorn(tmp_path, preload_app=True, max_requests=40) as server:
        with Load(server.address) as load:
            server.wait_for_log(r"gone \(max_requests\)")
            server.send_signal(signal.SIGHUP)
            server.wait_for_log(r"gone \(reload\)")
        assert load.failures == []
        server.wait_for_workers(1)
        assert server.stop() == 0


def test_unix_socket(tmp_path: Path) -> None:
    """On a unix socket a recycle and a reload lose nothing, and a stop removes the socket."""
    with Gunicorn(tmp_path, unix=True, max_requests=40) as server:
        with Load(server.address) as load, Load(server.address, reuse=True) as reused:
            server.wait_for_log(r"gone \(max_requests\)", count=2)
            server.send_signal(signal.SIGHUP)
            server.wait_for_log(r"gone \(reload\)")
        assert load.failures + reused.failures == []
        assert server.stop() == 0
        assert not Path(str(server.address)).exists()


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_socket_activation(tmp_path: Path, unix: bool) -> None:
    """With a socket that outlives gunicorn, connections made during a restart wait and are served; none is refused."""
    launcher: list[str | Path] = [sys.executable, _ACTIVATOR, tmp_path / "s" if unix else tmp_path / "port"]
    with Gunicorn(tmp_path, unix=unix, launcher=launcher, max_requests=40) as server:
        if not unix:
            server.address = ("127.0.0.1", int((tmp_path / "port").read_text(encoding="ascii")))
        [master] = server.worker_pids()
        with Load(server.address) as load:
            server.wait_for_log(r"gone \(max_requests\)")
            os.kill(master, signal.SIGTERM)
            server.wait_for_log("Starting gunicorn", count=2)
            wait_until(lambda: master not in {process.pid for process in processes()}, what="the end of the old master")
            served = sum(load.pids.values())
            wait_until(lambda: sum(load.pids.values()) > served, what="an answer after the restart")
        assert load.failures == []
        assert server.stop() == 0
