"""``no502 doctor logs``: from the lines in the logs to what happened and what to do."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from no502.doctor.logs.access import AccessLog
from no502.doctor.logs.findings import Findings, Window
from no502.doctor.logs.follow import STDIN, followed, piped
from no502.doctor.logs.page import to_html
from no502.doctor.logs.parse import printable
from no502.doctor.logs.reading import READ_ERRORS, lines, open_log, size_of
from no502.doctor.logs.report import to_json, to_text
from no502.errors import USAGE, UserError

__all__ = ["FOUND", "UNREADABLE", "Format", "command", "moment"]

FOUND = 1
"""Exit code: something was found that a client may have seen."""
UNREADABLE = 2
"""Exit code: a log could not be read to its end (what could be read is reported)."""

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
_CLOCK = re.compile(r"\d\d:\d\d(?::\d\d)?")
_SECOND = "%Y-%m-%d %H:%M:%S"


class Format(StrEnum):
    """How the report is printed."""

    TEXT = "text"
    JSON = "json"


def command(
    files: Annotated[list[str], typer.Argument(metavar="[FILE|-]...", help="Logs, plain or gzip; - is stdin.")],
    access_log: Annotated[
        list[str] | None, typer.Option("--access-log", help="nginx's access log, to see what clients got.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only lines from then on: 2h, 14:30, 2026-11-30 14:30.")] = None,
    until: Annotated[str | None, typer.Option(help="Only lines up to then; the same forms.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Explain new lines as they come.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with a chart over time.")] = None,
    output_format: Annotated[Format, typer.Option("--format", help="For reading, or as JSON.")] = Format.TEXT,
) -> None:
    """Explain the errors in the logs of nginx, gunicorn and uvicorn: what happened, cause, fix.

    Give the logs of nginx and of the application together: they are joined by time and process. Lines of systemd, the
    kernel, Docker, Kubernetes, supervisord, load balancers and other proxies are recognised as well. Times are compared
    as they stand in the lines. Exit codes: 0 nothing that a client saw, 1 something was found, 2 a log could not be
    read, no file is a log, or the command line is wrong.
    """
    begin = moment("--since", since)
    window = Window(begin, moment("--until", until, end=True, after=begin))
    if follow and STDIN in files and len(files) > 1:
        problem = "--follow takes either files or standard input (-), not both"
        raise UserError(problem, USAGE)
    problems: list[str] = []
    access = AccessLog() if access_log else None
    findings = Findings(access, window)
    with _progress() as progress:
        if access is not None:
            _read(access_log or [], access.read, progress, problems)
        if not follow or STDIN not in files:
            _read(files, findings.read, progress, problems, findings.next_file)
    problems += [] if follow else _no_log(files, findings) or _outside(findings, window)
    nothing = not findings.lines or (not findings.is_log and access is None)
    if problems and nothing and not follow:  # there is nothing to report about
        _say(problems)
        raise typer.Exit(UNREADABLE)
    if follow:
        _follow(files, findings)
    if html is not None:
        _write(html, to_html(findings), problems)
    typer.echo({Format.TEXT: to_text, Format.JSON: to_json}[output_format](findings), nl=False)
    _say(problems)
    if access is not None and access.lines and access.unreadable == access.lines:
        hint = "nginx's own format combined, or the JSON of nginx/snippets/http.conf"
        problems.append(f"--access-log: no line of {access.lines:,} is in a known format ({hint})")
        _say(problems[-1:])
    if problems:
        raise typer.Exit(UNREADABLE)
    if findings.unknown.total or findings.statuses.failed or any(not seen.harmless for seen in findings.found()):
        raise typer.Exit(FOUND)


def _no_log(names: Sequence[str], findings: Findings) -> list[str]:
    """Return a problem where there are lines and none of them looks like one of a log."""
    if not findings.strange or findings.is_log:
        return []
    named = ", ".join("standard input" if name == STDIN else name for name in names)
    problem = (
        f"{named}: no line looks like one of a log (no time, no level, no known message); give the output of "
        "`docker logs` or `journalctl`, nginx's error log or gunicorn's log; for words of a message: "
        "no502 doctor explain WORDS"
    )
    return [problem]


def _outside(findings: Findings, window: Window) -> list[str]:
    """Return a problem where the span that was asked for has no line, and the logs have some elsewhere."""
    if window.open or not findings.outside or findings.inside:
        return []
    span = f"{window.since or 'the beginning'} to {window.until or 'the end'}"
    have = f"{findings.earliest} to {findings.latest}"
    return [f"all lines are outside the span {span}: the logs have {have}; check --since and --until"]


def _say(problems: Sequence[str]) -> None:
    for problem in problems:
        typer.echo(f"no502 doctor logs: {problem}", err=True)


def moment(option: str, text: str | None, *, end: bool = False, after: str = "", now: datetime | None = None) -> str:
    """Return a point in time as log lines write it; empty for None.

    Args:
        option: Whose value it is, for the error message.
        text: ``90s``, ``30m``, ``2h``, ``1d`` before now; ``14:30``, the last one; ``2026-11-30``, with or without a
            time.
        end: Whether a date or a minute means its last second.
        after: What a time of day follows, instead of being the last one: the beginning of the span.
        now: The present; None: the local clock's.

    Raises:
        UserError: It is none of these.
    """
    if text is None:
        return ""
    present = now or datetime.now().astimezone()
    if ago := _AGO.fullmatch(text.strip()):
        return (present - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).strftime(_SECOND)
    wanted = text.strip().replace("T", " ")
    if _CLOCK.fullmatch(wanted):
        wanted = f"{_day(wanted, present, after):%Y-%m-%d} {wanted}"
    full = wanted + ("0000-00-00 23:59:59" if end else "0000-00-00 00:00:00")[len(wanted) :]
    try:
        if _DATE.fullmatch(wanted):
            return datetime.strptime(full, _SECOND).strftime(_SECOND)  # noqa: DTZ007  as written, without a zone
    except ValueError:  # such as the 31st of February
        pass
    problem = f"{option} {text}: no time; write 2h (s, m, h, d), 14:30, 2026-11-30 or '2026-11-30 14:30'"
    raise UserError(problem, USAGE)


def _day(clock: str, present: datetime, after: str) -> datetime:
    """Return a moment of the day that a time of day means: the last such time, or the first one after another."""
    if after:
        begin = datetime.strptime(after, _SECOND)  # noqa: DTZ007  as written, without a zone
        return begin if clock >= f"{begin:%H:%M:%S}"[: len(clock)] else begin + timedelta(days=1)
    return present if clock <= f"{present:%H:%M:%S}"[: len(clock)] else present - timedelta(days=1)


def _write(path: Path, text: str, problems: list[str]) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        problems.append(f"--html {path}: {error.strerror or error}; name a file in a directory that you can write to")


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


def _read(
    names: Sequence[str],
    take: Callable[[list[bytes]], None],
    progress: Progress,
    problems: list[str],
    begin: Callable[[], None] = lambda: None,
) -> None:
    for name in {os.path.realpath(name) if name != STDIN else name: name for name in names}.values():
        begin()
        try:
            task = progress.add_task(name, total=size_of(name))
            with open_log(name) as file:
                for batch in lines(file, lambda count, task=task: progress.advance(task, count)):  # type: ignore[misc]
                    take(batch)
        except READ_ERRORS as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            problems.append(f"{name}: {reason}; give readable log files, or - for standard input")


def _follow(names: Sequence[str], findings: Findings) -> None:
    """Print each new message with the first sentence of its cause until the user stops it."""
    typer.echo(f"no502 doctor logs: following {', '.join(names)}; Ctrl-C ends it with the report", err=True)
    try:
        for batch in piped(sys.stdin.buffer) if STDIN in names else followed(names):
            for raw in batch:
                findings.lines += 1
                found = findings.take(raw)
                if found is not None:
                    line, message = found
                    cause = message.cause.partition(". ")[0].rstrip(".")
                    when = line.time[11:] if line.time else "        "
                    typer.echo(f"{when} {message.id} {message.severity:7} {printable(line.text, 120)}\n{'':22}{cause}.")
    except KeyboardInterrupt:
        typer.echo("")
