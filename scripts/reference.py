"""Write the generated pages of docs/reference: rungs, variables, nginx files, command line.

``--check`` writes nothing and leaves with 1 when a page is not what the code gives.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import typer
from _environment import forget_settings

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "reference"
WIDTH = 100
INTRO_CLI = """\
Exit codes of every command: 0 what was asked for is done, 1 it did not work out, 2 the command line
is wrong. Where a command has others, its help says so.

`no502 --install-completion` installs completion of commands, options and their values for the shell in
which it runs (bash, zsh, fish or PowerShell); `--show-completion` prints the script instead."""
INTRO_NGINX = """\
What the files under `nginx/` are for, and which directives stand in each. `no502 nginx` renders them
for a host, the official image loads them from `/etc/nginx/templates`."""
INTRO_VARIABLES = """\
What `gunicorn_conf` reads from the environment and from `.env` in the working directory. A name that
is nearly one of these (`GUNICORN_TIMEOT`, `GUNICORN_WORKERS`) is an error; every other `PROXY_*` or
`GUNICORN_*` variable belongs to another program and is left alone, such as Kubernetes' service links
(`PROXY_PORT=tcp://…`). What each computed number is for: [the rungs](ladder.md). The variables of
nginx are in [its reference](nginx/main.md#nginxexampleenv)."""
INTRO_LADDER = """\
All times are whole seconds. `no502 explain` prints the same with the numbers in force on your
machine. The values are those of one worker and no variable set. M in a formula is the memory limit of the
cgroup in bytes, 0 where there is none ([all symbols](../glossary.md))."""


def _head(title: str, description: str) -> str:
    """Return a page's front matter: what a search engine shows."""
    return f'---\ntitle: "{title}"\ndescription: "{description}"\n---'


def ladder() -> str:
    """Return the page of every rung."""
    from gunicorn_conf import ServerSettings
    from no502.ladder.rungs import GROUPS, RUNGS, value_of

    settings = ServerSettings(_facts={"cpus": 1, "M": 0})
    parts = [
        _head(
            "gunicorn timeout, graceful_timeout, keepalive and nginx proxy_read_timeout: every formula and source",
            "Every timeout of the ladder between nginx, gunicorn, the application and PostgreSQL: formula, default, "
            "environment variable, who enforces it, and source.",
        ),
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
    from gunicorn_conf import SETTINGS

    rows = ["| variable | allowed | default |", "|---|---|---|"]
    for setting in SETTINGS:
        default = "computed, or unset" if setting.default is None else f"`{setting.default}`"
        rows.append(f"| `{setting.variable}` | {setting.range.removeprefix('a whole number from ')} | {default} |")
    return "\n\n".join((
        _head(
            "Environment variables of gunicorn_conf: PROXY_READ_TIMEOUT, GUNICORN_TIMEOUT, WEB_CONCURRENCY, ...",
            "Every environment variable that gunicorn_conf reads from the environment or .env, its allowed values and "
            "its default.",
        ),
        "# Variables",
        INTRO_VARIABLES,
        "\n".join(rows),
    )) + "\n"  # fmt: skip


def nginx() -> str:
    """Return the index of the nginx files: what each is for, and the directives in it."""
    rows = ["| file | what it is | directives |", "|---|---|---|"]
    for name, (_, paths) in NGINX_PAGES.items():
        for path in paths():
            text = path.read_text(encoding="utf-8")
            shown = path.relative_to(ROOT)
            link = f"[{shown.relative_to('nginx')}](nginx/{name}#{_anchor(str(shown))})"
            directives = ", ".join(f"`{one}`" for one in _directives(text)) if path.suffix != ".env" else ""
            rows.append(f"| {link} | {_purpose(text)} | {directives} |")
    head = _head(
        "nginx configuration files for FastAPI: upstream keepalive, proxy timeouts, limits and TLS",
        "The nginx configuration files of no502 for FastAPI behind nginx: what each is for, and its directives.",
    )
    return "\n\n".join([head, "# nginx files", INTRO_NGINX, "\n".join(rows)]) + "\n"


def nginx_page(name: str) -> str:
    """Return a page with some of the nginx files, as they ship."""
    title, paths = NGINX_PAGES[name]
    parts = [f"# {title}"]
    what = title.removeprefix("nginx files: ")
    says = "Each directive says why, what nginx's default is, and where that is written"
    parts.append(f"{what[0].upper()}{what[1:]}, as they ship. {says}. [All of the files](../nginx.md).")
    for path in paths():
        text = path.read_text(encoding="utf-8").rstrip()
        parts += [f"## {path.relative_to(ROOT)}", f"```nginx\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def _files(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / "nginx" / folder).rglob("*") if path.is_file())


NGINX_PAGES: dict[str, tuple[str, Callable[[], list[Path]]]] = {
    "main.md": (
        "nginx files: main configuration and variables",
        lambda: [ROOT / "nginx" / name for name in ("example.env", "nginx.conf")],
    ),
    "templates.md": (
        "nginx files: templates (servers, upstream, timeouts, limits)",
        lambda: _files("templates"),
    ),
    "snippets.md": (
        "nginx files: snippets (log format, headers, buffers, retries, error bodies, TLS)",
        lambda: _files("snippets"),
    ),
    "variants.md": (
        "nginx files: variants (TLS, trusted proxies, fixed address, without root)",
        lambda: _files("variants"),
    ),
}
"""Page -> its title and its files."""


def _purpose(text: str) -> str:
    """Return the first sentence of a file's first comment."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# "))
    sentence = re.split(r"(?<=\.)\s", " ".join(lines), maxsplit=1)[0]
    return sentence.rstrip(".").replace("|", "\\|")


def _directives(text: str) -> list[str]:
    """Return the names of a file's directives, each once; blocks of data (map, geo) have values, not directives."""
    found: dict[str, None] = {}
    data = 0
    for line in text.splitlines():
        word = re.match(r"\s*([a-z_]+)\b(?=[ ;{])", line)
        if data:
            data += line.count("{") - line.count("}")
            continue
        if word is None or line.lstrip().startswith("#"):
            continue
        found[word[1]] = None
        if word[1] in {"map", "geo", "split_clients"}:
            data = line.count("{") - line.count("}")
    return list(found)


def _anchor(heading: str) -> str:
    """Return the anchor that the site gives a heading."""
    return re.sub(r"[^\w-]+", "", heading.lower())


def cli() -> str:
    """Return the page of the command and its sub-commands."""
    from no502.cli import app

    command = typer.main.get_command(app)
    parts = [
        _head(
            "no502 command line: doctor, logs, explain, nginx, run, adopt, new and lab, with every option",
            "Every command, option and exit code of no502: doctor, logs, explain, nginx, run, adopt, new and lab.",
        ),
        "# Command line",
        INTRO_CLI,
    ]
    for name, one in _commands(command, "no502"):
        context = typer.Context(one, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
        text = re.sub(r"[ \t]+$", "", one.get_help(context), flags=re.MULTILINE).strip()
        parts += [f"## {name}", f"```text\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, one in getattr(command, "commands", {}).items():
        yield from _commands(one, f"{name} {child}")


PAGES: dict[str, Callable[[], str]] = {
    "ladder.md": ladder,
    "variables.md": variables,
    "nginx.md": nginx,
    **{f"nginx/{name}": partial(nginx_page, name) for name in NGINX_PAGES},
    "cli.md": cli,
}


def main() -> int:
    """Write or compare the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    forget_settings()
    stale = []
    for name, make in PAGES.items():
        text, page = make(), TARGET / name
        page.parent.mkdir(exist_ok=True)
        if not check:
            page.write_text(text, encoding="utf-8")
        elif not page.is_file() or page.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"docs/reference: not what the code gives: {', '.join(stale)}; run make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
