"""One run of the doctor: read, check, print, and the exit code."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from no502.doctor.baseline import read_baseline, write_baseline
from no502.doctor.check import Result, check, merge
from no502.doctor.docker import ask_docker, examine
from no502.doctor.facts import number
from no502.doctor.files import Files
from no502.doctor.finding import Confidence
from no502.doctor.front import front_of
from no502.doctor.live import probe
from no502.doctor.model import Deployment
from no502.doctor.options import Configured, fails, read_configured, select_rules
from no502.doctor.patch import make_patch
from no502.doctor.reach import Reach, reach_of
from no502.doctor.readers.deployment import Options, read_deployments
from no502.doctor.registry import Rule
from no502.doctor.reports.github import to_github
from no502.doctor.reports.json_report import to_json
from no502.doctor.reports.sarif import to_sarif
from no502.doctor.reports.text import concise, text
from no502.doctor.secrets import printable
from no502.doctor.show import show_effective
from no502.errors import FAILED, USAGE, UserError

__all__ = ["Request", "run_doctor"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for; None and empty where it says nothing."""

    paths: tuple[Path, ...]
    output_format: str = "text"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str | None = None
    front: str | None = None
    nginx_version: str | None = None
    diff: bool = False
    fix: bool = False
    unsafe_fixes: bool = False
    baseline: Path | None = None
    write_baseline: Path | None = None
    live: str | None = None
    upstream: str | None = None
    docker: str | None = None
    exec_config: bool = False
    outside: bool = False
    show: str | None = None
    location: str | None = None


def _with_configuration(request: Request) -> Request:
    """Fill in what the configuration file says where the command line says nothing."""
    directory = next((path for path in request.paths if path.is_dir()), Path())
    said: Configured = read_configured(directory)
    baseline = request.baseline
    if baseline is None and said.baseline is not None:
        baseline = directory / said.baseline
    return replace(
        request,
        select=request.select or tuple(said.select or ()),
        ignore=request.ignore or tuple(said.ignore or ()),
        fail_on=request.fail_on or said.fail_on or "error",
        front=request.front or said.front,
        nginx_version=request.nginx_version or said.nginx_version,
        baseline=None if request.write_baseline else baseline,
    )


def _unknown_paths(paths: tuple[Path, ...]) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        message = "\n".join(f"{path}: no such file or directory" for path in missing)
        raise UserError(message, USAGE)


def run_doctor(request: Request) -> int:
    """Read, check and print; return the exit code 0 or 1.

    Raises:
        UserError: The command line or the configuration is wrong, or an input cannot be read.
    """
    _unknown_paths(request.paths)
    if request.upstream is not None and request.live is None:
        message = "--upstream needs --live: what nginx answers is compared with it"
        raise UserError(message, USAGE)
    request = _with_configuration(request)
    selected = select_rules(request.select, request.ignore)
    reach = Reach() if request.outside else reach_of(request.paths)
    files = Files(request.paths, reach)
    result = merge([check(deployment, selected, files.text) for deployment in _read(request, reach)])
    if not result.deployment.looked_at and not result.not_checked and request.live is None:
        where = ", ".join(map(str, request.paths))
        message = f"{where}: nothing here that doctor reads (nginx, gunicorn, Compose, Dockerfile, systemd, Kubernetes)"
        raise UserError(message, USAGE)
    if request.show is not None:
        typer.echo(show_effective(result.deployment, request.location), nl=False)
        return 0
    if request.live is not None:
        _live(request, result, selected)
    if request.docker is not None:
        wanted = {rule.id for rule in selected}
        running = examine(ask_docker(request.docker), result.deployment)
        result.findings += [finding for finding in running if finding.rule in wanted]
    if request.write_baseline is not None:
        count = write_baseline(request.write_baseline, result.findings)
        typer.echo(f"{request.write_baseline}: {count} findings are known from now on")
        return 0
    if request.baseline is not None:
        known = read_baseline(request.baseline)
        new = [finding for finding in result.findings if finding.fingerprint not in known]
        result.known, result.findings = len(result.findings) - len(new), new
    if request.fix:
        _fix(request, result, files)
    _print(request, result, selected, files)
    if fails(result.worst(), request.fail_on or "error"):
        return FAILED
    # A file of the deployment that could not be read is no "nothing found".
    return USAGE if result.deployment.unreadable else 0


def _live(request: Request, result: Result, selected: list[Rule]) -> None:
    """Add what the running servers answer, and print the answers side by side where the report is for people."""
    idle = [
        number(block.settings, "keepalive_timeout") for nginx in result.deployment.nginx for block in nginx.upstreams
    ]
    waits = [seconds for seconds in idle if seconds is not None]
    probed = probe(request.live or "", request.upstream, pool_idle=max(waits, default=60.0))
    wanted = {rule.id for rule in selected}
    result.findings += [finding for finding in probed.findings if finding.rule in wanted]
    result.not_checked += probed.not_checked
    if request.output_format == "text" and not request.diff:
        typer.echo(f"{'':28} {'through nginx':28} application")
        for name, through, direct in probed.rows:
            typer.echo(f"{name:28} {through:28} {direct}")
        typer.echo()


def _fix(request: Request, result: Result, files: Files) -> None:
    """Write the proposed changes: those of certain findings, with --unsafe-fixes those of likely ones too."""
    sure = [one for one in result.findings if request.unsafe_fixes or one.confidence is Confidence.CERTAIN]
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
    result.findings = [one for one in result.findings if one not in patch.fixed]


_COLOURS = {"✗": "red", "!": "yellow", "i": "blue", "✓": "green", "?": "cyan", "-": "bright_black"}


def _coloured(report: str) -> str:
    """Return a text report with coloured marks."""
    lines = report.split("\n")
    for index, line in enumerate(lines):
        colour = _COLOURS.get(line[1:2]) if line.startswith("[") and line[2:3] == "]" else None
        lines[index] = typer.style(line, fg=colour, bold=True) if colour else line
    return "\n".join(lines)


def _print(request: Request, result: Result, selected: list[Rule], files: Files) -> None:
    if request.diff:
        patch = make_patch(result.findings, files.text, files.shown)
        typer.echo(patch.text.encode("utf-8", "surrogateescape"), nl=False)
        for finding in patch.left:
            typer.echo(printable(f"not in the patch: {finding.where}: {finding.rule}: {finding.fix}"), err=True)
        return
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    shown = {
        "text": lambda: text(result, selected, unicode=unicode),
        "concise": lambda: concise(result),
        "json": lambda: to_json(result),
        "sarif": lambda: to_sarif(result, files.shown),
        "github": lambda: to_github(result, files.shown),
    }[request.output_format]()
    if request.output_format == "text" and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        shown = _coloured(shown)
    typer.echo(shown.encode("utf-8", "replace") if unicode else shown, nl=False)


def _read(request: Request, reach: Reach) -> list[Deployment]:
    try:
        front = front_of(request.front) if request.front is not None else None
    except ValueError as error:
        raise UserError(str(error), USAGE) from None
    deployments = read_deployments(
        request.paths, Options(nginx_version=request.nginx_version, exec_config=request.exec_config, reach=reach)
    )
    for deployment in deployments:
        deployment.front = front
    return deployments
