"""Log files as they grow: each new line once, also after a file was rotated or truncated."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from no502.doctor.logs.reading import MAX_LINE

__all__ = ["STDIN", "followed", "piped"]

STDIN = "-"

_CHUNK = 1 << 20
_PAUSE = 0.5
"""Seconds between two looks."""


@dataclass
class _File:
    path: Path
    inode: int = -1
    offset: int = 0
    rest: bytes = b""


def followed(names: Sequence[str], wait: Callable[[float], None] = time.sleep) -> Iterator[list[bytes]]:
    """Yield the lines that are appended from now on, in batches; never ends by itself.

    Args:
        names: Paths; a file that does not exist yet is waited for.
        wait: Called with the number of seconds between two looks.

    Yields:
        Complete lines without their ends, cut off at ``MAX_LINE``; an empty list when nothing is new.
    """
    files = [_File(Path(name)) for name in names]
    for file in files:
        found = _state(file.path)
        if found is not None:
            file.inode, file.offset = found
    while True:
        fresh = [line for file in files for line in _new_lines(file)]
        yield fresh
        if not fresh:
            wait(_PAUSE)


def piped(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the lines of a pipe as they come, each at once, until its other end is closed.

    A line longer than ``MAX_LINE`` is cut off; its rest is dropped.
    """
    cutting = False
    while piece := stream.readline(MAX_LINE):
        whole = piece.endswith(b"\n")
        if not cutting:
            yield [piece.rstrip(b"\r\n")]
        cutting = not whole


def _state(path: Path) -> tuple[int, int] | None:
    try:
        state = os.stat(path)  # noqa: PTH116  the same call for what Path does not tell apart
    except OSError:
        return None
    return state.st_ino, state.st_size


def _new_lines(file: _File) -> Iterator[bytes]:
    found = _state(file.path)
    if found is None:
        return
    inode, size = found
    if inode != file.inode or size < file.offset:
        file.inode, file.offset, file.rest = inode, 0, b""
    if size == file.offset:
        return
    try:
        with file.path.open("rb") as stream:
            stream.seek(file.offset)
            chunk = stream.read(_CHUNK)
    except OSError:
        return
    file.offset += len(chunk)
    *lines, rest = (file.rest + chunk).split(b"\n")
    file.rest = rest[:MAX_LINE]
    for line in lines:
        yield line[:MAX_LINE]
