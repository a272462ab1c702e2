"""One run of the doctor: read, check, print, and the exit code."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import typer

from no502.doctor.baseline import read_baseline, write_baseline
from no502.doctor.check import Result, check, merge
from no502.doctor.configured import fails, select_rules, with_configuration
from no502.doctor.docker import ask_docker, examine
from no502.doctor.facts import number
from no502.doctor.files import Files
from no502.doctor.finding import Confidence
from no502.doctor.front import front_of
from no502.doctor.live import ANNOUNCED, probe
from no502.doctor.model import Deployment
from no502.doctor.options import FailOn, Format, Options
from no502.doctor.patch import Patch, make_patch
from no502.doctor.readers.deployment import read_deployments
from no502.doctor.registry import Rule
from no502.doctor.reports.github import to_github
from no502.doctor.reports.json_report import to_json
from no502.doctor.reports.sarif import to_sarif
from no502.doctor.reports.text import concise, text
from no502.doctor.secrets import printable
from no502.doctor.show import show_effective
from no502.doctor.watch import watch
from no502.errors import FAILED, USAGE, UserError
from no502.nginx.versions import default_seconds

__all__ = ["Judged", "judge", "proposed", "rendered", "run_doctor"]


def _unknown_paths(paths: tuple[Path, ...]) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        message = "\n".join(f"{path}: no such file or directory" for path in missing)
        raise UserError(message, USAGE)


def run_doctor(options: Options) -> int:
    """Read, check and print; return the exit code 0, 1 or 2, or with ``watch`` that of its end.

    Raises:
        UserError: The command line or the configuration is wrong, or an input cannot be read.
    """
    _unknown_paths(options.paths)
    if not options.watch:
        return _run(options)[0]
    if options.fix or options.write_baseline is not None:
        message = "--watch reads only: it cannot be combined with --fix or --write-baseline"
        raise UserError(message, USAGE)
    return watch(lambda: _run(options)[1])


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a run has found, before anything is printed or written."""

    options: Options
    """With what the configuration file says where the command line says nothing."""
    result: Result
    selected: list[Rule]
    files: Files


def judge(options: Options) -> Judged:
    """Read and check, and ask what runs where that is wanted.

    Raises:
        UserError: The command line or the configuration is wrong, or there is nothing that doctor reads.
    """
    if options.upstream is not None and options.live is None:
        message = "--upstream needs --live: doctor compares the two responses"
        raise UserError(message, USAGE)
    options = with_configuration(options)
    selected = select_rules(options.select, options.ignore)
    files = Files(options.paths, options.reach)
    deployments = _read(options)
    _ask(options, deployments)
    result = merge([check(deployment, selected, files.text) for deployment in deployments])
    if not result.deployment.looked_at and not result.not_checked and options.live is None:
        where = ", ".join(map(str, options.paths))
        message = f"{where}: no file here that doctor reads (nginx, gunicorn, Compose, Dockerfile, systemd, Kubernetes)"
        raise UserError(message, USAGE)
    if options.baseline is not None and options.show is None:
        known = read_baseline(options.baseline)
        new = [finding for finding in result.findings if finding.fingerprint not in known]
        result.known, result.findings = len(result.findings) - len(new), new
    return Judged(options=options, result=result, selected=selected, files=files)


def rendered(judged: Judged, output_format: str, *, unicode: bool = True) -> str:
    """Return the report in a format; ``unicode``: whether marks beyond ASCII can be shown."""
    result, files = judged.result, judged.files
    return {
        "text": lambda: text(result, judged.selected, unicode=unicode),
        "concise": lambda: concise(result),
        "json": lambda: to_json(result),
        "sarif": lambda: to_sarif(result, files.shown),
        "github": lambda: to_github(result, files.shown),
    }[output_format]()


def proposed(judged: Judged) -> Patch:
    """Return the patch of all findings."""
    return make_patch(judged.result.findings, judged.files.text, judged.files.shown)


def _run(options: Options) -> tuple[int, list[Path]]:
    """Do it once; return the exit code and what was read."""
    judged = judge(options)
    options, result, files = judged.options, judged.result, judged.files
    read = _watched(options, result, files)
    if options.show is not None:
        typer.echo(show_effective(result.deployment, options.location), nl=False)
        return 0, read
    if options.write_baseline is not None:
        count = write_baseline(options.write_baseline, result.findings)
        typer.echo(f"{options.write_baseline}: wrote {count} findings to the baseline")
        return 0, read
    if options.fix:
        _fix(options, result, files)
    _print(judged)
    if fails(result.worst(), options.fail_on or FailOn.ERROR):
        return FAILED, read
    # A file of the deployment that could not be read is no "nothing found".
    return USAGE if result.deployment.unreadable else 0, read


def _watched(options: Options, result: Result, files: Files) -> list[Path]:
    """Return what a change of has to be seen: the given paths, the files that were read, the configuration."""
    looked_at = [path for name in result.deployment.looked_at if (path := files.path(name)) is not None]
    said = [folder / name for folder in options.paths for name in ("doctor.toml", "pyproject.toml")]
    return [*options.paths, *looked_at, *said]


def _ask(options: Options, deployments: list[Deployment]) -> None:
    """Add what the running servers and containers say, for the rules about them."""
    asked = options.live is not None or options.docker is not None
    if asked and not deployments:
        deployments.append(Deployment())
    if options.live is not None:
        _live(options, deployments)
    if options.docker is not None:
        containers = ask_docker(options.docker)
        for deployment in deployments:
            deployment.problems += examine(containers, deployment)


def _live(options: Options, deployments: list[Deployment]) -> None:
    """Ask the running servers, and print the answers side by side where the report is for people."""
    idle = [
        number(block.settings.keepalive_timeout)
        for deployment in deployments
        for nginx in deployment.nginx
        for block in nginx.upstreams
    ]
    waits = [seconds for seconds in idle if seconds is not None]
    typer.echo(ANNOUNCED, err=True)
    probed = probe(
        options.live or "",
        options.upstream,
        pool_idle=max(waits, default=default_seconds("keepalive_timeout", "upstream")),
    )
    left = ", ".join(f'"{line}"' for line in probed.left) or "no line"
    typer.echo(f"lines in nginx's error log from the probe of the largest body: {left}", err=True)
    deployments[0].problems += probed.problems
    deployments[0].not_checked += probed.not_checked
    if options.output_format is Format.TEXT and not options.diff:
        typer.echo(f"{'':28} {'through nginx':28} application")
        for name, through, direct in probed.rows:
            typer.echo(f"{name:28} {through:28} {direct}")
        typer.echo()


def _fix(options: Options, result: Result, files: Files) -> None:
    """Write the proposed changes: those of certain findings, with --unsafe-fixes those of likely ones too."""
    sure = [one for one in result.findings if options.unsafe_fixes or one.confidence is Confidence.CERTAIN]
    patch = make_patch(sure, files.text, files.shown)
    for name, text_of_file in patch.texts.items():
        path = files.path(name)
        if path is None:
            continue
        try:
            path.write_bytes(text_of_file.encode("utf-8", "surrogateescape"))
        except OSError as error:
            message = f"{path}: cannot be written: {error.strerror}"
            raise UserError(message, FAILED) from None
    for finding in patch.fixed:
        typer.echo(printable(f"fixed: {finding.where}: {finding.rule}"), err=True)
    for line in patch.refused:
        typer.echo(printable(line), err=True)
    result.findings = [one for one in result.findings if one not in patch.fixed]


_COLOURS = {"✗": "red", "!": "yellow", "i": "blue", "✓": "green", "?": "cyan", "-": "bright_black"}


def _coloured(report: str) -> str:
    """Return a text report with coloured marks."""
    lines = report.split("\n")
    for index, line in enumerate(lines):
        colour = _COLOURS.get(line[1:2]) if line.startswith("[") and line[2:3] == "]" else None
        lines[index] = typer.style(line, fg=colour, bold=True) if colour else line
    return "\n".join(lines)


def _print(judged: Judged) -> None:
    if judged.options.diff:
        patch = proposed(judged)
        # A patch that is piped has every byte; a terminal gets no control character of a file.
        shown = "\n".join(map(printable, patch.text.split("\n"))) if sys.stdout.isatty() else patch.text
        typer.echo(shown.encode("utf-8", "surrogateescape"), nl=False)
        for finding in patch.left:
            typer.echo(printable(f"not in the patch: {finding.where}: {finding.rule}: {finding.fix}"), err=True)
        for line in patch.refused:
            typer.echo(printable(line), err=True)
        return
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    shown = rendered(judged, judged.options.output_format, unicode=unicode)
    if judged.options.output_format is Format.TEXT and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        shown = _coloured(shown)
    typer.echo(shown.encode("utf-8", "replace") if unicode else shown, nl=False)


def _read(options: Options) -> list[Deployment]:
    try:
        front = front_of(options.front) if options.front is not None else None
    except ValueError as error:
        raise UserError(str(error), USAGE) from None
    deployments = read_deployments(options.paths, options)
    for deployment in deployments:
        deployment.front = front
    return deployments
