"""Write docs/lab.md from docs/lab/recorded.json, the output of ``no502 lab --json`` on a quiet machine.

``--check`` writes nothing and leaves with 1 when the page is not what the recording gives.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from _recorded import RECORDED, counted, message_of, recorded

from no502.lab.scenarios import SCENARIOS

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "lab.md"

HEAD = """\
# The lab: each failure, seen and gone

`no502 lab` makes every failure on this page happen on your own machine, with a real nginx and a real gunicorn on
loopback, and then runs the same traffic with no502. It takes under two minutes and needs no Docker.

<!-- not run here: tests/lab runs the command -->
```console
$ pip install 'no502[cli,nginx]'
$ no502 lab                       # all of them
$ no502 lab idle-race recycle     # some
$ no502 lab --html report.html    # with charts, as one page
```

The figures below are one recorded run ({versions}).
The races differ from run to run: "not zero" is what they mean, not a rate. Nor do the counts compare speed: with no502
nginx writes its access log, which the lab reads, and in the wild it writes none. Times are scaled down where the real
ones would cost minutes; the text says so.
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
            links = ", ".join(f"[{id_}](error-index.md#{id_.lower()})" for id_ in found)
            parts += ["```text", *result["wild"]["log"], "```", "", f"In the error index: {links}.", ""]
        parts += [f"**What changes.** {scenario.change}", ""]
    return "\n".join(parts).rstrip() + "\n"


def _row(name: str, side: dict[str, Any]) -> str:
    setup = side["setup"].replace("|", "\\|").replace("*", "\\*")
    return f"| {name} | {setup} | {counted(side)} | {side['latency']['slowest']:.2f} s |"


def main() -> int:
    """Write or compare the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    same = PAGE.read_text(encoding="utf-8") == text
    if not same:
        print(f"{PAGE}: not what {RECORDED.name} gives; run scripts/lab_page.py", file=sys.stderr)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
