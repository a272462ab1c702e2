"""The survey of repositories: what changed since the last run, and how many findings are right."""

import json
import subprocess
import sys
from pathlib import Path

from no502.doctor.registry import rules
from tests.doctor.report import write

SURVEY = Path(__file__).parents[2] / "scripts" / "survey.py"


def survey(directory: Path, *arguments: str) -> tuple[int, str]:
    """Run the survey and return exit code and output."""
    done = subprocess.run(
        [sys.executable, str(SURVEY), str(directory), *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_what_changed_and_what_is_right(tmp_path: Path) -> None:
    """The first run finds something new, the second one nothing, and a fixed file makes a finding go."""
    repositories = write(tmp_path / "r", {"shop/Procfile": "web: gunicorn shop:app -w 4 --max-requests 9\n"})
    code, first = survey(repositories)
    assert code == 0
    assert first.count("+ shop S506") == 1
    [name] = json.loads((repositories / "survey.json").read_text(encoding="utf-8"))["findings"]
    judged = tmp_path / "judged.json"
    _, rule, fingerprint = name.split()
    finding = {"rule": rule, "fingerprint": fingerprint, "right": False}
    judged.write_text(json.dumps({"repositories": [{"repository": "shop", "findings": [finding]}]}), encoding="utf-8")
    code, second = survey(repositories, "--judged", str(judged))
    assert code == 1
    assert second.strip() == "1 findings, 0 new, 0 gone; 0 of 1 judged ones are right"
    write(repositories, {"shop/Procfile": "web: gunicorn shop:app -w 4\n"})
    code, third = survey(repositories)
    assert code == 0
    assert third.startswith("- shop S506")


def test_every_judged_finding_names_a_rule_and_a_commit() -> None:
    """The list of judged findings can be compared with a run."""
    repositories = json.loads(SURVEY.with_suffix(".json").read_text(encoding="utf-8"))["repositories"]
    assert len({one["repository"] for one in repositories}) == len(repositories)
    assert all(len(one["commit"]) == 40 for one in repositories)
    assert {finding["rule"] for one in repositories for finding in one["findings"]} <= set(rules())
