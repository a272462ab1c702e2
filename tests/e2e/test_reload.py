"""SIGHUP: the whole new generation first; a new generation that cannot serve changes nothing."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.server import ROOT, Gunicorn
from tests.support.wire import Connection, Load, request

_GOOD = "from tests.e2e.apps.service import app\n"


def test_old_generation_serves_until_the_new_one_is_ready(tmp_path: Path) -> None:
    """No old worker stops accepting before the last new one has finished its startup, and then all of them leave."""
    with Gunicorn(tmp_path, workers=2) as server:
        old = server.wait_for_workers(2)
        (tmp_path / "hold").touch()
        server.send_signal(signal.SIGHUP)
        server.wait_for_lifespan("enters", count=4)
        assert {server.ask() for _ in range(20)} <= set(old)
        server.wait_for_arbiter_pass()
        assert not server.found("may leave")
        (tmp_path / "hold").unlink()
        new = server.wait_for_workers(2, without=old)
        ready = [server.wait_for_log(rf"\[{pid}\] \[INFO\] Application startup complete").start() for pid in new]
        assert max(ready) < server.wait_for_log(r"may leave \(reload\)").start()
        server.wait_for_log(r"gone \(reload\)", count=2)
        assert sorted(server.lifespan("shutdown")) == old
        assert server.stop() == 0


@pytest.mark.parametrize("reuse", [False, True], ids=["fresh", "reused"])
def test_reloads_lose_nothing(tmp_path: Path, reuse: bool) -> None:
    """POSTs without a pause meet no error during three reloads."""
    with Gunicorn(tmp_path) as server:
        with Load(server.address, reuse=reuse) as load:
            for count in range(1, 4):
                server.send_signal(signal.SIGHUP)
                server.wait_for_log(r"gone \(reload\)", count=count)
        assert load.failures == []
        assert len(load.pids) >= 3


def test_idle_connection_survives_a_reload(tmp_path: Path) -> None:
    """A POST on a connection that was idle during a reload is answered by the old worker, which says why it leaves."""
    with Gunicorn(tmp_path) as server, server.connect() as idle:
        old = idle.post().pid
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(r"drains \(reload\)")
        answer = idle.post()
        assert answer.pid == old
        assert answer.closes is True
        assert answer.data["draining"] is True
        assert answer.data["stopping"] is False
        assert answer.data["reason"] == "reload"


def test_lifespan_of_the_new_generation_fails(tmp_path: Path) -> None:
    """While new workers cannot start, old ones serve and the waits grow; the first good start takes over by itself."""
    with Gunicorn(tmp_path) as server:
        old = server.wait_for_workers(1)
        (tmp_path / "broken").touch()
        server.send_signal(signal.SIGHUP)
        for failure, wait in ((1, 1), (2, 2)):
            server.wait_for_log(rf"\(failure {failure} in a row\): 1 workers keep serving, next try in {wait} s")
            assert [server.ask() for _ in range(3)] == old * 3
        assert not server.found("may leave")
        (tmp_path / "broken").unlink()
        server.wait_for_workers(1, without=old)
        server.wait_for_log(rf"worker {old[0]} gone \(reload\)")
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("app = (", "SyntaxError"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("", "Failed to find attribute"),
    ],
    ids=["syntax", "import", "attribute"],
)
def test_code_of_the_new_generation_is_broken(tmp_path: Path, code: str, message: str) -> None:
    """New code that cannot be imported is reported and leaves the old workers serving until it is repaired."""
    module = tmp_path / "edited.py"
    module.write_text(_GOOD, encoding="utf-8")
    with Gunicorn(tmp_path, app="edited:app") as server:
        old = server.wait_for_workers(1)
        module.write_text(code, encoding="utf-8")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(r"could not boot \(failure 1 in a row\): 1 workers keep serving")
        server.wait_for_log(message)
        assert [server.ask() for _ in range(3)] == old * 3
        module.write_text(_GOOD, encoding="utf-8")
        server.wait_for_workers(1, without=old)
        assert server.stop() == 0


def test_new_generation_is_killed_by_a_newer_one(tmp_path: Path) -> None:
    """A second SIGHUP while the new generation still starts replaces both generations by a third."""
    with Gunicorn(tmp_path) as server:
        first = server.wait_for_workers(1)
        (tmp_path / "hold").touch()
        server.send_signal(signal.SIGHUP)
        second = server.wait_for_lifespan("enters", count=2)
        server.send_signal(signal.SIGHUP)
        third = server.wait_for_lifespan("enters", count=3)
        assert server.ask() == first[0]
        (tmp_path / "hold").unlink()
        assert server.wait_for_workers(1, without=[*first, second]) == [third]
        assert server.stop() == 0


def test_first_boot_failure_halts(tmp_path: Path) -> None:
    """At the very first boot a failing lifespan stops gunicorn with status 3, as without this worker class."""
    (tmp_path / "broken").touch()
    with Gunicorn(tmp_path, boots=False) as server:
        assert server.wait() == 3
        assert server.found("Worker failed to boot")
        server.assert_nothing_left()


def test_first_import_failure_halts(tmp_path: Path) -> None:
    """At the very first boot an application that cannot be found stops gunicorn with status 4."""
    with Gunicorn(tmp_path, app="tests.e2e.apps.service:missing", boots=False) as server:
        assert server.wait() == 4
        assert server.found("App failed to load")


_UNUSABLE = {
    "raises": "raise ValueError('half edited')",
    "exits": "raise SystemExit('half edited')",
    "syntax": "workers = (",
    "value": "workers = 'many'",
    "hook exits": "def on_reload(server):\n    raise SystemExit(1)",
    "another class": "worker_class = 'uvicorn_worker.UvicornWorker'",
    "no such class": "worker_class = 'gunicorn_handover.Misspelt'",
    "reuse_port": "reuse_port = True",
    "http2": "worker_class = 'tests.e2e.apps.classes.Http2'",
    "hook raises": "def on_reload(server):\n    raise ValueError('half edited')",
    "pidfile": "pidfile = '/no/such/directory/pid'",
}


@pytest.mark.parametrize("line", _UNUSABLE.values(), ids=_UNUSABLE.keys())
def test_configuration_that_cannot_be_used(tmp_path: Path, line: str) -> None:
    """SIGHUP with an unusable configuration changes nothing and says so; recycles and a later, good reload work."""
    with Gunicorn(tmp_path, max_requests=4) as server:
        old = server.wait_for_workers(1)
        server.configure(line)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("reload refused")
        assert server.worker_pids() == old
        assert [server.ask() for _ in range(4)] == old * 4
        [recycled] = server.wait_for_workers(1, without=old)
        server.configure(workers=2)
        server.send_signal(signal.SIGHUP)
        server.wait_for_workers(2, without=[*old, recycled])
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("another class", "handover: a reload cannot change worker_class: restart gunicorn instead"),
        ("reuse_port", "HandoverWorker cannot work with reuse_port"),
        ("http2", "HandoverWorker cannot work with uvicorn's http2"),
    ],
)
def test_configuration_that_cannot_hand_over(tmp_path: Path, name: str, reason: str) -> None:
    """What would stop gunicorn at its start is refused at SIGHUP too, before a worker is forked, in one line."""
    with Gunicorn(tmp_path) as server:
        old = server.wait_for_workers(1)
        server.configure(_UNUSABLE[name])
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(rf"reload refused, the old configuration stays in force: {reason}")
        server.wait_for_arbiter_pass()
        assert server.worker_pids() == old
        assert len(server.found("Booting worker")) == 1
        assert not server.found("Traceback")


def test_ladder_that_does_not_hold(tmp_path: Path) -> None:
    """SIGHUP after .env broke the ladder names the rule and changes nothing; a repaired .env takes effect."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("WEB_CONCURRENCY=1\n", encoding="utf-8")
    with Gunicorn(tmp_path, conf=ROOT / "gunicorn_conf.py") as server:
        old = server.wait_for_workers(1)
        dotenv.write_text("WEB_CONCURRENCY=1\nGUNICORN_TIMEOUT=500\n", encoding="utf-8")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("reload refused")
        server.wait_for_log(r"GUNICORN_TIMEOUT=500 \(.env\): must be at most 179, or raise PROXY_READ_TIMEOUT to 750")
        assert [server.ask() for _ in range(3)] == old * 3
        dotenv.write_text("WEB_CONCURRENCY=2\n", encoding="utf-8")
        server.send_signal(signal.SIGHUP)
        server.wait_for_workers(2, without=old)
        assert server.stop() == 0


def test_stop_during_the_drain_of_a_reload(tmp_path: Path) -> None:
    """SIGTERM while an old worker still drains after a reload reaches the new workers at once."""
    with Gunicorn(tmp_path, graceful_timeout=120) as server, server.connect() as busy:
        busy.send(request("/gate?file=open"))
        server.wait_for_lifespan("waits", count=1)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(r"drains \(reload\)")
        server.terminate()
        server.wait_for_log(r"leaves \(stop\)", seconds=40)
        (tmp_path / "open").touch()
        assert busy.response().status == 200
        assert server.wait(60) == 0


def test_address_that_is_taken(tmp_path: Path) -> None:
    """SIGHUP with an address that another process listens on changes nothing: the workers that follow still listen."""
    with Gunicorn(tmp_path, max_requests=2) as server, socket.create_server(("127.0.0.1", 0)) as other:
        old = server.wait_for_workers(1)
        server.configure(bind=f"127.0.0.1:{other.getsockname()[1]}")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("reload refused")
        assert [server.ask() for _ in range(2)] == old * 2
        server.wait_for_workers(1, without=old)
        assert server.ask() not in old
        assert server.stop() == 0


def test_refused_reload_leaves_files_and_listeners(tmp_path: Path) -> None:
    """After a reload that was refused for its address, the pid file is there and SIGUSR2 can pass the listener on."""
    pidfile = tmp_path / "pid"
    with Gunicorn(tmp_path, pidfile=str(pidfile)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        server.configure(bind=f"127.0.0.1:{other.getsockname()[1]}")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("reload refused")
        assert int(pidfile.read_text(encoding="ascii")) == server.pid
        server.configure(bind=server.bind)
        server.send_signal(signal.SIGUSR2)
        server.wait_for_log("is ready", count=2)
        new_master = int(server.wait_for_log(r"Listening at: \S+ \((\d+)\)", count=2).group(1))
        server.terminate()
        wait_until(lambda: server.returncode is not None, what="the end of the old master")
        assert [server.ask()] == server.worker_pids(new_master)
        os.kill(new_master, signal.SIGTERM)
        server.assert_nothing_left()
        assert not pidfile.exists()


def test_refused_reload_keeps_the_scale(tmp_path: Path) -> None:
    """A refused SIGHUP leaves the number of workers at what SIGTTIN made it."""
    with Gunicorn(tmp_path) as server:
        server.send_signal(signal.SIGTTIN)
        both = server.wait_for_workers(2)
        server.configure("raise ValueError('half edited')")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("reload refused")
        server.send_signal(signal.SIGTTIN)
        assert set(server.wait_for_workers(3)) > set(both)
        assert not server.found("may leave")


def test_address_changes(tmp_path: Path) -> None:
    """SIGHUP with another, free address moves the new generation there, while the old one serves its connections."""
    with Gunicorn(tmp_path) as server, server.connect() as idle:
        old = idle.post().pid
        port = free_port()
        server.configure(bind=f"127.0.0.1:{port}")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log(r"drains \(reload\)")
        with Connection(("127.0.0.1", port)) as moved:
            assert moved.post().pid != old
        assert idle.post().pid == old


def test_preloaded_code_is_broken(tmp_path: Path) -> None:
    """SIGHUP that makes the master itself load broken code changes nothing."""
    module = tmp_path / "edited.py"
    module.write_text(_GOOD, encoding="utf-8")
    with Gunicorn(tmp_path, app="edited:app") as server:
        old = server.wait_for_workers(1)
        module.write_text("app = (", encoding="utf-8")
        server.configure(preload_app=True)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("reload refused")
        assert [server.ask() for _ in range(3)] == old * 3
