"""Run the doctor over a directory of repositories, and say what changed since the last run and how precise it is.

``python scripts/survey.py DIRECTORY [--judged FILE]``: each folder of DIRECTORY is a repository, named ``OWNER+NAME``.
The findings are kept in DIRECTORY/survey.json with the commit of this checkout; the next run prints what is new and
what is gone. The judged findings are in ``survey.json`` beside this script: for each repository its commit and every
finding that a person has looked at, with rule, fingerprint, place, severity, and whether it is right. Precision is
computed from those; what is found and not yet judged is counted. The repositories stay where they are: nothing of them
is copied.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["compare", "main", "precision", "read_judged"]

_SECONDS = 120


def findings(repository: Path) -> dict[str, str]:
    """Return what the doctor finds in a repository: name of the finding -> severity, place and message."""
    done = subprocess.run(
        [sys.executable, "-m", "no502", "doctor", "--format", "json", "."],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode not in {0, 1, 2}:
        return {f"{repository.name} crash": done.stderr.strip()[-300:]}
    report = json.loads(done.stdout) if done.stdout else {"findings": []}
    return {
        f"{repository.name} {one['rule']} {one['fingerprint']}": (
            f"{one['severity']} {one['where']['file']}:{one['where']['line']}: {one['message']}"
        )
        for one in report["findings"]
    }


def compare(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the findings that are new and those that are gone, in order."""
    return sorted(now.keys() - before.keys()), sorted(before.keys() - now.keys())


def read_judged(file: Path) -> dict[str, bool]:
    """Return the judged findings: name of the finding -> whether it is right."""
    repositories = json.loads(file.read_text(encoding="utf-8"))["repositories"]
    return {
        f"{one['repository'].replace('/', '+')} {finding['rule']} {finding['fingerprint']}": finding["right"]
        for one in repositories
        for finding in one["findings"]
    }


def precision(now: Mapping[str, str], judged: Mapping[str, bool]) -> tuple[int, int]:
    """Return how many of the judged findings are right, and how many are judged."""
    known = [judged[name] for name in now if name in judged]
    return sum(known), len(known)


def main() -> int:
    """Run the survey; return 1 if a judged finding is wrong or a run crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--judged", type=Path, default=Path(__file__).with_name("survey.json"))
    given = parser.parse_args()
    kept = given.directory / "survey.json"
    before = json.loads(kept.read_text(encoding="utf-8"))["findings"] if kept.is_file() else {}
    now: dict[str, str] = {}
    for repository in sorted(path for path in given.directory.iterdir() if path.is_dir()):
        now |= findings(repository)
    git = shutil.which("git") or "git"
    commit = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    kept.write_text(json.dumps({"commit": commit, "findings": now}, indent=2) + "\n", encoding="utf-8")
    new, gone = compare(before, now)
    for sign, names, texts in (("+", new, now), ("-", gone, before)):
        for name in names:
            print(f"{sign} {name}: {texts[name]}")
    right, known = precision(now, read_judged(given.judged))
    print(f"{len(now)} findings, {len(new)} new, {len(gone)} gone; {right} of {known} judged ones are right")
    return int(right < known or any(name.endswith(" crash") for name in now))


if __name__ == "__main__":
    sys.exit(main())
