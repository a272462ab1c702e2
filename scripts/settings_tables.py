"""Write the tables of computed settings and the lines for other proxies on the documentation's pages.

Lines are between ``<!-- proxy: NAME -->`` and ``<!-- end of the lines -->``: those of ``no502 explain --proxy NAME``.
A table is between ``<!-- settings: NAME=VALUE ... -->`` and ``<!-- end of the settings -->`` and is computed from those
variables for one worker. ``--check`` writes nothing and exits with 1 when a table is not what the ladder gives.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from no502.ladder.proxies import Numbers, Proxy, to_text

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- settings: ([A-Z_0-9= ]+) -->\n).*?(<!-- end of the settings -->\n)", re.DOTALL)
LINES = re.compile(r"(<!-- proxy: ([a-z]+) -->\n).*?(<!-- end of the lines -->\n)", re.DOTALL)
ROWS = {
    "statement_timeout": "the database's `statement_timeout`",
    "request_deadline": "the application's request deadline",
    "timeout": "gunicorn's `timeout`",
    "keepalive": "gunicorn's `keepalive`",
    "graceful_timeout": "gunicorn's `graceful_timeout`",
    "stop_grace": "the platform's time between SIGTERM and SIGKILL, at least",
}


def table(variables: dict[str, str]) -> str:
    """Return the table for the variables.

    Args:
        variables: As in the environment, such as ``{"PROXY_READ_TIMEOUT": "60"}``; seconds.

    Raises:
        SystemExit: The ladder refuses them.
    """
    for name in [name for name in os.environ if name.startswith(("PROXY_", "GUNICORN_", "FRONT_", "WEB_"))]:
        del os.environ[name]
    from gunicorn_conf import ServerSettings  # noqa: PLC0415  it computes when it is imported

    os.environ.update({**variables, "WEB_CONCURRENCY": "1"})
    settings = ServerSettings()
    for name in (*variables, "WEB_CONCURRENCY"):
        del os.environ[name]
    given = " ".join(f"`{name}={value}`" for name, value in variables.items())
    rows = [f"| {given} | seconds |", "|---|---:|"]
    rows += [f"| {text} | {getattr(settings, name)} |" for name, text in ROWS.items()]
    return "\n".join(rows)


def filled(text: str) -> str:
    """Return the page with its tables computed anew."""

    def block(match: re.Match[str]) -> str:
        variables = dict(pair.split("=", 1) for pair in match[2].split())
        return f"{match[1]}\n{table(variables)}\n\n{match[3]}"

    def lines(match: re.Match[str]) -> str:
        proxy = Proxy(match[2])
        language = "yaml" if proxy in {Proxy.ENVOY, Proxy.TRAEFIK} else "text"
        return f"{match[1]}\n```{language}\n{to_text(proxy, Numbers(read=180, idle=15, connect=2))}```\n\n{match[3]}"

    return LINES.sub(lines, BLOCK.sub(block, text))


def main() -> int:
    """Write or check all pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a page would change")
    check = parser.parse_args().check
    stale = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        wanted = filled(text)
        if wanted == text:
            continue
        stale.append(str(page.relative_to(ROOT)))
        if not check:
            page.write_text(wanted, encoding="utf-8")
    if check and stale:
        print("not what the ladder gives; run make docs:", *stale, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
