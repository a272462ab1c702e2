"""``--watch``: a change of a file is judged at once, until Ctrl-C."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.watch import INTERRUPTED, watch
from tests.doctor.report import write
from tests.support.polling import wait_until
from tests.support.processes import Running

PROCFILE = "web: gunicorn -w 4 --max-requests %s shop:app\n"


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Running]:
    """A doctor that watches a folder with one Procfile."""
    folder = write(tmp_path / "shop", {"Procfile": PROCFILE % 9})
    command = [sys.executable, "-m", "no502", "doctor", "--watch", "--format", "concise", "."]
    with Running(command, cwd=folder, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as running:
        yield running


def test_each_change_is_judged_and_ctrl_c_ends_it(watching: Running, tmp_path: Path) -> None:
    """A file that changes, one that comes, a mistake in between; the exit code says that it was interrupted."""
    folder = tmp_path / "shop"
    watching.wait_for_output("S506")
    watching.wait_for_output("watching for changes")
    write(folder, {"Procfile": PROCFILE % "9 --max-requests-jitter 0 --timeout 0"})
    watching.wait_for_output("--- changed: ")
    watching.wait_for_output("B706")
    write(folder, {"doctor.toml": "select = 7\n"})
    watching.wait_for_output("select must be a list")
    (folder / "doctor.toml").unlink()
    wait_until(lambda: watching.output().count("B706") > 1, what="B706 once more")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(30) == 130
    assert "Traceback" not in watching.output()


def test_a_change_while_it_judges_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes after it was read, and before the watch begins, is judged once more, without a wait."""
    [file] = [write(tmp_path, {"Procfile": PROCFILE % 9}) / "Procfile"]
    os.utime(file, (0, 0))
    judged = 0

    def judge() -> list[Path]:
        nonlocal judged
        judged += 1
        if judged == 1:
            file.write_text("web: gunicorn shop:app\n", encoding="utf-8")
        return [file]

    def waits(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("no502.doctor.watch.time.sleep", waits)
    assert watch(judge) == INTERRUPTED
    assert judged == 2


@pytest.mark.parametrize("option", [["--fix"], ["--write-baseline", "known.json"]])
def test_it_only_reads(option: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would write is refused before anything is read."""
    monkeypatch.chdir(write(tmp_path, {"Procfile": PROCFILE % 9}))
    done = CliRunner().invoke(app, ["doctor", "--watch", *option])
    assert "--watch reads only" in str(done.exception)
    assert not (tmp_path / "known.json").exists()
