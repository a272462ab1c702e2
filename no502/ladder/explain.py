"""``no502 explain``: the ladder in force here, each rung with its formula and reason."""

from __future__ import annotations

import json
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from no502.errors import USAGE, UserError
from no502.ladder import platforms, proxies, uvicorn_flags
from no502.ladder.conf_file import foreign_conf_note
from no502.ladder.picture import draw
from no502.ladder.rungs import GROUPS, RUNGS, Rung, is_overridden, value_of
from no502.ladder.settings import load_settings

if TYPE_CHECKING:
    from gunicorn_conf import ServerSettings

__all__ = ["explain", "to_env", "to_json", "to_text"]


class Format(StrEnum):
    """How the ladder is printed."""

    TEXT = "text"
    JSON = "json"
    ENV = "env"
    SVG = "svg"


class Server(StrEnum):
    """Whose settings are printed."""

    GUNICORN = "gunicorn"
    UVICORN = "uvicorn"


def explain(
    wanted: Annotated[list[str] | None, typer.Argument(hidden=True, metavar="ID")] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="For reading, as JSON, as lines of a .env file, as a picture.")
    ] = Format.TEXT,
    server: Annotated[
        Server, typer.Option(help="uvicorn: the same numbers as flags of uvicorn alone.")
    ] = Server.GUNICORN,
    proxy: Annotated[
        proxies.Proxy | None, typer.Option(help="The lines for a proxy of your own.", show_default=False)
    ] = None,
    platform: Annotated[
        platforms.Platform | None,
        typer.Option(help="What to set on a hosting platform.", show_default=False, case_sensitive=False),
    ] = None,
) -> None:
    """Print the ladder that the environment and .env give here: formula, value, who enforces it, why."""
    if wanted:
        text = " ".join(wanted)
        message = f"no502 explain prints the ladder and takes no text; what {text} means: no502 doctor explain {text}"
        raise UserError(message, USAGE)
    if proxy is not None or platform is not None:
        option, kind = (f"--proxy {proxy}", "proxy") if proxy is not None else (f"--platform {platform}", "platform")
        if output_format is not Format.TEXT or server is not Server.GUNICORN:
            message = f"{option} prints the lines of one {kind}; leave out --format and --server"
            raise UserError(message, USAGE)
        if proxy is not None and platform is not None:
            message = f"{option} prints the lines of one proxy; leave out --platform"
            raise UserError(message, USAGE)
        if platform is not None:
            _print_platform(platform)
        elif proxy is not None:
            typer.echo(_proxy_text(proxy, load_settings()), nl=False)
        return
    if server is Server.UVICORN:
        if output_format not in {Format.TEXT, Format.JSON}:
            message = f"--server uvicorn prints text or json, not {output_format}"
            raise UserError(message, USAGE)
        show = uvicorn_flags.to_text if output_format is Format.TEXT else uvicorn_flags.to_json
    else:
        show = {Format.TEXT: to_text, Format.JSON: to_json, Format.ENV: to_env, Format.SVG: draw}[output_format]
    if note := foreign_conf_note(Path()):
        typer.echo(f"no502: {note}", err=True)
    typer.echo(show(load_settings()), nl=False)


def _proxy_text(proxy: proxies.Proxy, current: ServerSettings) -> str:
    numbers = proxies.numbers_of(current)
    head = (
        f"# PROXY_READ_TIMEOUT={numbers.read}, PROXY_KEEPALIVE_TIMEOUT={numbers.idle}, "
        f"PROXY_CONNECT_TIMEOUT={numbers.connect}; the worker's keepalive is {current.keepalive} s.\n"
    )
    return head + proxies.to_text(proxy, numbers)


def _print_platform(platform: platforms.Platform) -> None:
    """Print the file to standard output and, so that it can be redirected, what it rests on to standard error."""
    hosting, current = platforms.PLATFORMS[platform], platforms.settings_for(platform)
    most = "" if hosting.grace_limit is None else f" of {hosting.grace_limit} s at most"
    typer.echo(
        f"Not run on {hosting.title}: its documentation as of {platforms.AS_OF}, {hosting.source}\n"
        f"It waits for a response: {hosting.waits}; keeps an idle connection: {hosting.idle}.",
        err=True,
    )
    if hosting.gunicorn:
        typer.echo(f"From the stop signal to SIGKILL: {current.stop_grace} s{most}.", err=True)
    typer.echo(platforms.to_text(platform, current), nl=False)


def to_text(current: ServerSettings) -> str:
    """Return the ladder for reading, 100 columns wide at most (links excepted)."""
    lines: list[str] = []
    for key, title in GROUPS.items():
        lines += [title.upper(), ""]
        for rung in RUNGS:
            if rung.group == key:
                lines += [*_rung_text(rung, current), ""]
    return "\n".join(lines)


def _rung_text(rung: Rung, current: ServerSettings) -> list[str]:
    names = max(len(_label(one)) for one in RUNGS)
    values = max(len(_shown(one, current)) for one in RUNGS)
    return [
        f"{_label(rung):{names}}  {_shown(rung, current):>{values}}   {_origin(rung, current)}",
        f"    enforced by {rung.enforced_by}",
        *textwrap.wrap(rung.why, 100, initial_indent="    ", subsequent_indent="    "),
        f"    {rung.source}",
    ]


def _shown(rung: Rung, current: ServerSettings) -> str:
    return rung.show(value_of(rung, current))


def _label(rung: Rung) -> str:
    return rung.name if rung.symbol == rung.name else f"{rung.name} {rung.symbol}"


def _origin(rung: Rung, current: ServerSettings) -> str:
    if rung.formula is None:
        return f"input {rung.variable}"
    return f"set by {rung.variable}, not {rung.formula}" if is_overridden(rung, current) else f"= {rung.formula}"


def to_json(current: ServerSettings) -> str:
    """Return the ladder as one JSON object: ``worker_class`` and the list ``rungs``."""
    rungs = [
        {
            "name": rung.name,
            "symbol": rung.symbol,
            "group": rung.group,
            "value": value_of(rung, current),
            "unit": rung.unit,
            "formula": rung.formula,
            "variable": rung.variable,
            "overridden": is_overridden(rung, current),
            "enforced_by": rung.enforced_by,
            "why": rung.why,
            "source": rung.source,
        }
        for rung in RUNGS
    ]
    return json.dumps({"worker_class": current.worker_class, "rungs": rungs}, indent=2) + "\n"


def to_env(current: ServerSettings) -> str:
    """Return lines for a ``.env`` file: what was chosen as settings, what follows from it as comments.

    Read back, they give the same ladder.
    """
    chosen = [rung for rung in RUNGS if _is_input(rung) or is_overridden(rung, current)]
    lines = ["# Inputs and overrides; nginx and gunicorn both read this file. Times are whole seconds."]
    for rung in chosen:
        value = value_of(rung, current)
        lines.append(f"# {rung.variable}= (unset)" if value is None else f"{rung.variable}={value}")
    if current.worker_class_override is not None:
        lines.append(f"GUNICORN_WORKER_CLASS={current.worker_class_override}")
    lines += ["", "# Computed from them; uncomment one to override it."]
    for rung in RUNGS:
        if rung not in chosen:
            lines += [f"# {_origin(rung, current).removeprefix('= ')}", f"# {rung.variable}={value_of(rung, current)}"]
    return "\n".join(lines) + "\n"


def _is_input(rung: Rung) -> bool:
    return rung.formula is None
