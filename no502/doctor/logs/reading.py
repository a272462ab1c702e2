"""Log files as bounded lines: plain or gzip, a path or standard input, with any bytes in them."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

__all__ = ["MAX_LINE", "READ_ERRORS", "lines", "open_log", "size_of"]

MAX_LINE = 16 * 1024
"""Bytes of a line that are looked at; nginx writes at most 2,048, Docker splits at 16 KiB."""
READ_ERRORS = (OSError, EOFError, zlib.error)
"""What reading can raise: no such file, no permission, a damaged or truncated gzip file."""

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How PowerShell's ``>`` begins a file."""
_PART = re.compile(rb"[\dTZ:.+-]{20,40} std(out|err) ([PF]) ")
"""The head of a line of containerd, which splits at 16 KiB: P for a part, F for a whole line or the last part.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
"""


def open_log(name: str) -> BinaryIO:
    """Open a log for reading; ``-`` is standard input. gzip and UTF-16 are recognised by their first bytes.

    Raises:
        OSError: It cannot be opened.
    """
    buffered: BinaryIO
    if name == "-":
        buffered = sys.stdin.buffer
        magic = cast("io.BufferedReader", buffered).peek(2)[:2]
    else:
        reader = Path(name).open("rb")  # noqa: SIM115  the caller closes it
        buffered, magic = reader, reader.peek(2)[:2]
    if magic in _UTF_16:
        return cast("BinaryIO", codecs.EncodedFile(buffered, "utf-8", "utf-16", "replace"))
    return cast("BinaryIO", gzip.GzipFile(fileobj=buffered)) if magic == _GZIP else buffered


def size_of(name: str) -> int | None:
    """Return the number of uncompressed bytes, None where it is unknown (standard input, gzip, a pipe)."""
    path = Path(name)
    if name == "-" or not path.is_file():
        return None
    with path.open("rb") as file:
        return None if file.read(2) == _GZIP else os.fstat(file.fileno()).st_size


def lines(file: BinaryIO, progress: Callable[[int], None] = lambda _count: None) -> Iterator[list[bytes]]:
    """Yield the lines of a file in batches, without their ends; what is longer than ``MAX_LINE`` is cut off.

    Args:
        file: What to read.
        progress: Called with the number of bytes of each chunk.
    """
    rest, cutting = b"", False
    parts: dict[bytes, bytes] = {}
    while chunk := file.read(_CHUNK):
        progress(len(chunk))
        batch = (rest + chunk).split(b"\n")
        if cutting and len(batch) > 1:
            batch[0], cutting = batch[0][:MAX_LINE], False
        rest = batch.pop()
        if len(rest) > MAX_LINE:
            rest, cutting = rest[:MAX_LINE], True
        yield _joined(batch, parts) if parts or b"std" in chunk else batch
    left = _joined([rest], parts) if rest else []
    if left or parts:
        yield [*left, *parts.values()]


def _joined(batch: list[bytes], parts: dict[bytes, bytes]) -> list[bytes]:
    """Return the lines with those of containerd whole again; ``parts`` keeps what has no end yet, by stream."""
    found = []
    for line in batch:
        head = _PART.match(line) if b" std" in line[:48] else None
        if head is None or (head[2] == b"F" and head[1] not in parts):
            found.append(line)
            continue
        before = parts.pop(head[1], None)
        whole = line if before is None else (before + line[head.end() :])[:MAX_LINE]
        if head[2] == b"P":
            parts[head[1]] = whole
        else:
            found.append(whole)
    return found
