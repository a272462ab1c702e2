"""What is no log, what is a log of another program, and journald's messages in bytes."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.logs.explain import recognise

SAID = "no line looks like one of a log"
ACCESS = '192.0.2.7 - - [30/Nov/2026:10:00:00 +0000] "POST /x HTTP/1.1" 502 559 "-" "curl"\n'
LOST = (
    "2026/11/26 12:00:01 [error] 31#31: *1 recv() failed (104: Connection reset by peer) while reading response header "
    'from upstream, client: 10.0.0.9, server: _, request: "POST /orders HTTP/1.1", '
    'upstream: "http://127.0.0.1:8000/orders", host: "x"'
)


def _run(folder: Path, content: bytes, *options: str) -> tuple[int, str, str]:
    (folder / "given").write_bytes(content)
    done = CliRunner().invoke(app, ["doctor", "logs", str(folder / "given"), *options])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(
    "content",
    [
        b"server {\n    listen 80;\n    location / { proxy_pass http://app; }\n}\n",
        b"import os\n\nbind = os.environ['BIND']\n",
        b'{\n  "name": "shop",\n  "private": true\n}\n',
        b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)) * 40,
        b"order 7 was stored\n",
    ],
)
@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_a_file_that_is_no_log_is_one_line(content: bytes, options: tuple[str, ...], tmp_path: Path) -> None:
    """On standard error, with exit code 2 and what was expected; there is no report."""
    code, out, err = _run(tmp_path, content, *options)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert SAID in err
    assert "docker logs" in err


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"2026-11-30 12:00:00 order 7 was stored\n",
        b"Nov 30 12:00:00 host postgres[7]: checkpoint starting\n",
        b"12:00:00 order 7 was stored\n",
        b"level=info msg=stored\n",
        b'{"ts": 1796040000, "what": "stored"}\n',
        b"INFO stored order 7\n",
        b"[    0.000000] Linux version 6.1\n",
        b"INFO:     Application startup complete.\n",
        b"server {\n2026-11-30 12:00:00 order 7 was stored\n",
    ],
)
def test_an_empty_log_or_one_of_another_program_is_no_error(content: bytes, tmp_path: Path) -> None:
    """Exit code 0; the report says where no line was recognised: nothing is to recognise in an empty one."""
    code, out, err = _run(tmp_path, content)
    assert code == 0
    assert SAID not in err
    assert ("no line recognised" in out) == bool(content.strip() and b"startup complete" not in content)


def test_an_access_log_beside_it_is_reported_all_the_same(tmp_path: Path) -> None:
    """The report of what could be read, then the problem."""
    (tmp_path / "access.log").write_text(ACCESS, encoding="utf-8")
    code, out, err = _run(tmp_path, b"server {\n}\n", "--access-log", str(tmp_path / "access.log"))
    assert code == 2
    assert "access log" in out
    assert SAID in err


def test_lines_outside_the_window_are_said(tmp_path: Path) -> None:
    """A log of another time is a log, and that none of its lines was looked at is an error."""
    code, _out, err = _run(tmp_path, LOST.encode(), "--since", "2026-11-27")
    assert code == 2
    assert "all lines are outside the span" in err


def _journal(text: bytes, **others: str) -> bytes:
    return json.dumps({**others, "MESSAGE": list(text), "PRIORITY": "3"}).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LOST.encode(), "L911"),
        (b"[2026-11-30 12:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)", "L951"),
        (b"\x1b[31m[2026-11-30 12:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)\x1b[0m", "L951"),
        (b"caf\xe9 [2026-11-30 12:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)", "L951"),
    ],
)
def test_a_message_in_bytes_is_read(text: bytes, expected: str, tmp_path: Path) -> None:
    """`journalctl -o json` writes an array where a message has colours or is not UTF-8."""
    line = _journal(text, _SYSTEMD_UNIT="app.service")
    _code, out, _err = _run(tmp_path, line + b"\n", "--format", "json")
    assert [one["id"] for one in json.loads(out)["messages"]] == [expected]
    found = recognise(line.decode())
    assert found is not None
    assert found.id == expected


@pytest.mark.parametrize(
    "line",
    [
        b'{"MESSAGE":[],"x":1}',
        b'{"MESSAGE":[300,-1,"x"]}',
        b'{"MESSAGE":[91,53',
        b'{"MESSAGE":[' + b"9" * 6000 + b"]}",
        b'{"MESSAGE":' + b"[" * 5000,
        b'{"MESSAGE":null}',
    ],
)
def test_an_array_that_holds_no_text_is_harmless(line: bytes, tmp_path: Path) -> None:
    """Cut off, empty or of other values: no traceback."""
    assert _run(tmp_path, line + b"\n")[0] in {0, 2}
    assert _run(tmp_path, line + b"\n" + LOST.encode() + b"\n")[0] == 1


def test_a_long_message_in_bytes_is_read_to_where_it_is_cut(tmp_path: Path) -> None:
    """An array takes four bytes for one."""
    line = _journal(LOST.encode() + b" " * 20_000 + os.urandom(10))
    _code, out, _err = _run(tmp_path, line + b"\n", "--format", "json")
    assert [one["id"] for one in json.loads(out)["messages"]] == ["L911"]
