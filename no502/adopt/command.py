"""``no502 adopt``: its command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from no502.adopt.check import Settings, check
from no502.adopt.health import health_path
from no502.adopt.plan import Refused, make_plan
from no502.adopt.show import show_plan
from no502.adopt.workspace import workspace
from no502.adopt.write import write
from no502.errors import USAGE, UserError

__all__ = ["adopt"]


def adopt(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="The project's directory.")] = Path(),
    write_it: Annotated[bool, typer.Option("--write", help="Apply the patch.")] = False,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="With --write: also over uncommitted changes.")
    ] = False,
    check_it: Annotated[bool, typer.Option("--check", help="Then serve it, reload under load, count losses.")] = False,
    path: Annotated[str | None, typer.Option(help="With --check: the path that the load asks for.")] = None,
    python: Annotated[Path | None, typer.Option(help="With --check: the application's interpreter.")] = None,
    nginx: Annotated[str | None, typer.Option(help="With --check: an nginx program.")] = None,
    ready_timeout: Annotated[int, typer.Option(min=1, help="With --check: seconds until it must answer.")] = 30,
) -> None:
    """Print a patch that makes the timeouts of an existing project fit together, with the reason for each change.

    Executes nothing of the project unless --check is given. Exit codes: 0 nothing to change, printed, written, or
    nothing lost; 1 refused, not written, not started, or a request was lost; 2 the command line is wrong.
    """
    if path is not None and not path.startswith("/"):
        message = f"--path {path}: a path begins with /"
        raise UserError(message, USAGE)
    if python is not None and not python.is_file():
        message = f"--python {python}: no such file"
        raise UserError(message, USAGE)
    if not directory.is_dir():
        message = f"{directory}: no such directory"
        raise UserError(message, USAGE)
    with workspace(directory) as space:
        try:
            plan = make_plan(space)
        except Refused as refused:
            message = "\n".join(["this project cannot be adopted:", *(f"  {line}" for line in refused.problems)])
            raise UserError(message) from None
        typer.echo(show_plan(space, plan).encode("utf-8", "surrogateescape"), nl=False)
        if write_it and space.changes:
            names = write(space, dirty=allow_dirty)
            typer.echo(f"\nwritten: {len(names)} files")
        elif check_it and space.changes:
            message = "--check serves an adopted project: add --write, which applies the patch above"
            raise UserError(message)
        start = plan.starts[0]
        found = health_path(space, start.home)
        project = space.project
    if check_it:
        settings = Settings(
            path=path or found or "/",
            python=None if python is None else python.absolute(),
            nginx=str(Path(nginx).absolute()) if nginx is not None and os.sep in nginx else nginx,
            ready_timeout=ready_timeout,
        )
        check(project, start, settings, typer.echo)
