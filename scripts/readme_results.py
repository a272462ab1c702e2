"""Write the README's tables: the results from benchmarks/results, the ladder from its declarations.

``--check`` writes nothing and leaves with 1 when a table is not what they give.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from _environment import forget_settings

from gunicorn_conf import ServerSettings
from no502.ladder.rungs import RUNGS, value_of

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- results: written by make docs -->\n", "<!-- end of results -->\n"
LADDER_BEGIN, LADDER_END = "<!-- ladder: written by make docs -->\n", "<!-- end of ladder -->\n"
HEAD = """\
POST through nginx {versions[nginx]}, every worker to be replaced after 1,000 requests (at full speed a no502 worker
serves about 5,000 before its replacement is ready); gunicorn {versions[gunicorn]}, uvicorn {versions[uvicorn]},
{cores} cores, {date} ([all of it](benchmarks/results/recycle.md)). All servers keep idle connections longer
than nginx (75 s, no502 30 s). The published fix itself keeps them for 2 s,
gunicorn's default, so in production the keep-alive race comes on top:
"""
TAIL = """\
Over a long run: **{lost:,}** of {requests:,} POSTs lost at full speed over {handovers} handovers
([details](benchmarks/results/recycle-million-full.md)); **{reload_lost:,}** of {posts:,} over {reloads} SIGHUP reloads
at {mode} ([details](benchmarks/results/reload.md))."""
NAMES = {
    "handover-w1": "**no502, one worker**",
    "handover-w2": "**no502, two workers**",
    "uvicorn-worker-w1": "gunicorn with uvicorn-worker's class, one worker: the published fix",
    "uvicorn-worker-w2": "the same, two workers",
    "gunicorn-asgi-w2": "gunicorn's own `asgi` worker, two",
    "uvicorn-w2": "`uvicorn --workers 2 --limit-max-requests`",
    "hypercorn-w2": "hypercorn, two workers",
}


def table() -> str:
    """Return the table with its introduction."""
    recycle, million, reload = (_read(name) for name in ("recycle", "recycle-million-full", "reload"))
    rate = next(mode for mode in (ratio["mode"] for ratio in recycle["ratios"]) if mode != "full speed")
    by = {(ratio["server"], ratio["mode"]): ratio for ratio in recycle["ratios"]}
    versions = recycle["versions"]
    known = {"versions": versions, "cores": recycle["machine"]["cores"], "date": recycle["date"][:10]}
    head = [
        HEAD.format(**known),
        f"| server | lost, {rate} | lost, full speed | slowest request with recycling, without; {rate} |",
    ]
    lines = [*head, "|---|---|---|---|"]
    for server, name in NAMES.items():
        calm, full = by[server, rate], by[server, "full speed"]
        slowest = f"{median(calm['slowest_ms']):,.0f} ms, {median(calm['slowest_without_ms']):,.0f} ms"
        lines.append(f"| {name} | {_lost(calm)} | {_lost(full)} | {slowest} |")
    [long] = million["results"]
    ours = [one for one in reload["results"] if one["peer"].startswith("handover")]
    handovers = sum(long["handovers"]["left"].values())
    reloads = sum(len(one["reloads"]) for one in ours)
    posts = sum(one["outcome"]["requests"] for one in ours)
    lost = sum(one["lost"] for one in ours)
    at_length = TAIL.format(
        lost=long["lost"],
        requests=long["outcome"]["requests"],
        handovers=handovers,
        reload_lost=lost,
        posts=posts,
        reloads=reloads,
        mode=ours[0]["mode"],
    )
    lines += ["", at_length]
    return "\n".join(lines) + "\n"


def ladder() -> str:
    """Return the ladder's table with the values of one worker on a machine without a memory limit."""
    settings = ServerSettings(_env_file=None, _facts={"cpus": 1, "M": 0})
    lines = ["| rung | formula | at 180 / 15 | enforced by |", "|---|---|---|---|"]
    for rung in RUNGS:
        if rung.name == "workers":
            continue
        value = rung.show(value_of(rung, settings)).removesuffix(" s")
        name = rung.name if rung.symbol == rung.name else f"{rung.name} {rung.symbol}"
        formula = f"`{rung.formula}`" if rung.formula else f"input `{rung.variable}`"
        lines.append(f"| {name} | {formula} | {value} | {rung.enforced_by} |")
    return "\n".join(lines) + "\n"


def _replaced(text: str, begin: str, end: str, new: str) -> str:
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{new}\n{end}{rest.partition(end)[2]}"


def _lost(ratio: dict[str, Any]) -> str:
    lost = f"**{ratio['lost']:,}**" if ratio["lost"] == 0 else f"{ratio['lost']:,}"
    return f"{lost} of {ratio['requests']:,}"


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return data


def main() -> int:
    """Write or compare the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    forget_settings()
    text = README.read_text(encoding="utf-8")
    wanted = _replaced(text, BEGIN, END, table())
    wanted = _replaced(wanted, LADDER_BEGIN, LADDER_END, ladder())
    if not parser.parse_args().check:
        README.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        print(
            "README.md: a table is not what benchmarks/results and the ladder give; run make docs",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
