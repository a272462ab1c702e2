"""The ``no502`` command: one module per sub-command.

Exit codes: 0 what was asked for is done, 1 it did not work out, 2 the command line is wrong.
"""

import re
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from no502 import __version__
from no502.adopt.command import adopt
from no502.doctor.command import doctor
from no502.errors import UserError
from no502.lab.command import lab
from no502.ladder.explain import explain
from no502.near import did_you_mean
from no502.new import new
from no502.nginx.command import nginx_command
from no502.serve.run import run

__all__ = ["app", "main"]

_NO_CHOICE = re.compile(r"'([^']*)' is not one of ('.*')")


class _Group(TyperGroup):
    """Names what was perhaps meant where a value is not one of an option's choices."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if found := _NO_CHOICE.search(error.message):
                error.message = error.message.removeprefix("Value error, ").rstrip(".")
                error.message += did_you_mean(found[1], re.findall(r"'([^']+)'", found[2])) or "."
            raise


app = typer.Typer(
    name="no502",
    cls=_Group,
    help="FastAPI behind nginx without dropping a request.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Short texts: the first lines of the functions are longer than the list of commands is wide.
app.command(short_help="Create a FastAPI service with gunicorn and nginx.")(new)
app.command(short_help="Serve an application with gunicorn behind nginx.")(run)
app.command(short_help="Print a patch that fixes an existing project.")(adopt)
app.command(short_help="Print the ladder in force here, with its formulas.")(explain)
app.command(short_help="Reproduce the failures between nginx and gunicorn.")(lab)
app.command("nginx", short_help="Write the nginx configuration that matches.")(nginx_command)
app.add_typer(doctor, name="doctor", help="Find the 502 in a deployment's files before it happens.")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"no502 {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """FastAPI behind nginx without dropping a request."""


def main() -> None:
    """Run the command line; a user's mistake ends in its message and exit code, not in a traceback."""
    try:
        app()
    except UserError as error:
        typer.echo(f"no502: {error}", err=True)
        sys.exit(error.exit_code)
