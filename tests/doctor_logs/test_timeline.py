"""The verdict: what happened, joined from the logs of nginx, gunicorn and the kernel by time and process."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from no502.doctor.logs import timeline
from no502.doctor.logs.access import AccessLog
from no502.doctor.logs.cli import moment
from no502.doctor.logs.findings import Findings, Window
from no502.doctor.logs.report import to_text
from no502.doctor.logs.timeline import Episode
from no502.errors import UserError

TIMEOUT = "[2026-11-30 22:14:02 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)"
ABORTED = "[2026-11-30 22:14:03 +0000] [1] [ERROR] Worker (pid:7) was sent SIGABRT!"
KILLED = "[2026-11-30 22:20:12 +0000] [1] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out of memory?"
TERM = "[2026-11-30 22:20:02 +0000] [1] [INFO] Handling signal: term"
MEMORY = "[2026-11-30 22:20:11 +0000] kernel: Memory cgroup out of memory: Killed process 9 (gunicorn) total-vm:1kB"
RECYCLED = "[2026-11-30 22:30:00 +0000] [11] [INFO] Maximum request limit of 300 exceeded. Terminating process."


def lost(time: str, request: str = "POST /orders", message: str = "") -> str:
    """Return a line of nginx about a request that failed."""
    text = message or "upstream prematurely closed connection while reading response header from upstream"
    method, path = request.split()
    return (
        f"2026/11/30 {time} [error] 7#7: *71 {text}, client: 192.0.2.7, server: x, "
        f'request: "{method} {path} HTTP/1.1", upstream: "http://127.0.0.1:8000{path}", host: "x"'
    )


def episodes(*lines: str, window: Window | None = None) -> list[Episode]:
    """Return what happened according to some lines."""
    findings = Findings(window=window)
    findings.read([line.encode() for line in lines])
    return findings.timeline.episodes()


def test_blocked_worker_takes_its_requests() -> None:
    """A timeout, the abort that follows it and the requests that nginx lost are one thing that happened."""
    (found,) = episodes(lost("22:14:03", "GET /report"), lost("22:14:03", "GET /report"), TIMEOUT, ABORTED)
    assert found.kind == "blocked"
    assert found.pid == 7
    assert found.lost == 2
    assert found.requests == {"GET /report": 2}
    assert found.servers == {"http://127.0.0.1:8000": 2}
    assert "not memory" in found.text()


def test_sigkill_without_reason_asks_for_the_kernels_log() -> None:
    """gunicorn's guess about memory is not repeated as a fact."""
    (found,) = episodes(KILLED, lost("22:20:12"))
    assert "without a timeout: check the kernel log" in found.verdict
    assert found.lost == 1


def test_sigkill_after_a_signal_is_the_end_of_its_grace() -> None:
    """A worker that is killed some seconds after a stop did not finish in time."""
    found = episodes(TERM, KILLED, lost("22:20:12"))
    assert ['10 s after "Handling signal: term": it did not finish in time' in one.verdict for one in found] == [True]


def test_kernel_names_the_limit() -> None:
    """With the kernel's line of the same process it is memory, and whose limit."""
    (found,) = episodes(KILLED, MEMORY, lost("22:20:12"))
    assert found.kind == "out of memory"
    assert "the limit of its cgroup" in found.verdict


def test_same_process_numbers_hours_apart_are_two_things() -> None:
    """A process number is used again."""
    later = KILLED.replace("22:20", "23:59")
    assert len(episodes(KILLED, later)) == 2


def test_recycling_is_shown_only_if_it_cost_a_request() -> None:
    """With the handover a recycle is no event; one that loses requests is."""
    assert episodes(RECYCLED) == []
    (found,) = episodes(RECYCLED, lost("22:30:00"))
    assert found.kind == "recycled"
    assert found.pid == 11


def test_reset_without_an_event_is_the_race_or_a_quiet_log() -> None:
    """If gunicorn's log was read and says nothing at that time, the keep-alive race remains."""
    found = episodes(TIMEOUT, lost("23:00:00"))
    assert "the keep-alive race, or gunicorn's log level" in found[-1].verdict


def test_reset_without_gunicorns_log_draws_no_conclusion() -> None:
    """nginx's log alone does not tell the causes apart, and the verdict says what is missing."""
    (found,) = episodes(lost("23:00:00"))
    assert "add its own log to see why" in found.verdict


def test_read_timeout_is_not_charged_to_a_signal() -> None:
    """A reload closes connections; it makes no request wait for a minute."""
    text = "upstream timed out (110: Connection timed out) while reading response header from upstream"
    found = episodes(TERM, lost("22:20:02", message=text))
    assert [one.ids for one in found] == [["L913"]]


def test_retried_request_is_not_lost() -> None:
    """What the access log shows as answered is in no episode."""
    access = AccessLog()
    entry = {
        "time": "2026-11-30T23:00:00+00:00",
        "connection": "71",
        "method": "GET",
        "uri": "/report",
        "status": "200",
        "upstream_status": "502, 200",
    }
    access.read([json.dumps(entry).encode()])
    findings = Findings(access)
    findings.read([lost("23:00:00", "GET /report").encode()])
    assert findings.seen["L911"].saved == 1
    assert findings.timeline.episodes() == []


def test_episodes_are_in_the_order_of_time() -> None:
    """The order of the files does not matter."""
    found = episodes(lost("23:00:00"), KILLED, TIMEOUT)
    assert [one.time[11:] for one in found] == ["22:14:02", "22:20:12", "23:00:00"]


def test_text_begins_with_what_happened() -> None:
    """The verdict stands before the messages, and what was lost is summed up by cause."""
    findings = Findings()
    findings.read([line.encode() for line in (lost("22:14:03", "GET /report"), TIMEOUT, KILLED, lost("22:20:13"))])
    text = to_text(findings)
    assert text.startswith("What happened, 2026-11-30 22:14:02 to 2026-11-30 22:20:12:")
    assert "2 requests lost in nginx's error log: 1 by a blocked event loop, 1 by SIGKILL" in text
    assert text.index("What happened") < text.index("L951 worker-timeout")


def test_different_time_zones_are_suspected() -> None:
    """Losses and worker events that never meet are said, since nothing in the lines names nginx's zone."""
    findings = Findings()
    findings.read([TIMEOUT.encode(), lost("20:14:03").encode()])
    assert "the logs have different time zones" in " ".join(to_text(findings).split())


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limits lines are only counted, and the report says how many."""
    monkeypatch.setattr(timeline, "MOST_EVENTS", 1)
    monkeypatch.setattr(timeline, "MOST_LOST", 1)
    findings = Findings()
    findings.read([line.encode() for line in (TIMEOUT, KILLED, lost("22:14:03"), lost("22:20:12"))])
    assert findings.timeline.forgotten == 2
    assert "2 further lines not joined" in to_text(findings)


def test_impossible_date_is_in_no_episode() -> None:
    """A damaged line does not end the reading."""
    assert episodes(TIMEOUT.replace("11-30", "11-31")) == []


def test_window_leaves_out_what_is_outside() -> None:
    """Lines before --since and after --until are not counted; one without a time belongs to the line before it."""
    window = Window("2026-11-30 22:20:00", "2026-11-30 22:21:00")
    findings = Findings(window=window)
    lines = [TIMEOUT, "OSError: [Errno 24] Too many open files", KILLED, "MemoryError", lost("22:21:01")]
    findings.read([line.encode() for line in lines])
    assert set(findings.seen) == {"L952", "L990"}


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("2026-11-30", False, "2026-11-30 00:00:00"),
        ("2026-11-30", True, "2026-11-30 23:59:59"),
        ("2026-11-30 22:14", False, "2026-11-30 22:14:00"),
        ("2026-11-30T22:14", True, "2026-11-30 22:14:59"),
        ("2026-11-30 22:14:03", True, "2026-11-30 22:14:03"),
        ("22:14", False, "2026-12-01 22:14:00"),
        ("90s", False, "2026-12-01 11:58:30"),
        ("2h", False, "2026-12-01 10:00:00"),
        ("1d", True, "2026-11-30 12:00:00"),
    ],
)
def test_moments(text: str, *, end: bool, expected: str) -> None:
    """Each documented form of --since and --until."""
    now = datetime(2026, 12, 1, 12, tzinfo=UTC)
    assert moment("--since", text, end=end, now=now) == expected


@pytest.mark.parametrize("text", ["yesterday", "25:99", "2026-02-31", "2026-11-30 22", "", "10"])
def test_wrong_moment_is_refused(text: str) -> None:
    """The message names the option, the value and the forms that are allowed."""
    with pytest.raises(UserError, match="--until") as raised:
        moment("--until", text)
    assert "2026-11-30" in str(raised.value)
