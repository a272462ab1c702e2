"""``no502 doctor logs`` as a user runs it."""

import gzip
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.logs.access import AccessLog
from no502.doctor.logs.busiest import Busiest
from no502.doctor.logs.findings import Findings
from no502.doctor.logs.reading import MAX_LINE, lines, open_log
from no502.doctor.logs.report import to_text
from tests.support.commands import ROOT

RUN = "import typer; from no502.doctor.logs.cli import command; typer.run(command)"
LOST = (
    "2026/11/26 12:00:0{second} [error] 31#31: *{number} recv() failed (104: Connection reset by peer) while reading "
    'response header from upstream, client: 10.0.0.9, server: _, request: "{method} {uri} HTTP/1.1", '
    'upstream: "http://127.0.0.1:8000{uri}", host: "x"'
)


def lost(number: int = 1, method: str = "POST", uri: str = "/orders", second: int = 1) -> str:
    """Return a line of the error log."""
    return LOST.format(number=number, method=method, uri=uri, second=second)


def access(number: int, request: str, status: int, upstream: str, header_time: str = "-") -> str:
    """Return a line of the access log."""
    method, uri = request.split()
    entry = {
        "time": "2026-11-26T12:00:01+00:00",
        "connection": str(number),
        "method": method,
        "uri": uri,
        "status": str(status),
        "upstream_status": upstream,
        "upstream_header_time": header_time,
    }
    return json.dumps(entry, separators=(",", ":"))


def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=120, check=False)


def test_found(tmp_path: Path) -> None:
    """A lost POST is reported with cause and place; the exit code is 1."""
    (tmp_path / "error.log").write_text(lost() + "\n", encoding="utf-8")
    done = run(tmp_path / "error.log")
    text = done.stdout.decode()
    assert done.returncode == 1
    assert "L911 recv-failed-104-reading-response-header error: 1 line, 2026-11-26 12:00:01" in text
    assert "POST /orders 1" in text
    assert "http://127.0.0.1:8000 1" in text
    assert done.stderr == b""


def test_lines_are_shown_in_their_own_words(tmp_path: Path) -> None:
    """Of the texts of a message those that are in the log are shown; quoted parts are not."""
    early = "upstream prematurely closed connection while reading response header from upstream"
    text = f"2026/11/26 12:00:01 [error] 31#31: *7 {early}, client: 10.0.0.9\n"
    text += "[2026-11-26 12:00:01 +0000] [8] [ERROR] Worker (pid:8123) was sent SIGABRT!\n"
    (tmp_path / "error.log").write_text(text, encoding="utf-8")
    shown = run(tmp_path / "error.log").stdout.decode()
    assert f"    {early}\n" in shown
    assert "recv() failed" not in shown.split("what ")[0]
    assert "    Worker (pid:8123) was sent SIGABRT!\n" in shown
    assert "SIGSEGV!" not in shown


COMBINED = '10.0.0.9 - - [26/Nov/2026:12:00:0{second} +0000] "{request} HTTP/1.1" {status} 0 "-" "curl"\n'


def test_access_log_of_another_format(tmp_path: Path) -> None:
    """Nothing is concluded from an access log that cannot be read; the exit code is 2, and the formats are named."""
    (tmp_path / "error.log").write_text(lost() + "\n", encoding="utf-8")
    (tmp_path / "access.log").write_text("10.0.0.9|/|502\n" * 2, encoding="utf-8")
    done = run("--access-log", tmp_path / "access.log", tmp_path / "error.log")
    assert done.returncode == 2
    assert b"no line of 2 is in a known format" in done.stdout
    assert b"no 499" not in done.stdout
    assert b"snippets/http.conf" in done.stderr


def test_combined_access_log_is_paired_by_time_and_path(tmp_path: Path) -> None:
    """nginx's own format shows that the client got the 502, though it names no connection."""
    (tmp_path / "error.log").write_text(lost() + "\n", encoding="utf-8")
    text = COMBINED.format(second=1, request="GET /orders", status=502)
    text += COMBINED.format(second=2, request="POST /orders", status=502)
    (tmp_path / "access.log").write_text(text, encoding="utf-8")
    done = run("--access-log", tmp_path / "access.log", tmp_path / "error.log")
    assert done.returncode == 1
    assert b"1 got an error, 0 retried and answered, 0 not paired" in done.stdout
    assert b"502 x 2" in done.stdout
    assert b"does not show what nginx retried" in done.stdout


def test_combined_access_log_of_another_minute_is_not_paired(tmp_path: Path) -> None:
    """The same path a minute later is another request."""
    (tmp_path / "error.log").write_text(lost() + "\n", encoding="utf-8")
    text = COMBINED.format(second=1, request="POST /orders", status=502).replace("12:00", "12:01")
    (tmp_path / "access.log").write_text(text, encoding="utf-8")
    assert b"1 not paired" in run("--access-log", tmp_path / "access.log", tmp_path / "error.log").stdout


def test_access_log_among_the_files_is_counted(tmp_path: Path) -> None:
    """An access log is no "other log": its 499 and 5xx are counted by path, and a 5xx is exit code 1."""
    text = "".join(
        COMBINED.format(second=1, request="POST /x?a=1", status=status) for status in (502, 502, 504, 499, 200)
    )
    (tmp_path / "access.log").write_text(text, encoding="utf-8")
    done = run(tmp_path / "access.log")
    assert done.returncode == 1
    assert b"access lines: 5; 499 x 1, 502 x 2, 504 x 1" in done.stdout
    assert b"2 x 502 POST /x\n" in done.stdout
    assert b"another log" not in done.stdout


TIMED = '10.0.0.9 [26/Nov/2026:12:00:01 +0000] "GET /slow HTTP/1.1" {status} {took} 0.001 - - 10.0.0.1:8000'


def said(*lines: str) -> str:
    """Return the report about some lines."""
    findings = Findings()
    findings.read([line.encode() for line in lines])
    return to_text(findings)


def test_each_status_has_its_runbook_and_the_time_that_most_took() -> None:
    """A 499 after 60 s is a load balancer's limit, a 504 after 60 s nginx's own."""
    took = ["60.001", "60.000", "59.998", "3.100"]
    text = said(*(TIMED.format(status=status, took=one) for status in (499, 504) for one in took))
    assert "499 x 4; most often after 60 s (3 of 4), the limit of alb or ingress-nginx: docs/runbooks/499.md" in text
    assert "504 x 4; most often after 60 s (3 of 4), the limit of nginx's proxy_read_timeout: docs/run" in text


def test_durations_that_scatter_are_no_limit() -> None:
    """One request of ten that took 60 s shows no timeout; a combined log shows no durations at all."""
    text = said(*(TIMED.format(status=499, took=f"{number}.000") for number in (60, 1, 2, 3, 4, 5, 6, 7, 8, 9)))
    assert "the limit of" not in text
    assert "499 x 1: docs/runbooks/499.md" in said(COMBINED.format(second=1, request="GET /x", status=499).strip())


def test_json_access_lines_have_durations() -> None:
    """The shipped JSON format says how long each request took."""
    line = '{"method":"GET","uri":"/a","status":"499","request_time":"30.001","upstream_status":"-"}'
    assert (
        "499 x 1; most often after 30 s (1 of 1), the limit of azure-front-door or cloudfront or gcp or heroku"
        in said(line)
    )


def test_too_large_bodies_are_counted() -> None:
    """413 has a message; one more status that a client saw."""
    line = COMBINED.format(second=1, request="POST /files", status=413).strip()
    assert "413 x 1: no502 doctor explain L923" in said(line)


def test_lines_of_other_programs_are_counted() -> None:
    """Beside lines that were understood, those that were not are named; a server's ordinary lines are no riddle."""
    ordinary = "[2026-11-26 12:00:01 +0000] [8] [INFO] Booting worker with pid: 8"
    assert "; 1 line not recognised" in said(lost(), ordinary, "order 7 was stored", "")
    assert "not recognised" not in said(lost(), ordinary)


def test_access_log_without_failures_is_no_finding(tmp_path: Path) -> None:
    """A client that left got no error, and a 200 is none: exit code 0."""
    text = "".join(COMBINED.format(second=1, request="GET /x", status=status) for status in (200, 499, 404))
    (tmp_path / "access.log").write_text(text, encoding="utf-8")
    assert run(tmp_path / "access.log").returncode == 0


def test_json_access_log_among_the_files_is_counted(tmp_path: Path) -> None:
    """The format of the shipped files is counted like nginx's own."""
    (tmp_path / "access.json").write_text(access(1, "GET /a", 502, "502") + "\n", encoding="utf-8")
    assert b"1 x 502 GET /a" in run(tmp_path / "access.json").stdout


@pytest.mark.parametrize(
    "line",
    [
        '10.0.0.9 - - [26/Nov/2026:12:00:01 +0000] "GET /a?b=1 HTTP/2.0" 502 0 "-" "curl" "203.0.113.9"',
        'example.com:443 10.0.0.9 - - [26/Nov/2026:12:00:01 +0000] "GET /a HTTP/1.1" 502 0',
        'INFO:     127.0.0.1:5 - "GET /a HTTP/1.1" 502 Bad Gateway',
        '{"request":"GET /a HTTP/1.1","status":"502"}',
        '{"logger":"http.log.access","request":{"method":"GET","uri":"/a"},"status":502}',
    ],
)
def test_access_lines_of_other_formats_are_counted(line: str) -> None:
    """What follows the status, or stands before the address, makes no difference."""
    findings = Findings()
    findings.read([line.encode()])
    assert findings.statuses.counts == {502: 1}
    assert findings.statuses.paths.top(1) == [("502 GET /a", 1)]


def test_ordinary_lines_cost_little() -> None:
    """Ten megabytes of lines that are no errors take seconds of CPU at most, however many messages are known."""
    ordinary = COMBINED.format(second=1, request="GET /api/items/17?page=2", status=200).encode().strip()
    application = b'{"level":"info","message":"order 17 was stored in the database","request_id":"abcdef0123456789"}'
    findings = Findings()
    begin = time.process_time()
    findings.read([ordinary, application] * 50_000)
    assert time.process_time() - begin < 10
    assert findings.seen == {}


def explain(*words: str) -> str:
    """Return what ``doctor explain`` prints."""
    done = CliRunner().invoke(app, ["doctor", "explain", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_explain_prints_a_message() -> None:
    """An id that the report prints can be asked for."""
    assert "L911 recv-failed-104-reading-response-header error" in explain("l911")


def test_explain_names_a_page_that_exists() -> None:
    """The address at the end leads to the file with the whole text."""
    address = explain("l911").split("page")[-1].strip()
    assert address.startswith("file://")
    assert "## Permanent fix" in Path(address.removeprefix("file://")).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("pasted", "expected"),
    [
        (lost(), "L911"),
        ("recv() failed (104: Connection reset by peer) while reading response header from upstream", "L911"),
        ("[2026-11-30 10:00:00 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:112)", "L951"),
        ("app-1 exited with code 137", "L821"),
        ("prematurely closed connection while reading upstream", "L912"),
        ("sent-too-big", "L918"),
    ],
)
def test_explain_takes_a_pasted_line_or_a_phrase(pasted: str, expected: str) -> None:
    """A line of a log, a message alone, or words of one lead to its page."""
    assert explain(pasted).startswith(expected)


def test_explain_of_a_status_names_the_runbook_first() -> None:
    """nginx's own error page leads to the runbook and to nginx's message."""
    text = explain("504", "Gateway", "Time-out")
    assert text.startswith("read first: docs/runbooks/504.md\n\nL913 ")


def test_an_id_alone_is_explained() -> None:
    """``no502 doctor L911`` is ``no502 doctor explain L911``; ``no502 explain L911`` says so."""
    assert CliRunner().invoke(app, ["doctor", "L911"]).stdout.startswith("L911 ")
    wrong = CliRunner().invoke(app, ["explain", "L911"])
    assert "no502 doctor explain L911" in str(wrong.exception)


def test_a_phrase_that_is_no_log_leads_to_explain() -> None:
    """Words of a message on standard input are no line of a log: the command for them is named."""
    command = [sys.executable, "-m", "no502", "doctor", "logs", "-"]
    done = subprocess.run(
        command, input="prematurely closed\n", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "no502 doctor explain WORDS" in done.stderr


def test_a_span_without_a_line(tmp_path: Path) -> None:
    """Where all lines are outside of --since and --until, that is said, and the exit code is 2."""
    log = tmp_path / "error.log"
    log.write_text(
        "2026/11/30 22:14:02 [error] 29#29: *51 connect() failed (111: Connection refused) while connecting\n"
    )
    outside = CliRunner().invoke(app, ["doctor", "logs", str(log), "--since", "2026-11-30 23:00"])
    assert outside.exit_code == 2
    assert "all lines are outside the span" in outside.output
    assert "2026-11-30 22:14:02 to 2026-11-30 22:14:02" in outside.output
    inside = CliRunner().invoke(app, ["doctor", "logs", str(log), "--since", "2026-11-30 22:00"])
    assert "all lines are outside" not in inside.output


@pytest.mark.parametrize(
    ("phrase", "page"),
    [
        ("Mixed Content", "docs/how-to/https-redirects.md"),
        ("400 The plain HTTP request was sent to HTTPS port", "docs/how-to/tls.md"),
    ],
)
def test_explain_of_what_no_log_has_names_the_page(phrase: str, page: str) -> None:
    """An error that only a browser shows has a page, though no message."""
    assert explain(phrase) == f"read: {page}\n"


def test_explain_still_prints_rules() -> None:
    """An id of a rule is a rule."""
    assert explain("K201").startswith("K201: ")


def test_explain_of_nonsense_says_so() -> None:
    """What is neither a rule nor a message is named, with exit code 2 and no traceback."""
    done = CliRunner().invoke(app, ["doctor", "explain", "zzzz"])
    assert done.exit_code != 0
    assert done.exception is not None
    assert "no log message matches" in str(done.exception)


def test_nothing(tmp_path: Path) -> None:
    """A log without errors is 0."""
    (tmp_path / "error.log").write_text("2026/11/26 12:00:00 [notice] 1#1: start worker processes\n", encoding="utf-8")
    assert run(tmp_path / "error.log").returncode == 0


def test_file_that_is_given_twice_is_read_once(tmp_path: Path) -> None:
    """A pattern of the shell and a link may name the same log; its lines are counted once."""
    (tmp_path / "error.log").write_text(lost() + "\n", encoding="utf-8")
    (tmp_path / "current.log").symlink_to("error.log")
    done = run(tmp_path / "error.log", tmp_path / "current.log", tmp_path / "error.log", "--format", "json")
    assert json.loads(done.stdout)["messages"][0]["count"] == 1


def test_unreadable(tmp_path: Path) -> None:
    """All files that cannot be read are named at once, the others are reported; the exit code is 2."""
    (tmp_path / "good.log").write_text(lost() + "\n", encoding="utf-8")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(os.urandom(5000))[:-100])
    done = run(tmp_path / "missing.log", tmp_path / "cut.gz", tmp_path / "good.log", tmp_path)
    message = done.stderr.decode()
    assert done.returncode == 2
    assert all(name in message for name in ("missing.log", "cut.gz"))
    assert "Traceback" not in message
    assert b"L911" in done.stdout


def test_nothing_could_be_read(tmp_path: Path) -> None:
    """Where no file could be read there is one line for each, and no report about nothing."""
    done = run(tmp_path / "missing.log")
    assert done.returncode == 2
    assert done.stdout == b""
    assert len(done.stderr.decode().splitlines()) == 1


def test_standard_input_and_gzip(tmp_path: Path) -> None:
    """``-`` and a compressed file are read like a plain one, several together."""
    (tmp_path / "error.log.1.gz").write_bytes(gzip.compress(lost(uri="/a").encode()))
    done = run("-", tmp_path / "error.log.1.gz", "--format", "json", stdin=gzip.compress(lost(uri="/b").encode()))
    report = json.loads(done.stdout)
    assert report["schema_version"] == 2
    assert report["messages"][0]["count"] == 2
    assert {one["request"] for one in report["messages"][0]["busiest"]} == {"POST /a", "POST /b"}


def test_repeated_get_is_no_502(tmp_path: Path) -> None:
    """A GET that nginx retried and answered is no error; the POST beside it is."""
    error, log = tmp_path / "error.log", tmp_path / "access.log"
    error.write_text(lost(1, "GET", "/a") + "\n", encoding="utf-8")
    log.write_text(access(1, "GET /a", 200, "502, 200", "-, 0.004") + "\n", encoding="utf-8")
    assert run(error, "--access-log", log).returncode == 0
    error.write_text(lost(1, "GET", "/a") + "\n" + lost(2, "POST", "/a") + "\n", encoding="utf-8")
    with log.open("a", encoding="utf-8") as file:
        file.write(access(2, "POST /a", 502, "502") + "\n")
    done = run(error, "--access-log", log, "--format", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["messages"][0]["failed"] == 1
    assert report["messages"][0]["retried_and_answered"] == 1
    assert report["access_log"]["gateway_errors_by_nginx"] == 1


def test_502_of_the_application_is_told_from_nginxs() -> None:
    """A number in upstream_header_time means that the application answered."""
    log = AccessLog()
    log.read([access(1, "GET /a", 502, "502", "0.010").encode(), b"not json", b"[1]"])
    assert log.by_application == 1
    assert log.by_nginx == 0
    assert log.unreadable == 2


def test_garbage_and_long_lines_are_bounded(tmp_path: Path) -> None:
    """Bytes of any kind and a line without end are read, cut and reported."""
    noise = random.Random(502).randbytes(3_000_000)
    content = noise + b"\n" + b"x" * 3_000_000 + lost().encode() + b"\n" + lost().encode() + b"\n{" + b"[" * 100_000
    (tmp_path / "log").write_bytes(content)
    with open_log(str(tmp_path / "log")) as file:
        batches = list(lines(file))
    assert max(len(line) for batch in batches for line in batch if len(line) <= MAX_LINE) == MAX_LINE
    done = run(tmp_path / "log")
    assert done.returncode == 1
    assert b"L911 recv-failed-104-reading-response-header error: 1 line" in done.stdout
    assert b"longer than 16 KiB" in done.stdout


def test_output_cannot_steer_a_terminal() -> None:
    """Escape sequences in a URI are not printed."""
    findings = Findings()
    findings.read([lost(uri="/\x1b[2J\x9b").encode()])
    assert "\x1b" not in to_text(findings)
    assert "\x9b" not in to_text(findings)


def test_musl_wording_is_the_same_message() -> None:
    """The number counts, not libc's words."""
    for words in ("Connection timed out", "Operation timed out", "Verbindung abgelaufen"):
        text = lost().replace("recv() failed (104: Connection reset by peer)", f"upstream timed out (110: {words})")
        findings = Findings()
        findings.read([text.encode()])
        assert set(findings.seen) == {"L913"}


def test_docker_json_is_unwrapped() -> None:
    """Docker's json-file escapes the quotes around the request; it is found all the same."""
    findings = Findings()
    findings.read([json.dumps({"log": lost() + "\n", "stream": "stderr"}).encode()])
    assert findings.seen["L911"].uris.top(1) == [("POST /orders", 1)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('time="2026-12-01T04:00:00Z" level=critical msg="WORKER TIMEOUT (pid:31)" logger=gunicorn.error', {"L951"}),
        ('ts=2026-12-01T04:00:01Z msg="WORKER TIMEOUT (pid:31)" severity=critical', {"L951"}),
        ('lvl=error event="Error loading ASGI app. Could not import module \\"main\\"."', {"L962"}),
        ('2026-12-01T04:00:02Z app-1 level=error message="Exception in ASGI application"', {"L963"}),
        ('level=info msg="started" note="WORKER TIMEOUT (pid:31)"', set()),
        ('level=critical msg="WORKER TIMEOUT (pid:31)', set()),
        ('msg="WORKER TIMEOUT (pid:31)"', set()),
    ],
)
def test_the_message_of_a_logfmt_line_is_read(line: str, found: set[str]) -> None:
    """Beside a level, the quoted message counts; another field, an open quotation or a message alone does not."""
    findings = Findings()
    findings.read([line.encode()])
    assert set(findings.seen) == found


def test_unknown_errors_are_listed_not_guessed() -> None:
    """What is not in the table is shown as it is."""
    findings = Findings()
    findings.read([b"2026/11/26 12:00:00 [error] 1#1: *7 something new happened 42 times, client: 10.0.0.1"])
    assert findings.unknown.top(1) == [("something new happened N times", 1)]


@pytest.mark.parametrize("different", [100, 5000])
def test_busiest_stays_within_its_documented_error(different: int) -> None:
    """A count is never too low and at most total / capacity too high; the most frequent name is found."""
    numbers = random.Random(502)
    busiest, truth = Busiest(128), dict.fromkeys(("hot", "warm"), 0)
    for _ in range(20_000):
        name = numbers.choice(["hot", "hot", "warm", f"cold {numbers.randrange(different)}"])
        truth[name] = truth.get(name, 0) + 1
        busiest.add(name)
    top = busiest.top(2)
    assert [name for name, _ in top] == ["hot", "warm"]
    for name, count in top:
        assert truth[name] <= count <= truth[name] + busiest.error
    assert busiest.exact == (different < 126)
