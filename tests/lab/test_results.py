"""What the lab makes of what it has seen."""

from __future__ import annotations

import json
import re

import pytest

from no502.errors import USAGE, UserError
from no502.lab.html import to_html
from no502.lab.play import choose
from no502.lab.scenario import Result
from no502.lab.scenarios import SCENARIOS
from no502.lab.side import Event, Side, WorkerEvent
from no502.lab.text import message_of, to_data, to_text, verdict
from no502.messages import by_name

_LINE = "nginx: [error] upstream sent too big header while reading response header from upstream"


def _event(outcome: str, *, ok: bool, at: float = 0.5, seconds: float = 0.01) -> Event:
    return Event(at=at, seconds=seconds, outcome=outcome, ok=ok)


def _result(*, wild_ok: bool = False, fixed_ok: bool = True) -> Result:
    [scenario] = choose(["big-header"])
    workers = [WorkerEvent(at=0.1, pid=7, arrives=True), WorkerEvent(at=0.9, pid=7, arrives=False)]
    wild = Side(setup="a <setup>", events=[_event("502", ok=wild_ok), _event("200", ok=True)], log=[_LINE, _LINE])
    fixed = Side(setup="b", events=[_event("200", ok=fixed_ok)], workers=workers)
    return Result(scenario=scenario, wild=wild, fixed=fixed)


def test_failure_seen_and_gone() -> None:
    """A failure in the wild that does not happen with no502 is both reproduced and removed."""
    result = _result()
    assert result.reproduced is True
    assert result.removed is True
    assert verdict([result]) == "1 scenario: 1 failure seen in the wild, 1 gone with no502"


def test_failure_that_did_not_show_is_said() -> None:
    """A race that did not happen is no success: the text says so."""
    result = _result(wild_ok=True)
    assert not result.reproduced
    assert "did not show in the wild this time" in " ".join(to_text(result).split())


def test_failure_that_stays_is_said() -> None:
    """A request that fails with no502 is not passed over."""
    result = _result(fixed_ok=False)
    assert not result.removed
    assert "requests failed with no502" in to_text(result)


def test_side_without_requests_proves_nothing() -> None:
    """No request sent is not the same as no request lost."""
    result = _result()
    empty = Result(scenario=result.scenario, wild=result.wild, fixed=Side(setup="b"))
    assert not empty.removed


def test_outcomes_and_latencies() -> None:
    """Outcomes come with the most frequent first; percentiles are those of the sorted latencies."""
    events = [_event("200", ok=True, seconds=number / 100) for number in range(100)] + [_event("502", ok=False)]
    side = Side(setup="", events=events)
    assert list(side.outcomes.items()) == [("200", 100), ("502", 1)]
    assert side.percentile(0.5) == 0.49
    assert side.percentile(1.0) == 0.99
    assert Side(setup="").percentile(0.5) == 0


def test_text_counts_the_log_lines_that_belong_to_the_scenario() -> None:
    """Repeated log lines are shown once, with their count."""
    assert f"2 x {_LINE}" in to_text(_result())


def test_data_is_json() -> None:
    """What ``--json`` prints can be read back and holds the counts of both sides."""
    data = json.loads(json.dumps(to_data(_result())))
    assert data["wild"]["failures"] == 1
    assert data["no502"]["failures"] == 0
    assert data["no502"]["workers"][1] == {"at": 0.9, "pid": 7, "arrives": False}


def test_page_is_self_contained_and_escaped() -> None:
    """The page loads nothing from anywhere, runs no script, and shows what was run as text."""
    page = to_html([_result()], "gunicorn 1, nginx 2")
    assert not re.search(r"(?:src|href)=|@import|url\(|<script", page)
    assert "a &lt;setup&gt;" in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("<svg") == 5  # requests and latency on both sides; workers where some told
    assert page.count("aria-label=") == 5


def test_unknown_scenario_is_refused_with_the_known_ones() -> None:
    """A misspelt name ends in a message that lists what there is."""
    with pytest.raises(UserError, match="no such scenario: idle-rase; there are: idle-race, ") as refused:
        choose(["idle-rase"])
    assert refused.value.exit_code == USAGE


def test_every_scenario_explains_itself() -> None:
    """Names are unique and every scenario says why it happens and what changes."""
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) == 12
    for scenario in SCENARIOS:
        assert scenario.cause
        assert scenario.change
        for message in map(by_name, scenario.logged):
            assert message is not None
            assert scenario.name in message.scenarios


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (_LINE, "L918"),
        ("gunicorn: WORKER TIMEOUT (pid:N)", "L951"),
        ("gunicorn: a line of the application", ""),
        ("nginx: [notice] start worker process", ""),
    ],
)
def test_the_catalogue_recognises_the_labs_lines(line: str, message: str) -> None:
    """A line of either server is the message that the catalogue has; any other is none."""
    assert message_of(line) == message
