"""The same message in the forms in which logs are kept: parts of lines, other encodings."""

import codecs
import io
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.logs.reading import MAX_LINE, lines

MESSAGE = (
    "2026/11/30 10:00:01 [error] 7#7: *1 upstream prematurely closed connection while reading response header from "
    'upstream, client: 192.0.2.1, server: shop, request: "POST /pay HTTP/1.1", upstream: "http://127.0.0.1:8000/pay"'
)
HEAD = "2026-11-30T10:00:01.00000000%d+00:00 %s %s "


def counted(path: Path) -> str:
    """Return how often L911 was found."""
    said = CliRunner().invoke(app, ["doctor", "logs", str(path)]).output
    found = re.search(r"L911 \S+ error: (\d+) line", said)
    return found[1] if found else said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_a_redirect_of_powershell_is_read(encoding: str, tmp_path: Path) -> None:
    """``docker logs web > web.log`` writes UTF-16 there."""
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    (tmp_path / "web.log").write_bytes(mark + f"{MESSAGE}\r\n{MESSAGE}\r\n".encode(encoding))
    assert counted(tmp_path / "web.log") == "2"


def test_parts_of_a_line_of_containerd_are_one_line(tmp_path: Path) -> None:
    """P goes on in the next line of that stream, whatever another stream writes in between."""
    text = (
        f"{HEAD % (1, 'stderr', 'P')}{MESSAGE[:60]}\n{HEAD % (2, 'stdout', 'F')}hello\n"
        f"{HEAD % (3, 'stderr', 'P')}{MESSAGE[60:90]}\n{HEAD % (4, 'stderr', 'F')}{MESSAGE[90:]}\n"
        f"{HEAD % (5, 'stderr', 'F')}{MESSAGE}\n"
    )
    (tmp_path / "web.log").write_text(text)
    assert counted(tmp_path / "web.log") == "2"


def test_a_part_without_an_end_is_a_line() -> None:
    """A log that breaks off loses nothing."""
    text = (HEAD % (1, "stderr", "P") + "half").encode()
    assert [line for batch in lines(io.BytesIO(text + b"\n")) for line in batch if line] == [text]


def test_parts_stay_bounded() -> None:
    """A line of a thousand parts is cut off like any other long line."""
    part = (HEAD % (1, "stderr", "P") + "x" * 1000 + "\n").encode()
    found = [line for batch in lines(io.BytesIO(part * 1000)) for line in batch]
    assert max(map(len, found)) <= MAX_LINE


def test_a_word_that_looks_like_a_part_is_none() -> None:
    """Only the head of a line says that it goes on."""
    text = b"copied stdout P to F\nnext\n"
    assert [line for batch in lines(io.BytesIO(text)) for line in batch] == [b"copied stdout P to F", b"next"]
