"""``no502 doctor``: its command line."""

from __future__ import annotations

import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from no502.doctor.logs import command as logs
from no502.doctor.logs.report import describe
from no502.doctor.logs.table import by_id
from no502.doctor.pages import page
from no502.doctor.registry import AREAS, find_rules, rules
from no502.doctor.run import Request, run_doctor
from no502.errors import USAGE, UserError

__all__ = ["Format", "doctor"]

_INTERNAL = 3


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    CONCISE = "concise"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


class FailOn(StrEnum):
    """From which severity on the exit code is 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    NEVER = "never"


class Show(StrEnum):
    """What is printed instead of findings."""

    EFFECTIVE = "effective"


class _Group(TyperGroup):
    """Takes everything that is no sub-command for paths and options of ``check``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 newer typer has a click of its own
        """Put the default command in front where none is named."""
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["check", *args])


doctor = typer.Typer(cls=_Group, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@doctor.command(
    epilog="Other commands: `no502 doctor explain K201`, `no502 doctor rules`, `no502 doctor logs [FILE|-]`. "
    "A directory called like one of them is `./rules`."
)
def check(  # noqa: PLR0913, PLR0917 each is an option of the command line
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files or directories.")] = None,
    output_format: Annotated[Format, typer.Option("--format", help="How findings are printed.")] = Format.TEXT,
    select: Annotated[list[str] | None, typer.Option(help="Only these: ids, slugs or letters, by comma.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Not these: ids, slugs or letters, by comma.")] = None,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit code 1 from this severity on; default error.")] = None,
    front: Annotated[str | None, typer.Option(help="Front proxy (alb, gcp, traefik ...) or its seconds.")] = None,
    nginx_version: Annotated[str | None, typer.Option(help="Judge by this version, for example 1.28.0.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Print the proposed changes as a patch.")] = False,
    baseline: Annotated[Path | None, typer.Option(help="Leave out findings that this file lists.")] = None,
    write_baseline: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
    live: Annotated[str | None, typer.Option(help="URL of a running nginx: probe it with GET.")] = None,
    upstream: Annotated[str | None, typer.Option(help="With --live: URL of the application itself.")] = None,
    docker: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Running Compose project to compare with.")
    ] = None,
    exec_config: Annotated[bool, typer.Option("--exec-config", help="Execute gunicorn's configuration files.")] = False,
    outside: Annotated[bool, typer.Option("--outside", help="Follow links and includes out of PATH.")] = False,
    show: Annotated[Show | None, typer.Option(help="Print effective values, not findings.")] = None,
    location: Annotated[str | None, typer.Option(help="With --show: only this location.")] = None,
) -> None:
    """Find the 502 in a deployment's files before it happens.

    Reads nginx, gunicorn, uvicorn, Compose, Dockerfile, systemd and Kubernetes files in PATH (default: the working
    directory). Executes nothing unless --exec-config is given; contacts nothing unless --live or --docker is. Exit
    codes: 0 nothing found, 1 findings, 2 the command line is wrong or an input cannot be read, 3 internal error.
    """
    request = Request(
        paths=tuple(paths or [Path()]),
        output_format=output_format.value,
        select=tuple(select or ()),
        ignore=tuple(ignore or ()),
        fail_on=fail_on.value if fail_on else None,
        front=front,
        nginx_version=nginx_version,
        diff=diff,
        baseline=baseline,
        write_baseline=write_baseline,
        live=live,
        upstream=upstream,
        docker=docker,
        exec_config=exec_config,
        outside=outside,
        show=show.value if show else None,
        location=location,
    )
    _guarded(request)


def _guarded(request: Any) -> None:  # noqa: ANN401 the request's own type is checked where it is made
    try:
        code = run_doctor(request)
    except UserError as error:
        raise UserError(str(error), USAGE) from None
    except Exception:  # noqa: BLE001 whatever it is, it is the doctor's mistake and has its own exit code
        traceback.print_exc()
        typer.echo("no502: internal error of no502 doctor, not a fault of your files (please report)", err=True)
        sys.exit(_INTERNAL)
    if code:
        raise typer.Exit(code)


@doctor.command()
def explain(rule: Annotated[str, typer.Argument(help="An id or a slug of a rule, or of a message (L911).")]) -> None:
    """Print a rule's page: what it is about, why, what users see, the fix, an example."""
    message = by_id(rule)
    if message is not None:
        typer.echo(describe(message), nl=False)
        return
    try:
        for found in find_rules([rule]):
            typer.echo(page(found), nl=False)
    except ValueError as error:
        raise UserError(str(error), USAGE) from None


doctor.command("logs")(logs)


@doctor.command("rules")
def list_rules() -> None:
    """List every rule: id, severity, slug, summary."""
    for letter, area in AREAS.items():
        found = [rule for rule in rules().values() if rule.id[0] == letter]
        if found:
            typer.echo(f"{area}")
        for rule in found:
            typer.echo(f"  {rule.id}  {rule.severity:7}  {rule.slug:32}  {rule.summary}")
