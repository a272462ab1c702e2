"""What the pages name as proof is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from no502.lab.scenarios import SCENARIOS
from tests.support.commands import ROOT

_PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if "reference" not in page.relative_to(ROOT).parts)
_EXPLANATIONS = sorted((ROOT / "docs" / "explanation").glob("*.md"))
_NAMED = re.compile(r"(?<![\w/.-])(?:tests|benchmarks|docs|scripts)/[\w/.-]*\w")
_SCENARIOS = re.compile(r"`no502 lab ((?:[a-z-]+ ?)+)`")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_named_files_and_scenarios_exist(page: Path) -> None:
    """A file of the repository that a page names is there, and so is each scenario of the lab."""
    # A table of results has its place before it is measured; scripts/result_tables.py fills it in then.
    text = re.sub(r"<!-- benchmarks/results/.*? -->", "", page.read_text(encoding="utf-8"))
    missing = [name for name in _NAMED.findall(text) if not (ROOT / name).exists() and not _generated(name)]
    assert missing == []
    known = {scenario.name for scenario in SCENARIOS}
    assert {name for found in _SCENARIOS.findall(text) for name in found.split()} <= known


def _generated(name: str) -> bool:
    """Whether the file is one of a generated service."""
    return any((project / name).exists() for project in (ROOT / "template").glob("{{*}}"))


@pytest.mark.parametrize("page", _EXPLANATIONS, ids=_name)
def test_explanations_name_their_proof(page: Path) -> None:
    """Each page that explains names a test, a scenario of the lab or the measurements."""
    text = page.read_text(encoding="utf-8")
    assert re.search(r"tests/\w+/test_\w+\.py|measurements\.md|lab\.md", text)
