"""Write the tables of computed settings and the lines for other proxies on the documentation's pages.

Between two comments each; the second one is ``<!-- end of the ... -->``:

- ``<!-- proxy: NAME -->``: the lines of ``no502 explain --proxy NAME``.
- ``<!-- settings: NAME=VALUE ... -->``: a table, computed from those variables for one worker; or from those of a
  platform, ``<!-- settings: ecs -->``.
- ``<!-- platform: NAME -->``: the lines of ``no502 explain --platform NAME``.
- ``<!-- platforms -->``: the table of what all platforms document.

``--check`` writes nothing and exits with 1 when a page is not what the ladder gives.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from gunicorn_conf import LadderError, compute
from no502.ladder import platforms
from no502.ladder.proxies import Numbers, Proxy, to_text

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- settings: ([A-Za-z_0-9= -]+?) -->\n).*?(<!-- end of the settings -->\n)", re.DOTALL)
LINES = re.compile(r"(<!-- proxy: ([a-z]+) -->\n).*?(<!-- end of the lines -->\n)", re.DOTALL)
FILE = re.compile(r"(<!-- platform: ([a-z-]+) -->\n).*?(<!-- end of the platform -->\n)", re.DOTALL)
OVERVIEW = re.compile(r"(<!-- platforms -->\n).*?(<!-- end of the platforms -->\n)", re.DOTALL)
PAGES = {
    platforms.Platform.AZURE_APP_SERVICE: "azure.md#app-service",
    platforms.Platform.AZURE_CONTAINER_APPS: "azure.md#container-apps",
    platforms.Platform.CLOUD_RUN: "cloud-run.md",
    platforms.Platform.ECS: "ecs.md",
    platforms.Platform.FLY: "fly-render-railway-heroku.md#flyio",
    platforms.Platform.HEROKU: "fly-render-railway-heroku.md#heroku",
    platforms.Platform.RAILWAY: "fly-render-railway-heroku.md#railway",
    platforms.Platform.RENDER: "fly-render-railway-heroku.md#render",
}
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
    try:
        settings = compute(variables, facts={"cpus": 1, "M": 0})
    except LadderError as error:
        raise SystemExit(str(error)) from None
    given = " ".join(f"`{name}={value}`" for name, value in variables.items())
    rows = [f"| {given} | seconds |", "|---|---:|"]
    rows += [f"| {text} | {getattr(settings, name)} |" for name, text in ROWS.items()]
    return "\n".join(rows)


def overview() -> str:
    """Return the table of what each platform documents."""
    rows = [
        "| platform | waits for a response | idle connection to your application | signal | until SIGKILL |",
        "|---|---|---|---|---|",
    ]
    for name, page in sorted(PAGES.items(), key=lambda pair: platforms.PLATFORMS[pair[0]].title):
        hosting = platforms.PLATFORMS[name]
        signal = f"**{hosting.signal}**" if hosting.signal != "SIGTERM" else hosting.signal
        stop = f"{hosting.grace} s" if hosting.grace else "a few seconds"
        if hosting.grace_setting:
            limit = "more" if hosting.grace_limit is None else f"up to {hosting.grace_limit} s"
            stop += f"; {limit} with `{hosting.grace_setting}`"
        rows.append(f"| [{hosting.title}]({page}) | {hosting.waits} | {hosting.idle} | {signal} | {stop} |")
    return "\n".join(rows)


def filled(text: str) -> str:
    """Return the page with its tables computed anew."""

    def block(match: re.Match[str]) -> str:
        if "=" in match[2]:
            variables = dict(pair.split("=", 1) for pair in match[2].split())
        else:
            variables = dict(platforms.PLATFORMS[platforms.Platform(match[2])].variables)
        return f"{match[1]}\n{table(variables)}\n\n{match[3]}"

    def lines(match: re.Match[str]) -> str:
        proxy = Proxy(match[2])
        language = "yaml" if proxy in {Proxy.ENVOY, Proxy.TRAEFIK} else "text"
        return f"{match[1]}\n```{language}\n{to_text(proxy, Numbers(read=180, idle=15, connect=2))}```\n\n{match[3]}"

    def file(match: re.Match[str]) -> str:
        platform = platforms.Platform(match[2])
        lines = platforms.to_text(platform, compute(platforms.PLATFORMS[platform].variables, facts={"cpus": 1, "M": 0}))
        suffix = platforms.PLATFORMS[platform].file.rpartition(".")[2]
        return f"{match[1]}\n```{'text' if suffix == 'env' else suffix}\n{lines}```\n\n{match[3]}"

    text = OVERVIEW.sub(lambda match: f"{match[1]}\n{overview()}\n\n{match[2]}", FILE.sub(file, text))
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
