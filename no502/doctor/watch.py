"""``--watch``: judge again whenever a file that was read changes, or one beside it comes or goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import typer

from no502.doctor.secrets import printable
from no502.errors import UserError

__all__ = ["INTERRUPTED", "watch"]

INTERRUPTED = 130
"""Exit code after Ctrl-C."""
_INTERVAL = 1.0
"""Seconds between two looks."""
_GRAIN = 20_000_000
"""Nanoseconds by which a file's time may lag behind the clock."""
_NAMED = 3

Marks = dict[Path, tuple[int, int]]
"""Time of the last change in nanoseconds, and size."""


def watch(judge: Callable[[], Iterable[Path]]) -> int:
    """Judge until Ctrl-C; return the exit code.

    Args:
        judge: Reads, prints, and returns what was read. A ``UserError`` of it is printed, and the next change tried.
    """
    read: list[Path] = []
    try:
        while True:
            known, began = _marks(read), time.time_ns() - _GRAIN
            read = _judged(judge, read)
            before = _certain(_marks(read), known, began)
            while not (changed := _changed(before, _marks(read))):
                time.sleep(_INTERVAL)
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            typer.echo(printable(f"\n--- changed: {', '.join(changed[:_NAMED])}{more}"))
    except KeyboardInterrupt:
        return INTERRUPTED


def _judged(judge: Callable[[], Iterable[Path]], before: Iterable[Path]) -> list[Path]:
    """Judge and return what was read; where that fails, what was read before."""
    try:
        read = list(judge())
    except UserError as error:
        typer.echo(f"no502: {error}", err=True)
        read = list(before)
    typer.echo("watching for changes; press Ctrl-C to stop", err=True)
    return read


def _marks(paths: Sequence[Path]) -> Marks:
    """Return the marks of files and of their folders, which change when a file comes or goes."""
    found: Marks = {}
    folders = {path if path.is_dir() else path.parent for path in paths}
    for path in {*paths, *folders}:
        try:
            status = path.stat()
        except OSError:
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


def _certain(marks: Marks, known: Marks, began: int) -> Marks:
    """Return the marks without those of files that changed while they were judged: it may have read them before."""
    now = time.time_ns()
    return {path: mark for path, mark in marks.items() if known.get(path) == mark or not began <= mark[0] <= now}


def _changed(before: Marks, now: Marks) -> list[str]:
    """Return the files that changed, came or went; folders only where no file did."""
    different = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    files = [str(path) for path in different if not path.is_dir()]
    return files or [str(path) for path in different]
