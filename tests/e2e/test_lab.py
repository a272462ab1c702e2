"""Every scenario of the lab on real servers: what the documentation shows of it is what happens."""

from __future__ import annotations

import re

import pytest
from _recorded import message_of, recorded

from no502.lab.play import play
from no502.lab.scenario import Scenario
from no502.lab.scenarios import SCENARIOS
from no502.lab.text import log_lines
from no502.nginx.binary import find_nginx, nginx_version

_RECORDED = {result["scenario"]: result for result in recorded()["results"]}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario) -> None:
    """The failure is seen in the wild and gone with no502; its outcome and messages are those of the recorded run."""
    binary = find_nginx(None)
    result = play(scenario, binary, nginx_version(binary), step=lambda _words: None)
    assert result.reproduced, result.wild
    assert result.removed, [event for event in result.fixed.events if not event.ok] or "nothing was sent"
    wild = _RECORDED[scenario.name]["wild"]
    failed = {_kind(event.outcome) for event in result.wild.events if not event.ok}
    expected = {*map(_kind, wild["outcomes"]), "502", "504"}
    assert failed & expected, (failed, wild["outcomes"])
    logged = {message_of(line) for line in log_lines(result, result.wild)}
    shown = {message_of(line) for line in wild["log"]}
    assert logged & shown if scenario.logged else not shown, (logged, shown)


def _kind(outcome: str) -> str:
    """Return an outcome without counts of bytes, which differ from run to run."""
    return re.sub(r"\d{4,}", "N", outcome)
