"""Write the README's table of results from benchmarks/results.

``--check`` writes nothing and leaves with 1 when the table is not what the results give.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- results: written by make docs -->\n", "<!-- end of results -->\n"
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


def _lost(ratio: dict[str, Any]) -> str:
    lost = f"**{ratio['lost']:,}**" if ratio["lost"] == 0 else f"{ratio['lost']:,}"
    return f"{lost} of {ratio['requests']:,}"


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return data


def main() -> int:
    """Write or compare the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    wanted = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if not parser.parse_args().check:
        README.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        print("README.md: its results are not those of benchmarks/results; run make docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
