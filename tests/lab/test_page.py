"""docs/lab.md against the recording, and the recording against the scenarios."""

from __future__ import annotations

import json
import subprocess
import sys

from _recorded import message_of

from no502.lab.scenarios import SCENARIOS
from tests.support.commands import ROOT

_RECORDED = json.loads((ROOT / "docs" / "lab" / "recorded.json").read_text(encoding="utf-8"))


def test_page_is_what_the_recording_gives() -> None:
    """The page has not been edited by hand, and no scenario's words have changed without it."""
    command = [sys.executable, str(ROOT / "scripts" / "lab_page.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_recording_has_every_scenario_seen_and_gone() -> None:
    """Each scenario was recorded with its failure in the wild, its log line, and none with no502."""
    results = {result["scenario"]: result for result in _RECORDED["results"]}
    assert list(results) == [scenario.name for scenario in SCENARIOS]
    for scenario in SCENARIOS:
        result = results[scenario.name]
        assert result["reproduced"] is True, scenario.name
        assert result["removed"] is True, scenario.name
        assert bool(result["wild"]["log"]) == bool(scenario.logged), scenario.name
        assert all(message_of(line) in scenario.logged for line in result["wild"]["log"]), scenario.name
