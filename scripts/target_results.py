"""Write benchmarks/results/targets.md from what the tests of the targets have recorded.

    scripts/target_results.py build/targets.jsonl

Rows of a target that was run replace all older ones of it in benchmarks/results/targets.json; the others stay.
"""

import argparse
import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
_HEAD = """\
# targets

What each deployment target lost, of POSTs that were sent at 200 a second while it happened. Lost: every outcome but the
application's own answer. Written by `make targets`; the tests assert what may be lost.
"""


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows, those of each target in ``new`` instead of its older ones. Of a case, the last row counts."""
    targets = {row["target"] for row in new}
    last = {(row["target"], row["case"]): row for row in new}
    return sorted(
        [row for row in old if row["target"] not in targets] + list(last.values()), key=lambda row: row["target"]
    )


def to_text(rows: list[dict[str, Any]]) -> str:
    """Return the page."""
    parts = [_HEAD]
    for target, found in groupby(rows, key=lambda row: row["target"]):
        group = list(found)
        versions = sorted({f"{name} {version}" for row in group for name, version in row["versions"].items()})
        dates = sorted({row["date"] for row in group})
        lines = [f"| {row['case']} | {row['lost']:,} | {row['sent']:,} |" for row in group]
        head = [f"## {target}", "", f"{', '.join(versions)}; {' to '.join(dict.fromkeys((dates[0], dates[-1])))}", ""]
        parts.append("\n".join([*head, "| what happened | lost | of |", "| --- | ---: | ---: |", *lines, ""]))
    return "\n".join(parts)


def main() -> int:
    """Merge and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recorded", type=Path, help="one JSON object a line")
    recorded: Path = parser.parse_args().recorded
    if not recorded.exists():
        print(f"{recorded}: no target was run", file=sys.stderr)
        return 1
    new = [json.loads(line) for line in recorded.read_text(encoding="utf-8").splitlines()]
    kept = RESULTS / "targets.json"
    old = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
    rows = merged(old, new)
    kept.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "targets.md").write_text(to_text(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
