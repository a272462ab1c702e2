"""The examples on the rules' pages: the failing one is found, the passing one is not."""

import re
from pathlib import Path

import pytest

from no502.doctor.check import Result, check, merge
from no502.doctor.configured import read_configured
from no502.doctor.files import Files
from no502.doctor.front import front_of
from no502.doctor.options import Options
from no502.doctor.readers.deployment import read_deployments
from no502.doctor.registry import rules
from tests.doctor.page_examples import examples
from tests.support.commands import ROOT

_LIVE = "E"


def examine(directory: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Result:
    """Write the files and check them with all rules."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(directory)
    said = read_configured(Path())
    deployments = read_deployments([Path()], Options(nginx_version=said.nginx_version))
    for deployment in deployments:
        deployment.front = front_of(said.front) if said.front else None
    texts = Files([Path()])
    return merge([check(deployment, list(rules().values()), texts.text) for deployment in deployments])


@pytest.mark.parametrize("rule", [rule for rule in rules() if rule[0] != _LIVE])
def test_the_failing_example_is_found(rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a place in one of its files, with a fix."""
    files = examples(rule, "Fails")
    assert files, f"docs/doctor/{rule}.md has no failing example"
    found = [finding for finding in examine(tmp_path, files, monkeypatch).findings if finding.rule == rule]
    assert found
    assert {finding.where.file for finding in found} <= set(files)
    assert all(finding.fix for finding in found)


@pytest.mark.parametrize("rule", [rule for rule in rules() if rule[0] != _LIVE])
def test_the_passing_example_is_clean(rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read, and the rule says nothing about it."""
    files = examples(rule, "Passes")
    assert files, f"docs/doctor/{rule}.md has no passing example"
    result = examine(tmp_path, files, monkeypatch)
    assert result.deployment.looked_at
    assert rule not in {finding.rule for finding in result.findings}


@pytest.mark.parametrize("rule", [rule for rule in rules() if rule[0] == _LIVE])
def test_live_rules_are_tried_on_servers(rule: str) -> None:
    """Their examples are answers of servers or of an engine, so one of those two tests has to name each of them."""
    texts = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("test_live.py", "test_docker.py")]
    assert any(f'"{rule}"' in text for text in texts)


_HEADINGS = ["What users see", "What to do", "How to verify", "Fails", "Passes"]


@pytest.mark.parametrize("rule", list(rules()))
def test_each_page_has_the_same_headings(rule: str) -> None:
    """A reader finds the effect, the repair, its proof and the examples in the same order on every page."""
    page = (ROOT / "docs" / "doctor" / f"{rule}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == _HEADINGS
