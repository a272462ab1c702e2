"""``no502 doctor``: its command line."""

from __future__ import annotations

import re
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from no502.addresses import page_address, shown_page
from no502.doctor.logs.cli import command as logs
from no502.doctor.logs.explain import find_messages
from no502.doctor.logs.report import describe
from no502.doctor.options import Options, takes_options
from no502.doctor.pages import page
from no502.doctor.plain import to_plain
from no502.doctor.registry import AREAS, find_rules, rules
from no502.doctor.run import run_doctor
from no502.errors import USAGE, UserError
from no502.messages.phrases import phrase_of

__all__ = ["doctor"]

_INTERNAL = 3
_ID = re.compile(r"[A-Z]\d{3}")
"""A rule or a message, which is explained where no file has that name."""


class _Group(TyperGroup):
    """Takes everything that is no sub-command for paths and options of ``check``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front where none is named; a shell that completes asks for either."""
        if ctx.resilient_parsing and not args:
            return super().parse_args(ctx, args)
        if args and args[0] in self.commands:
            return super().parse_args(ctx, args)
        named = len(args) == 1 and _ID.fullmatch(args[0]) and not Path(args[0]).exists()
        return super().parse_args(ctx, ["explain" if named else "check", *args])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return the commands that begin like that, and what the default command takes there."""
        default = self.commands["check"]
        inner = default.make_context("check", [], parent=ctx, resilient_parsing=True)
        return [*super().shell_complete(ctx, incomplete), *default.shell_complete(inner, incomplete)]


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
@takes_options
def check(options: Options) -> None:
    """Find the 502 in a deployment's files before it happens.

    Reads nginx, gunicorn, uvicorn, Compose, Dockerfile, systemd and Kubernetes files in PATH (default: the working
    directory). Executes nothing unless --exec-config is given, but `helm template` on a chart where helm is installed;
    contacts nothing unless --live or --docker is. Exit codes: 0 nothing found, 1 findings, 2 the command line is wrong
    or an input cannot be read, 3 internal error, 130 --watch was ended with Ctrl-C.
    """
    options = options if options.paths else replace(options, paths=(Path(),))
    try:
        code = run_doctor(options)
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
            typer.echo(to_plain(page(rule), "doctor"), nl=False)
            if (address := page_address(f"doctor/{rule.id}.md")) is not None:
                typer.echo(f"\nPage: {address}")
    except ValueError as error:
        _explain_message(text, str(error))


def _explain_message(text: str, problem: str) -> None:
    """Print the message that a text means, or list those that it may mean."""
    found = find_messages(text)
    meant = phrase_of(text)
    if meant is not None:
        typer.echo(f"read first: {shown_page(meant.page)}\n" if found else f"read: {shown_page(meant.page)}")
    if not found and meant is not None:
        return
    if not found:
        hint = f"no log message matches, either: {text[:100]}"
        problem = f"{problem}\n{hint}"
        raise UserError(problem, USAGE)
    if len(found) == 1 or len(text.splitlines()) > 1:
        typer.echo("\n".join(describe(message) for message in found), nl=False)
        return
    typer.echo(describe(found[0]), nl=False)
    typer.echo("\nother messages that match:")
    for message in found[1:]:
        typer.echo(f"  {message.id}  {message.title}")


doctor.command("logs")(logs)


@doctor.command("rules")
def list_rules() -> None:
    """List every rule: id, severity, slug, summary."""
    slugs = max(len(rule.slug) for rule in rules().values())
    for letter, area in AREAS.items():
        found = [rule for rule in rules().values() if rule.id[0] == letter]
        if found:
            typer.echo(f"{area}")
        for rule in found:
            typer.echo(f"  {rule.id}  {rule.severity:7}  {rule.slug:{slugs}}  {rule.summary}")
