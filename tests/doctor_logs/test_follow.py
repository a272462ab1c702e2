"""Following logs that grow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from no502.doctor.logs.follow import followed
from tests.support.commands import ROOT
from tests.support.polling import wait_until


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
    log, output = tmp_path / "gunicorn.log", tmp_path / "output"
    log.touch()
    command = [sys.executable, "-m", "no502", "doctor", "logs", "--follow", str(log)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with output.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file, env=environment) as process:
        try:
            wait_until(lambda: b"following" in output.read_bytes(), seconds=60, what="the first look")
            with log.open("ab") as stream:
                stream.write(b"[2026-11-30 22:14:02 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)\n")
            wait_until(lambda: b"22:14:02 L951" in output.read_bytes(), seconds=60, what="the message")
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 1
        finally:
            process.kill()
    shown = output.read_text(encoding="utf-8")
    assert "The arbiter heard nothing from the worker" in shown
    assert "What happened, 2026-11-30 22:14:02" in shown
    assert "Traceback" not in shown


def test_standard_input_cannot_be_followed() -> None:
    """It is refused with what to do, before anything is read."""
    command = [sys.executable, "-m", "no502", "doctor", "logs", "--follow", "-"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 2
    assert "--follow needs files" in done.stderr
