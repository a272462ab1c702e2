"""The ``no502`` command: one module per sub-command.

Exit codes: 0 what was asked for is done, 1 it did not work out, 2 the command line is wrong.
"""

import sys
from typing import Annotated

import typer

from no502 import __version__
from no502.doctor.command import doctor
from no502.errors import UserError
from no502.lab.command import lab
from no502.ladder.explain import explain
from no502.new import new
from no502.nginx.command import nginx_command
from no502.serve.run import run

__all__ = ["app", "main"]

app = typer.Typer(
    name="no502",
    help="FastAPI behind nginx without dropping a request.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(new)
app.command()(run)
app.command()(explain)
app.command()(lab)
app.command("nginx")(nginx_command)
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
