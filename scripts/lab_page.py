"""Write docs/lab.md, and the tables of docs/case-study.md, from docs/lab/recorded.json: ``no502 lab --json``.

``--check`` writes nothing and exits with 1 when the page is not what the recording gives.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from _recorded import RECORDED, anchor, counted, message_of, recorded

from no502.lab.scenarios import SCENARIOS
from no502.messages import by_name

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "lab.md"
INCIDENT = DOCS / "case-study.md"
PLACE = re.compile(
    r"(<!-- lab: ([\w -]+); written by scripts/lab_page.py -->\n).*?(<!-- end of the lab -->\n)", re.DOTALL
)

HEAD = """\
---
title: "The lab: reproduce 502, 504 and lost requests between nginx and gunicorn"
description: "Twelve failures between nginx and gunicorn or uvicorn on loopback, and the same traffic without them."
---

# The lab: reproduce each failure, then watch it go away

`no502 lab` reproduces every failure on this page on your own machine, with a real nginx and a real gunicorn on
loopback. Then it runs the same traffic with no502. It takes under two minutes and needs no Docker.

<!-- not run here: tests/lab runs the command -->
```console
$ pip install './no502[cli,nginx]'  # a checkout of the repository
$ no502 lab                       # all of them
$ no502 lab idle-race recycle     # some
$ no502 lab --html report.html    # with charts, as one page
```

![The page that --html writes: both sides of the idle race with requests over time, latencies, workers and
log](pictures/lab-report-light.png#only-light)
![The page that --html writes: both sides of the idle race with requests over time, latencies, workers and
log](pictures/lab-report-dark.png#only-dark)

The figures below are recorded runs ({versions}), with the same number of workers on both sides.
The races differ from run to run: read the counts as "not zero", not as a rate. The counts do not compare speed either:
with no502 nginx and gunicorn write access logs, in the wild neither does. Times are scaled down where the real ones
would take minutes; the text says so.
"""


def page() -> str:
    """Return the page for the recording."""
    data = recorded()
    results = {result["scenario"]: result for result in data["results"]}
    parts = [HEAD.format(versions=data["versions"])]
    for scenario in SCENARIOS:
        result = results[scenario.name]
        parts += [f"## {scenario.title}", "", f"`no502 lab {scenario.name}`. {scenario.cause}", ""]
        parts += ["| | ran | the clients got | slowest |", "|---|---|---|---|"]
        parts += [_row("in the wild", result["wild"]), _row("with no502", result["no502"]), ""]
        if result["wild"]["log"]:
            found = dict.fromkeys(map(message_of, result["wild"]["log"]))
            pages = [message for id_ in found if (message := by_name(id_)) is not None]
            links = ", ".join(f"[{message.id}](../{message.source_path})" for message in pages)
            parts += ["```text", *result["wild"]["log"], "```", "", f"Explained: {links}.", ""]
        parts += [f"**What changes.** {scenario.change}", ""]
    return "\n".join(parts).rstrip() + "\n"


def excerpt(names: list[str]) -> str:
    """Return a table of some scenarios of the recording, for another page."""
    data = recorded()
    results = {result["scenario"]: result for result in data["results"]}
    lines = ["| scenario | in the wild | with no502 |", "|---|---|---|"]
    for name in names:
        result = results[name]
        title = f"[{result['title']}](lab.md#{anchor(result['title'])})"
        lines.append(f"| {title} | {counted(result['wild'])} | {counted(result['no502'])} |")
    return "\n".join(lines) + "\n"


def with_excerpts(text: str) -> str:
    """Return a page with the tables that its comments ask for."""
    return PLACE.sub(lambda found: f"{found[1]}\n{excerpt(found[2].split())}\n{found[3]}", text)


def _row(name: str, side: dict[str, Any]) -> str:
    setup = side["setup"].replace("|", "\\|").replace("*", "\\*")
    return f"| {name} | {setup} | {counted(side)} | {side['latency']['slowest']:.2f} s |"


def main() -> int:
    """Write or compare the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    wanted = {PAGE: page(), INCIDENT: with_excerpts(INCIDENT.read_text(encoding="utf-8"))}
    if not parser.parse_args().check:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
        return 0
    wrong = [path for path, text in wanted.items() if path.read_text(encoding="utf-8") != text]
    for path in wrong:
        print(f"{path}: not what {RECORDED.name} gives; run scripts/lab_page.py", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
