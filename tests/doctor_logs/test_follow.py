"""Following logs that grow."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from no502.doctor.logs.follow import followed, piped
from no502.doctor.logs.reading import MAX_LINE
from tests.support.commands import ROOT
from tests.support.processes import Running


def _next(batches: Iterator[list[bytes]]) -> list[bytes]:
    return next(batches)


def test_only_what_is_new(tmp_path: Path) -> None:
    """What was there before is not repeated; an unfinished line waits for its end."""
    log = tmp_path / "log"
    log.write_bytes(b"old\n")
    batches = followed([str(log)], wait=lambda _seconds: None)
    assert _next(batches) == []
    with log.open("ab") as file:
        file.write(b"one\ntw")
    assert _next(batches) == [b"one"]
    with log.open("ab") as file:
        file.write(b"o\n")
    assert _next(batches) == [b"two"]


def test_rotated_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    """logrotate's move and its copytruncate both go on with the new content."""
    log = tmp_path / "log"
    log.write_bytes(b"old\n")
    batches = followed([str(log)], wait=lambda _seconds: None)
    assert _next(batches) == []
    log.rename(tmp_path / "log.1")
    log.write_bytes(b"a new and longer file\n")
    assert _next(batches) == [b"a new and longer file"]
    log.write_bytes(b"cut\n")
    assert _next(batches) == [b"cut"]


def test_file_that_does_not_exist_yet(tmp_path: Path) -> None:
    """It is waited for, and read from its beginning."""
    log = tmp_path / "later"
    batches = followed([str(log)], wait=lambda _seconds: None)
    assert _next(batches) == []
    log.write_bytes(b"first\n")
    assert _next(batches) == [b"first"]


def test_command_explains_new_lines_and_reports_at_the_end(tmp_path: Path) -> None:
    """Each new message is printed with its cause; Ctrl-C ends it with the report and the usual exit code."""
    log = tmp_path / "gunicorn.log"
    log.touch()
    command = [sys.executable, "-m", "no502", "doctor", "logs", "--follow", str(log)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with Running(command, env=environment) as following:
        following.wait_for_output("following")
        with log.open("ab") as stream:
            stream.write(b"[2026-11-30 22:14:02 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)\n")
        following.wait_for_output("22:14:02 L951")
        following.send_signal(signal.SIGINT)
        assert following.wait() == 1
        shown = following.output()
    assert "The arbiter heard nothing from the worker" in shown
    assert "What happened, 2026-11-30 22:14:02" in shown
    assert "Traceback" not in shown


def _run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "no502", "doctor", "logs", "--follow", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=120, check=False)


def test_pipe_is_followed_until_it_ends() -> None:
    """``docker compose logs -f | no502 doctor logs --follow -`` explains each line; the end of the pipe is the end."""
    done = _run("-", stdin=b"app-1  | [2026-11-30 22:14:02 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)\n")
    assert done.returncode == 1
    assert b"22:14:02 L951" in done.stdout
    assert b"What happened, 2026-11-30 22:14:02" in done.stdout


def test_endless_line_of_a_pipe_is_bounded() -> None:
    """A line without end is cut off and its rest dropped; the next one is read."""
    stream = io.BytesIO(b"x" * 100_000 + b"\nsecond\n")
    found = [line for batch in piped(stream) for line in batch]
    assert [len(line) for line in found] == [MAX_LINE, 6]


def test_files_and_standard_input_together_are_refused(tmp_path: Path) -> None:
    """What cannot be done is said before anything is read."""
    done = _run("-", str(tmp_path / "log"))
    assert done.returncode == 2
    assert b"either files or standard input" in done.stderr
