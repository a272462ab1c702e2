"""Small deployments with what must be found in them, and nothing else; each mistake has a fixed twin."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.registry import rules
from no502.new import scaffold
from tests.support.corpus import CORPUS, NAMES, expected


@pytest.mark.parametrize("name", NAMES)
def test_all_that_must_be_found_and_nothing_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule, file and line of every finding, whatever its severity."""
    says = expected(name)
    monkeypatch.chdir(CORPUS / name)
    done = CliRunner().invoke(app, ["doctor", "--format", "json", *says.get("options", [])])
    assert done.exit_code in {0, 1}, done.output
    report = json.loads(done.stdout)
    found = sorted((f["rule"], f["where"]["file"], f["where"]["line"] or 0) for f in report["findings"])
    assert found == sorted((f["rule"], f["file"], f["line"]) for f in says.get("finding", []))
    assert not {rule for rule, _, _ in found} & set(says["must_not"])
    assert report["effective"]["nginx"] or report["effective"]["servers"], "nothing was looked at"


def test_the_corpus_is_large_and_has_twins() -> None:
    """At least 40 deployments, half of them without a finding, with known rules only."""
    assert len(NAMES) >= 40
    clean = [name for name in NAMES if not expected(name).get("finding")]
    assert len(clean) * 2 >= len(NAMES)
    for name in NAMES:
        twin = name.removesuffix("-fixed")
        assert twin in NAMES
        assert {finding["rule"] for finding in expected(name).get("finding", [])} <= set(rules())


def test_the_way_to_a_project_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a dot, a path with two dots, a link or an absolute path: a generated service has no findings."""
    beside, link = tmp_path / "beside", tmp_path / "link"
    beside.mkdir()
    project = scaffold(tmp_path / "made", {})
    link.symlink_to(project)
    ways = [(project, "."), (tmp_path, str(link)), (tmp_path, "link"), (beside, str(project))]
    ways += [(beside, f"../{project.relative_to(tmp_path)}"), (beside, f"{beside}/../{project.relative_to(tmp_path)}")]
    for directory, path in ways:
        monkeypatch.chdir(directory)
        done = CliRunner().invoke(app, ["doctor", path, "--format", "json"])
        assert json.loads(done.stdout)["findings"] == [], path
