"""``no502 doctor logs`` as a user runs it."""

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.logs.access import AccessLog
from no502.doctor.logs.busiest import Busiest
from no502.doctor.logs.findings import Findings
from no502.doctor.logs.reading import MAX_LINE, lines, open_log
from no502.doctor.logs.report import to_text
from no502.doctor.logs.table import MESSAGES, by_id
from tests.support.commands import ROOT

RUN = "import typer; from no502.doctor.logs import command; typer.run(command)"
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
    assert "L911 closed-before-response error: 1 lines, 2026-11-26 12:00:01" in text
    assert "POST /orders 1" in text
    assert "http://127.0.0.1:8000 1" in text
    assert done.stderr == b""


def test_lines_are_shown_in_their_own_words(tmp_path: Path) -> None:
    """Of the texts of a message those that are in the log are shown; numbers and quoted parts are not."""
    early = "upstream prematurely closed connection while reading response header from upstream"
    text = f"2026/11/26 12:00:01 [error] 31#31: *7 {early}, client: 10.0.0.9\n"
    text += "[2026-11-26 12:00:01 +0000] [8] [ERROR] Worker (pid:8123) was sent SIGABRT!\n"
    (tmp_path / "error.log").write_text(text, encoding="utf-8")
    shown = run(tmp_path / "error.log").stdout.decode()
    assert f"    {early}\n" in shown
    assert "recv() failed" not in shown.split("what")[0]
    assert "    Worker (pid:N) was sent SIGABRT!\n" in shown
    assert "SIGSEGV!" not in shown


def test_access_log_of_another_format(tmp_path: Path) -> None:
    """Nothing is concluded from an access log that cannot be read; the exit code is 2, and the format is named."""
    (tmp_path / "error.log").write_text(lost() + "\n", encoding="utf-8")
    combined = '10.0.0.9 - - [26/Nov/2026:12:00:01 +0000] "GET / HTTP/1.1" 499 0 "-" "curl"\n'
    (tmp_path / "access.log").write_text(combined * 2, encoding="utf-8")
    done = run("--access-log", tmp_path / "access.log", tmp_path / "error.log")
    assert done.returncode == 2
    assert b"none of 2 lines is in no502's JSON format" in done.stdout
    assert b"no 499" not in done.stdout
    assert b"access-log-format.conf" in done.stderr
    other = run(tmp_path / "access.log").stdout
    assert b"none of the lines is a message of nginx's error log" in other


def test_explain_prints_a_message() -> None:
    """An id that the report prints can be asked for."""
    done = CliRunner().invoke(app, ["doctor", "explain", "l911"])
    assert done.exit_code == 0, done.output
    assert "L911 closed-before-response error" in done.output
    assert "docs/error-index.md#l911" in done.output


def test_nothing(tmp_path: Path) -> None:
    """A log without errors is 0."""
    (tmp_path / "error.log").write_text("2026/11/26 12:00:00 [notice] 1#1: start worker processes\n", encoding="utf-8")
    assert run(tmp_path / "error.log").returncode == 0


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


def test_standard_input_and_gzip(tmp_path: Path) -> None:
    """``-`` and a compressed file are read like a plain one, several together."""
    (tmp_path / "error.log.1.gz").write_bytes(gzip.compress(lost(uri="/a").encode()))
    done = run("-", tmp_path / "error.log.1.gz", "--format", "json", stdin=gzip.compress(lost(uri="/b").encode()))
    report = json.loads(done.stdout)
    assert report["schema_version"] == 1
    assert report["messages"][0]["count"] == 2
    assert {one["request"] for one in report["messages"][0]["busiest"]} == {"POST /a", "POST /b"}


def test_repeated_get_is_no_502(tmp_path: Path) -> None:
    """A GET that nginx repeated and answered is no error; the POST beside it is."""
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
    assert (report["messages"][0]["failed"], report["messages"][0]["repeated_and_answered"]) == (1, 1)
    assert report["access_log"]["gateway_errors_by_nginx"] == 1


def test_502_of_the_application_is_told_from_nginxs() -> None:
    """A number in upstream_header_time means that the application answered."""
    log = AccessLog()
    log.read([access(1, "GET /a", 502, "502", "0.010").encode(), b"not json", b"[1]"])
    assert (log.by_application, log.by_nginx, log.unreadable) == (1, 0, 2)


def test_garbage_and_long_lines_are_bounded(tmp_path: Path) -> None:
    """Bytes of any kind and a line without end are read, cut and reported."""
    noise = random.Random(502).randbytes(3_000_000)  # noqa: S311  the same noise every time
    content = noise + b"\n" + b"x" * 3_000_000 + lost().encode() + b"\n" + lost().encode() + b"\n{" + b"[" * 100_000
    (tmp_path / "log").write_bytes(content)
    with open_log(str(tmp_path / "log")) as file:
        batches = list(lines(file))
    assert max(len(line) for batch in batches for line in batch if len(line) <= MAX_LINE) == MAX_LINE
    done = run(tmp_path / "log")
    assert done.returncode == 1
    assert b"L911 closed-before-response error: 1 lines" in done.stdout
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


def test_unknown_errors_are_listed_not_guessed() -> None:
    """What is not in the table is shown as it is."""
    findings = Findings()
    findings.read([b"2026/11/26 12:00:00 [error] 1#1: *7 something new happened 42 times, client: 10.0.0.1"])
    assert findings.unknown.top(1) == [("something new happened N times", 1)]


@pytest.mark.parametrize("different", [100, 5000])
def test_busiest_stays_within_its_documented_error(different: int) -> None:
    """A count is never too low and at most total / capacity too high; the most frequent name is found."""
    numbers = random.Random(502)  # noqa: S311
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


def test_table_is_whole() -> None:
    """Ids and slugs are unique, and every row says everything."""
    assert len({m.id for m in MESSAGES}) == len({m.slug for m in MESSAGES}) == len(MESSAGES)
    for message in MESSAGES:
        assert message.id.startswith("L9")
        assert all((message.cause, message.get, message.post, message.prove, message.fix, message.evidence))
        assert by_id(message.slug) is by_id(message.id) is message
