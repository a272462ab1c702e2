"""The classes that start servers: what they keep, and how they stop."""

import signal
import sys
from pathlib import Path

import pytest

from no502.serve.children import Child, LoggedChild
from no502.serve.ports import free_port
from no502.serve.waiting import NotInTimeError, wait_until

_COUNTS = "print('one'); print('two'); print('three')"
_STAYS = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
_LEAVES_ONE = (
    "import subprocess, sys; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); sys.exit(3)"
)


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(("kept", "lines"), [(None, ["one", "two", "three"]), (2, ["two", "three"])])
def test_last_lines_are_kept(kept: int | None, lines: list[str]) -> None:
    """As many as were asked for; all where no number was given."""
    child = Child("counter", _python(_COUNTS), kept=kept)
    assert child.ended_within(30)
    assert child.lines() == lines


def test_lines_that_were_written_before_are_shown_as_well() -> None:
    """Each has the name before it."""
    child = Child("counter", _python(_COUNTS))
    assert child.ended_within(30)
    child.lines()
    shown: list[str] = []
    child.show_output(shown.append)
    assert shown == ["counter | one", "counter | two", "counter | three"]


def test_output_of_every_start_is_in_the_file(tmp_path: Path) -> None:
    """A second start adds to the file of the first."""
    for _ in range(2):
        child = LoggedChild(_python("print('hello')"), log=tmp_path / "log")
        assert child.ended_within(30)
    assert (tmp_path / "log").read_text(encoding="ascii") == "hello\nhello\n"


def test_who_ignores_sigterm_is_killed() -> None:
    """``stop`` says that it has not ended; ``kill`` ends it."""
    child = Child("stubborn", _python(_STAYS))
    wait_until(lambda: child.lines() == ["up"], what="its line")
    assert not child.stop(0.1)
    child.kill()
    assert child.exit_code == -signal.SIGKILL


def test_kill_ends_what_a_server_has_left_behind() -> None:
    """The group's other processes go too, although the server itself has ended."""
    child = Child("parent", _python(_LEAVES_ONE))
    assert child.ended_within(30)
    assert child.exit_code == 3
    [pid] = child.lines()
    stat = Path(f"/proc/{pid}/stat")
    assert stat.exists()
    child.kill()
    wait_until(lambda: not stat.exists() or stat.read_text("ascii").split()[2] == "Z", what="the end of the other one")


def test_no_port_is_handed_out_twice() -> None:
    """A port that was chosen for one server is not chosen for the next, although nothing listens on it yet."""
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50


def test_a_wait_ends_with_what_it_was_for() -> None:
    """The message has the time, the condition and the last value."""
    with pytest.raises(NotInTimeError, match="waited 0 s for an answer; last value ''"):
        wait_until(lambda: "", seconds=0, what="an answer")
