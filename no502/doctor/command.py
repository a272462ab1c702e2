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
from no502.doctor.logs.explain import find_messages
from no502.doctor.logs.report import describe
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


doctor = typer.Typer(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    fix: Annotated[bool, typer.Option("--fix", help="Apply the changes of certain findings.")] = False,
    unsafe_fixes: Annotated[
        bool, typer.Option("--unsafe-fixes", help="With --fix: those of likely findings too.")
    ] = False,
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
        fix=fix,
        unsafe_fixes=unsafe_fixes,
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
def explain(
    wanted: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Rule, message id, log line or phrase.")],
) -> None:
    """Print the page of a rule or of a log message: what it is, why, what users see, the fix.

    TEXT is a rule (K201), a message (L911), the slug of one, a log line as it was copied, or words of a message
    ('prematurely closed'). Exit codes: 0 printed, 2 nothing is known about it.
    """
    text = " ".join(wanted)
    try:
        for rule in find_rules([text]):
            typer.echo(page(rule), nl=False)
    except ValueError as error:
        _explain_message(text, str(error))


def _explain_message(text: str, problem: str) -> None:
    """Print the message that a text means, or list those that it may mean."""
    found = find_messages(text)
    if not found:
        hint = f"no message of the catalogue has these words either: {text[:100]}"
        problem = f"{problem}\n{hint}"
        raise UserError(problem, USAGE)
    if len(found) == 1 or len(text.splitlines()) > 1:
        typer.echo("\n".join(describe(message) for message in found), nl=False)
        return
    typer.echo(describe(found[0]), nl=False)
    typer.echo("\nalso possible:")
    for message in found[1:]:
        typer.echo(f"  {message.id}  {message.title}")


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
