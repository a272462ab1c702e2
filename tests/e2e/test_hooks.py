"""Configurations that cannot hand over are told so, in words that say what to do."""

from pathlib import Path

from tests.support.server import UVICORN, Gunicorn

_LINE = "from gunicorn_handover import on_reload, on_starting"


def test_missing_hook_is_named(tmp_path: Path) -> None:
    """Without the arbiter's half the log has the line to add; a retiring worker still serves its idle connection."""
    with Gunicorn(tmp_path, hooks=False, max_requests=2) as server, server.connect() as idle:
        old = idle.post().pid
        assert server.found(rf"WARNING\] handover: .*{_LINE}")
        server.ask()
        server.wait_for_log(rf"worker {old} drains \(max_requests\)")
        answer = idle.post()
        assert answer.status == 200
        assert answer.closes is True
        assert answer.pid == old
        assert server.ask() != old
        assert server.stop() == 0
        assert not server.found("was sent SIG|exited with code")


def test_hook_is_not_asked_for_twice(tmp_path: Path) -> None:
    """With the arbiter's half in place nothing is said about a missing one."""
    with Gunicorn(tmp_path) as server:
        assert not server.found("WARNING")


def test_missing_hook_with_the_documented_line(tmp_path: Path) -> None:
    """The line that the warning prints is enough to get the arbiter's half."""
    with Gunicorn(tmp_path, hooks=False, max_requests=1, boots=False) as server:
        line = server.wait_for_log(r"Add to your gunicorn configuration: (.*)").group(1)
        assert line == _LINE


def test_reuse_port_is_refused(tmp_path: Path) -> None:
    """reuse_port stops gunicorn at the start, with the reason and the remedy."""
    with Gunicorn(tmp_path, reuse_port=True, boots=False) as server:
        assert server.wait() != 0
        assert server.found(r"cannot work with reuse_port \(a draining worker's accept queue is lost\): remove it")


def test_other_class_with_the_hook(tmp_path: Path) -> None:
    """The hook leaves another worker class alone and says that it does not hand over."""
    with Gunicorn(tmp_path, worker_class=UVICORN) as server:
        assert server.found(rf"WARNING\] handover: worker class {UVICORN} does not hand over")
        assert server.stop() == 0
