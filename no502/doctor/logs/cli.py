"""``no502 doctor logs``: from the lines in the logs to what happened and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from no502.doctor.logs.access import AccessLog
from no502.doctor.logs.findings import Findings
from no502.doctor.logs.reading import READ_ERRORS, lines, open_log, size_of
from no502.doctor.logs.report import to_json, to_text

__all__ = ["FOUND", "UNREADABLE", "Format", "command"]

FOUND = 1
"""Exit code: something was found that a client may have seen."""
UNREADABLE = 2
"""Exit code: a log could not be read to its end (what could be read is reported)."""


class Format(StrEnum):
    """How the report is printed."""

    TEXT = "text"
    JSON = "json"


def command(
    files: Annotated[
        list[str], typer.Argument(metavar="[FILE|-]...", help="Logs, plain or gzip; - is standard input.")
    ],
    access_log: Annotated[
        list[str] | None, typer.Option("--access-log", help="nginx's JSON access log: a repeated GET is no 502 then.")
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", help="For reading, or as JSON.")] = Format.TEXT,
) -> None:
    """Explain the errors in the logs of nginx, gunicorn and uvicorn: cause, proof, fix.

    Exit codes: 0 nothing that a client saw, 1 something was found, 2 a log could not be read.
    """
    problems: list[str] = []
    access = AccessLog() if access_log else None
    findings = Findings(access)
    with _progress() as progress:
        if access is not None:
            _read(access_log or [], access.read, progress, problems)
        _read(files, findings.read, progress, problems)
    typer.echo({Format.TEXT: to_text, Format.JSON: to_json}[output_format](findings), nl=False)
    for problem in problems:
        typer.echo(f"no502 doctor logs: {problem}", err=True)
    if access is not None and access.lines and access.unreadable == access.lines:
        hint = "log_format and access_log of nginx/snippets/http/access-log-format.conf"
        problems.append(f"--access-log: none of {access.lines:,} lines is in the JSON format that pairs them ({hint})")
        typer.echo(f"no502 doctor logs: {problems[-1]}", err=True)
    if problems:
        raise typer.Exit(UNREADABLE)
    if findings.unknown.total or any(not seen.harmless for seen in findings.found()):
        raise typer.Exit(FOUND)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())


def _read(names: Sequence[str], take: Callable[[list[bytes]], None], progress: Progress, problems: list[str]) -> None:
    for name in names:
        try:
            task = progress.add_task(name, total=size_of(name))
            with open_log(name) as file:
                for batch in lines(file, lambda count, task=task: progress.advance(task, count)):  # type: ignore[misc]
                    take(batch)
        except READ_ERRORS as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            problems.append(f"{name}: {reason}; give readable log files, or - for standard input")
