"""The page that --html writes."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.logs.findings import Findings
from no502.doctor.logs.page import to_html
from tests.support.browser import title_after

_LOST = (
    "2026/11/30 22:14:{second:02} [error] 7#7: *71 upstream prematurely closed connection while reading response "
    'header from upstream, client: 192.0.2.7, server: x, request: "POST {path} HTTP/1.1", '
    'upstream: "http://127.0.0.1:8000{path}", host: "x"'
)
_TIMEOUT = "[2026-11-30 22:14:02 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)"


def page(*lines: str) -> str:
    """Return the page about some lines."""
    findings = Findings()
    findings.read([line.encode() for line in lines])
    return to_html(findings)


def test_lost_requests_and_events_are_drawn() -> None:
    """A bar for each part of the time in which requests were lost, a line for each event of a process."""
    text = page(_TIMEOUT, *(_LOST.format(second=second, path="/orders") for second in (3, 3, 40)))
    assert text.count("<rect ") == 2
    assert text.count("stroke-dasharray") == 1
    assert "<title>22:14:03: 2 requests lost</title>" in text
    assert "<title>22:14:02 worker 7 blocked" in text


def test_verdict_and_messages_are_on_it() -> None:
    """The table has each event with its losses; each message has its causes and fixes."""
    text = page(_TIMEOUT, _LOST.format(second=3, path="/orders"))
    assert "not memory; 1 request lost: POST /orders [L951, L911]</td>" in text
    assert '<td class="count error">1</td>' in text
    assert text.count("<details open>") == 2
    assert "<h3>Permanent fix</h3>" in text


def test_it_loads_nothing() -> None:
    """No script, no address: it can be sent to a colleague and opened without a network."""
    text = page(_TIMEOUT, _LOST.format(second=3, path="/orders"))
    assert re.findall(r"<script|<link|\bsrc=|\bhref=|url\(", text) == []


def test_content_of_logs_is_escaped() -> None:
    """A path that is HTML is shown as text."""
    text = page(_LOST.format(second=3, path="/<script>alert(1)</script>"))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_lines_without_time_need_no_chart() -> None:
    """Without times there is no chart, and the messages are there."""
    text = page("app-1 exited with code 137")
    assert "<svg" not in text
    assert "L821" in text


def test_command_writes_it(tmp_path: Path) -> None:
    """The report is printed as always, and the page stands in the file."""
    (tmp_path / "log").write_text(_TIMEOUT + "\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["doctor", "logs", str(tmp_path / "log"), "--html", str(tmp_path / "page.html")])
    assert done.exit_code == 1
    assert "What happened" in done.output
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The report is printed, the reason named, and the exit code is 2."""
    (tmp_path / "log").write_text(_TIMEOUT + "\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["doctor", "logs", str(tmp_path / "log"), "--html", str(tmp_path / "no" / "page")])
    assert done.exit_code == 2
    assert "No such file or directory; name a file" in done.output


def test_it_fits_on_a_telephone(tmp_path: Path) -> None:
    """Nothing sticks out at a width of 390 pixels."""
    lines = [_TIMEOUT, *(_LOST.format(second=second, path="/orders/" + "x" * 200) for second in range(50))]
    (tmp_path / "page.html").write_text(page(*lines), encoding="utf-8")
    script = "addEventListener('load', () => { document.title = document.documentElement.scrollWidth <= innerWidth })"
    assert title_after(tmp_path / "page.html", script, profile=tmp_path / "chromium") == "true"
