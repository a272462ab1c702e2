"""Write the generated pages of docs/reference: rungs, variables, nginx files, command line.

``--check`` writes nothing and leaves with 1 when a page is not what the code gives.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "reference"
WIDTH = 100
INTRO_CLI = """\
Exit codes of every command: 0 what was asked for is done, 1 it did not work out, 2 the command line
is wrong. Where a command has others, its help says so."""
INTRO_NGINX = """\
As they ship; each directive says why, what nginx's default is, and where that is written. `no502
nginx` renders them for a host, the official image loads them from `/etc/nginx/templates`."""
INTRO_VARIABLES = """\
What `gunicorn_conf` reads from the environment and from `.env` in the working directory. A name that
is nearly one of these (`GUNICORN_TIMEOT`, `GUNICORN_WORKERS`) is an error; every other `PROXY_*` or
`GUNICORN_*` variable belongs to another program and is left alone, such as Kubernetes' service links
(`PROXY_PORT=tcp://…`). What each computed number is for: [the rungs](ladder.md). The variables of
nginx are in [its reference](nginx.md#nginxexampleenv)."""
INTRO_LADDER = """\
All times are whole seconds. `no502 explain` prints the same with the numbers in force on your
machine. The values are those of one worker and no variable set."""


def ladder() -> str:
    """Return the page of every rung."""
    from gunicorn_conf import ServerSettings  # noqa: PLC0415  it computes when it is imported
    from no502.ladder.rungs import GROUPS, RUNGS, value_of  # noqa: PLC0415

    settings = ServerSettings(_facts={"cpus": 1, "M": 0})
    parts = [
        "# Rungs of the ladder",
        INTRO_LADDER,
    ]
    for key, title in GROUPS.items():
        parts.append(f"## {title[0].upper()}{title[1:]}")
        for rung in (rung for rung in RUNGS if rung.group == key):
            value = value_of(rung, settings)
            shown = rung.show(value)
            formula = f"`{rung.formula}`" if rung.formula else "an input"
            facts = [
                ("symbol", f"`{rung.symbol}`"),
                ("formula", formula),
                ("by default", shown),
                ("variable", f"`{rung.variable}`"),
                ("enforced by", rung.enforced_by),
                ("source", f"<{rung.source}>"),
            ]
            table = ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in facts)]
            parts += [f"### {rung.name}", rung.why, "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def variables() -> str:
    """Return the page of every variable that gunicorn_conf reads."""
    from gunicorn_conf import SETTINGS  # noqa: PLC0415  it computes when it is imported

    rows = ["| variable | allowed | default |", "|---|---|---|"]
    for setting in SETTINGS:
        default = "computed, or unset" if setting.default is None else f"`{setting.default}`"
        rows.append(f"| `{setting.variable}` | {setting.range.removeprefix('a whole number from ')} | {default} |")
    return "\n\n".join((
        "# Variables",
        INTRO_VARIABLES,
        "\n".join(rows),
    )) + "\n"  # fmt: skip


def nginx() -> str:
    """Return the page with every nginx file, as it ships."""
    parts = [
        "# nginx files",
        INTRO_NGINX,
    ]
    for path in _nginx_files():
        text = path.read_text(encoding="utf-8").rstrip()
        parts += [f"## {path.relative_to(ROOT)}", f"```nginx\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def _nginx_files() -> Iterator[Path]:
    yield from (ROOT / "nginx" / name for name in ("example.env", "nginx.conf"))
    for folder in ("templates", "snippets", "variants"):
        yield from sorted(path for path in (ROOT / "nginx" / folder).rglob("*") if path.is_file())


def cli() -> str:
    """Return the page of the command and its sub-commands."""
    from no502.cli import app  # noqa: PLC0415

    command = typer.main.get_command(app)
    parts = [
        "# Command line",
        INTRO_CLI,
    ]
    for name, one in _commands(command, "no502"):
        context = typer.Context(one, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
        text = re.sub(r"[ \t]+$", "", one.get_help(context), flags=re.MULTILINE).strip()
        parts += [f"## {name}", f"```text\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  typer carries its own click
    yield name, command
    for child, one in getattr(command, "commands", {}).items():
        yield from _commands(one, f"{name} {child}")


PAGES: dict[str, Callable[[], str]] = {"ladder.md": ladder, "variables.md": variables, "nginx.md": nginx, "cli.md": cli}


def main() -> int:
    """Write or compare the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    prefixes = ("PROXY_", "GUNICORN_", "FRONT_", "NGINX_")
    for name in [name for name in os.environ if name.startswith(prefixes)]:
        del os.environ[name]
    os.chdir("/")  # no .env
    stale = []
    for name, make in PAGES.items():
        text, page = make(), TARGET / name
        if not check:
            page.write_text(text, encoding="utf-8")
        elif page.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"docs/reference: not what the code gives: {', '.join(stale)}; run make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
