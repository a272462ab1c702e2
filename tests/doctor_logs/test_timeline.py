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
    assert found[-1].reason == ""


QUIET = "[2026-11-30 09:58:01 +0000] [7] [INFO] Application startup complete."


def test_quiet_gunicorn_is_the_race() -> None:
    """A gunicorn that logs nothing for hours was listening: its log was given, and it hides no INFO line."""
    (found,) = episodes(QUIET, lost("23:00:00"))
    assert found.verdict == (
        "connections closed; gunicorn's log (last line 09:58:01) has no event near it: the keep-alive race"
    )
    assert found.reason == "idle race"


def test_log_that_begins_later_draws_no_conclusion() -> None:
    """A log that was rotated after the loss does not say what happened before."""
    (found,) = episodes(QUIET.replace("09:58", "23:58"), lost("23:00:00"))
    assert "begins later (2026-11-30 23:58:01)" in found.verdict
    assert found.reason == ""


UVICORN = "INFO:     {}"


def test_uvicorns_log_without_times() -> None:
    """uvicorn writes no times: without a stop it is the race, with one it cannot be joined."""
    (found,) = episodes(UVICORN.format("Application startup complete."), lost("23:00:00"))
    assert "uvicorn's log (without times) has no event near it: the keep-alive race" in found.verdict
    (found,) = episodes(
        UVICORN.format("Shutting down"), UVICORN.format("Finished server process [7]"), lost("23:00:00")
    )
    assert "has no times and 2 lines about a stop or failure" in found.verdict


def test_uvicorns_stop_takes_its_requests() -> None:
    """With Docker's times a stop of uvicorn explains what nginx lost."""
    stop = "api-1  | 2026-11-30T23:00:00.123456789Z INFO:     Shutting down"
    (found,) = episodes(stop, lost("23:00:01"))
    assert found.kind == "signal"
    assert found.lost == 1


def test_word_of_an_application_is_no_stop() -> None:
    """Another sentence that begins like uvicorn's is not one."""
    assert episodes("2026-11-30T23:00:00Z INFO:     Shutting down the cache of orders") == []


def test_verdict_has_the_words_of_the_line() -> None:
    """One page is about several texts; the episode shows the one that is in the log, without quoted parts."""
    alert = (
        "SSL_do_handshake() failed (SSL: error:0A000438:SSL routines::tlsv1 alert internal error:SSL alert number 80)"
    )
    (found,) = episodes(lost("23:00:00", message=f"{alert} while SSL handshaking to upstream"))
    assert found.verdict == f"{alert} while SSL handshaking to upstream"


def report(*lines: str) -> str:
    """Return the report about some lines."""
    findings = Findings()
    findings.read([line.encode() for line in lines])
    return to_text(findings)


def test_decided_cause_stands_alone() -> None:
    """A worker that gunicorn killed because it was blocked needs no more memory."""
    killed = KILLED.replace("pid:9", "pid:7").replace("22:20:12", "22:14:03")
    text = report(TIMEOUT, killed, lost("22:14:03")).partition("L952 worker")[2].partition("\n\n")[0]
    assert "cause    1. gunicorn killed it itself" in text
    assert "cause    2." not in text
    assert "run fewer workers" not in text


def test_undecided_causes_all_stand() -> None:
    """Where one of two kills is unexplained, every cause remains possible."""
    killed = KILLED.replace("pid:9", "pid:7").replace("22:20:12", "22:14:03")
    text = report(TIMEOUT, killed, KILLED, lost("22:14:03"))
    assert "run fewer workers" in text


REFUSED = "connect() failed (111: Connection refused) while connecting to upstream"


def test_loopback_inside_a_container_is_the_cause() -> None:
    """The server's own first line says that nginx cannot reach it at another address."""
    bound = UVICORN.format("Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)")
    text = report(bound, lost("23:00:00", message=REFUSED).replace("127.0.0.1:8000", "172.18.0.3:8000"))
    assert "uvicorn listens on 127.0.0.1:8000, nginx asks 172.18.0.3:8000" in text
    assert "1. The application binds another port, or binds 127.0.0.1" in text


@pytest.mark.parametrize("bound", ["http://127.0.0.1:8000", "http://127.0.0.1:9000", "http://0.0.0.0:8000"])
def test_address_that_fits_decides_nothing(bound: str) -> None:
    """The address that nginx asks, another service's port, or every address: the application may be down."""
    asked = "127.0.0.1:8000" if bound == "http://127.0.0.1:8000" else "172.18.0.3:8000"
    text = report(
        UVICORN.format(f"Uvicorn running on {bound} (Press CTRL+C to quit)"),
        lost("23:00:00", message=REFUSED).replace("127.0.0.1:8000", asked),
    )
    assert "listens on" not in text
    assert "1. The application is down" in text


KILLING = "2m   Normal   Killing   pod/app-5c9b7f8d6-x2x4k   Stopping container app"


@pytest.mark.parametrize("message", [REFUSED, REFUSED.replace("111: Connection refused", "113: No route to host")])
def test_pod_that_ended_is_no_matter_of_compose(message: str) -> None:
    """A rollout of Kubernetes gets its own cause and fix."""
    line = lost("23:00:00", message=message).replace("127.0.0.1", "10.1.0.9")
    text = report(line, KILLING)
    assert "1. Kubernetes: the pod ended before its Service" in text
    assert "docker" not in text
    assert "S505" in text
    assert "1. Kubernetes" not in report(line)


def test_missing_ipv6_loopback_is_no_lack_of_ports() -> None:
    """``localhost`` on a host without ``::1`` needs 127.0.0.1; another address may lack ports."""
    text = "connect() to {} failed (99: Cannot assign requested address) while connecting to upstream"
    assert "widen the range" not in report(lost("23:00:00", message=text.format("[::1]:8000")))
    assert "widen the range" in report(lost("23:00:00", message=text.format("10.0.0.1:8000")))


def test_sum_of_the_reasons_adds_up() -> None:
    """Reasons that are not shown are counted."""
    texts = [
        REFUSED,
        "no live upstreams while connecting to upstream",
        "upstream timed out (110: Connection timed out) while connecting to upstream",
        "upstream timed out (110: Connection timed out) while reading response header from upstream",
        "upstream sent too big header while reading response header from upstream",
    ]
    text = report(*(lost("23:00:00", message=text) for text in texts))
    summed = next(line for line in text.splitlines() if "5 requests lost in nginx's error log" in line)
    assert summed.endswith(" and 1 more")


def test_episode_has_its_range() -> None:
    """The first and the last second of what happened, and how many requests are not named."""
    lines = [lost(f"23:00:0{number}", f"POST /{'abcde'[number]}", REFUSED) for number in range(5)]
    (found,) = episodes(*lines)
    assert found.span() == "23:00:00 to 23:00:04"
    assert found.text().endswith("POST /c and 2 more [L901]")
    assert episodes(lines[0])[0].span() == "23:00:00"


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
        ("22:14", False, "2026-11-30 22:14:00"),
        ("11:14", False, "2026-12-01 11:14:00"),
        ("12:00", False, "2026-12-01 12:00:00"),
        ("12:01:01", False, "2026-11-30 12:01:01"),
        ("90s", False, "2026-12-01 11:58:30"),
        ("2h", False, "2026-12-01 10:00:00"),
        ("1d", True, "2026-11-30 12:00:00"),
    ],
)
def test_moments(text: str, *, end: bool, expected: str) -> None:
    """Each documented form of --since and --until."""
    now = datetime(2026, 12, 1, 12, tzinfo=UTC)
    assert moment("--since", text, end=end, now=now) == expected


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("22:15", "22:30", "2026-11-30 22:30:59"),
        ("22:15", "00:10", "2026-12-01 00:10:59"),
        ("00:01", "00:10", "2026-12-01 00:10:59"),
        ("00:01", "23:00", "2026-12-01 23:00:59"),
        (None, "22:30", "2026-11-30 22:30:59"),
    ],
)
def test_a_span_over_midnight(since: str | None, until: str, expected: str) -> None:
    """A time of day is the last one that was; the end of a span is the first such time after its beginning."""
    now = datetime(2026, 12, 1, 0, 5, tzinfo=UTC)
    begin = moment("--since", since, now=now)
    assert moment("--until", until, end=True, after=begin, now=now) == expected


@pytest.mark.parametrize("text", ["yesterday", "25:99", "2026-02-31", "2026-11-30 22", "", "10"])
def test_wrong_moment_is_refused(text: str) -> None:
    """The message names the option, the value and the forms that are allowed."""
    with pytest.raises(UserError, match="--until") as raised:
        moment("--until", text)
    assert "2026-11-30" in str(raised.value)


_KERNEL = "[2026-11-30 22:20:11 +0000] kernel: "


def test_memory_of_a_cgroup_is_not_that_of_the_machine() -> None:
    """The three lines that the kernel writes are one kill at the limit of the cgroup, whatever it says first."""
    (found,) = episodes(
        f"{_KERNEL}gunicorn invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        f"{_KERNEL}oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task=gunicorn,pid=9,uid=0",
        MEMORY,
        KILLED,
        lost("22:20:12"),
    )
    assert "at the limit of its cgroup" in found.verdict
    assert found.lost == 1


def test_memory_of_the_machine() -> None:
    """The same lines of a machine without memory."""
    (found,) = episodes(
        f"{_KERNEL}gunicorn invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        f"{_KERNEL}oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task=gunicorn,pid=9,uid=0",
        f"{_KERNEL}Out of memory: Killed process 9 (gunicorn) total-vm:1kB",
    )
    assert "at the memory of the machine" in found.verdict


def test_no_word_of_time_zones_where_the_system_explains_the_loss() -> None:
    """A line without a process that explains lost requests is a line of the same time zone."""
    findings = Findings()
    denied = f'{_KERNEL}audit: type=1400 audit(1.2:3): avc:  denied  {{ connectto }} for  pid=7 comm="nginx"'
    message = "connect() to unix:/srv/app.sock failed (13: Permission denied) while connecting to upstream"
    findings.read([line.encode() for line in (denied, lost("22:20:11", message=message))])
    assert "time zones" not in to_text(findings)


def test_selinux_comes_before_what_nginx_says() -> None:
    """The denial is the event, and nginx's line is what it cost."""
    denied = f'{_KERNEL}audit: type=1400 audit(1.2:3): avc:  denied  {{ connectto }} for  pid=7 comm="nginx"'
    message = "connect() to unix:/srv/app.sock failed (13: Permission denied) while connecting to upstream"
    (found,) = episodes(denied, lost("22:20:11", message=message))
    assert found.ids == ["L807", "L903"]


_WAITED = "upstream timed out (110: Connection timed out) while reading response header from upstream"
_POOL = (
    "[2026-11-30 22:19:40 +0000] [7] [ERROR] Exception in ASGI application",
    "sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
)


def test_what_the_application_waited_for_stands_beside_the_timeout() -> None:
    """A traceback's last line has the time of its record, and is named where nginx gave up within a minute of it."""
    (found,) = episodes(*_POOL, lost("22:20:11", message=_WAITED))
    assert "QueuePool limit" in found.verdict
    assert found.ids == ["L913", "L994"]


def test_what_the_application_waited_for_long_ago_is_not_named() -> None:
    """Two minutes later it says nothing."""
    found = episodes(*_POOL, lost("22:25:11", message=_WAITED))
    assert [one.ids for one in found] == [["L913"]]
