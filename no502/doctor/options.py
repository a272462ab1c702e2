"""What the user wants of a run: one object from the command line to the readers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from no502.doctor.reach import Reach, reach_of

__all__ = ["FailOn", "Format", "Options", "Show", "takes_options"]


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    CONCISE = "concise"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


class FailOn(StrEnum):
    """From which severity on the exit code is 1; the most severe first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    NEVER = "never"


class Show(StrEnum):
    """What is printed instead of findings."""

    EFFECTIVE = "effective"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that a user can say; None and empty where nothing was said.

    A field whose type is ``Annotated`` is an option of the command line, or its argument.
    """

    paths: Annotated[tuple[Path, ...], typer.Argument(metavar="[PATH]...", help="Files or directories.")] = ()
    output_format: Annotated[Format, typer.Option("--format", help="How findings are printed.")] = Format.TEXT
    select: Annotated[tuple[str, ...], typer.Option(help="Check only these rules (K201,T ...).")] = ()
    ignore: Annotated[tuple[str, ...], typer.Option(help="Skip these rules (ids, slugs, area letters).")] = ()
    fail_on: Annotated[FailOn | None, typer.Option(help="Lowest severity that exits with 1 (error).")] = None
    front: Annotated[str | None, typer.Option(help="Front proxy (alb, gcp ...) or its timeout in s.")] = None
    nginx_version: Annotated[str | None, typer.Option(help="Assume this nginx version, such as 1.28.0.")] = None
    diff: Annotated[bool, typer.Option("--diff", help="Print the proposed changes as a patch.")] = False
    fix: Annotated[bool, typer.Option("--fix", help="Apply the fixes of certain findings.")] = False
    unsafe_fixes: Annotated[bool, typer.Option("--unsafe-fixes", help="With --fix: also of likely findings.")] = False
    baseline: Annotated[Path | None, typer.Option(help="Hide findings that are in this file.")] = None
    write_baseline: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None
    live: Annotated[str | None, typer.Option(help="URL of a running nginx: probe it with GET.")] = None
    upstream: Annotated[str | None, typer.Option(help="With --live: URL of the application itself.")] = None
    docker: Annotated[str | None, typer.Option(metavar="PROJECT", help="Running Compose project to compare with.")] = (
        None
    )
    exec_config: Annotated[bool, typer.Option("--exec-config", help="Execute gunicorn's configuration files.")] = False
    outside: Annotated[bool, typer.Option("--outside", help="Follow links and includes out of PATH.")] = False
    show: Annotated[Show | None, typer.Option(help="Print the effective values instead.")] = None
    location: Annotated[str | None, typer.Option(help="With --show: only this location.")] = None
    watch: Annotated[bool, typer.Option("--watch", help="Check again when a file changes.")] = False
    base: Path | None = None
    """Paths are shown relative to it; by default the working directory."""

    @cached_property
    def reach(self) -> Reach:
        """Which files may be opened: those below the paths, unless ``outside`` allows all or there are no paths."""
        return Reach() if self.outside or not self.paths else reach_of(self.paths)


def takes_options(command: Callable[[Options], None]) -> Callable[..., None]:
    """Return a command for typer with one parameter for each annotated field of ``Options``."""
    hints = get_type_hints(Options, include_extras=True)
    given = {one.name: one for one in fields(Options) if get_origin(hints[one.name]) is Annotated}

    def run(**said: Any) -> None:
        values: dict[str, Any] = {
            name: tuple(value or ()) if _is_several(hints[name]) else value for name, value in said.items()
        }
        command(Options(**values))

    def parameter(name: str) -> inspect.Parameter:
        kind, extra = get_args(hints[name])
        several = _is_several(hints[name])
        default = None if several or given[name].default is MISSING else given[name].default
        # typer knows lists, and no tuple without a length
        annotation = Annotated[list[get_args(kind)[0]] | None, extra] if several else hints[name]  # type: ignore[misc]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {}
    run.__signature__ = inspect.Signature([parameter(name) for name in given])  # type: ignore[attr-defined]
    return run


def _is_several(hint: Any) -> bool:
    return get_origin(get_args(hint)[0]) is tuple
