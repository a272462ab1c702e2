"""The ladder's metadata against the code that computes it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gunicorn_conf import SETTINGS, ServerSettings
from no502.ladder.rungs import GROUPS, RUNGS, is_overridden, symbols, value_of

COMPUTED = [rung for rung in RUNGS if rung.formula is not None]
FORMULAS = [rung for rung in COMPUTED if rung.name != "workers"]  # given below, so that the machine does not matter
FUNCTIONS = {"__builtins__": {}, "min": min, "max": max}
SLOW = settings(deadline=None)


def evaluate(formula: str, settings: ServerSettings) -> int:
    """Compute a formula from the settings' own values."""
    result: int = eval(formula, FUNCTIONS, dict(symbols(settings)))  # noqa: S307  the project's own text
    return result


@pytest.mark.parametrize(
    ("worker_class", "shortest"),
    [("gunicorn_handover.HandoverWorker", 10), ("uvicorn_worker.UvicornWorker", 20)],  # 10 leaves that class no room
    ids=["handover", "uvicorn-worker"],
)
@SLOW
@given(data=st.data())
def test_formulas_are_what_the_code_computes(worker_class: str, shortest: int, data: st.DataObject) -> None:
    """Every printed formula gives exactly the number that gunicorn_conf computes."""
    ladder = ServerSettings(
        worker_class_override=worker_class,
        proxy_read_timeout=data.draw(st.integers(shortest, 86400)),
        proxy_keepalive_timeout=data.draw(st.integers(1, 600)),
        _env_file=None,
        web_concurrency=data.draw(st.integers(1, 512)),
        max_requests=data.draw(st.integers(0, 10**6)),
        stop_delay=data.draw(st.integers(0, 3600)),
    )
    computed = {rung.name: evaluate(rung.formula or "", ladder) for rung in FORMULAS}
    assert computed == {rung.name: value_of(rung, ladder) for rung in FORMULAS}


def test_a_wrong_formula_is_noticed() -> None:
    """The comparison above fires: another formula gives another number."""
    assert evaluate("P * 3 // 4", ServerSettings()) != ServerSettings().timeout


def test_every_rung_is_a_setting() -> None:
    """Each variable, symbol and field is declared once."""
    for names in (
        [rung.symbol for rung in RUNGS],
        [each.variable for each in SETTINGS],
        [each.field for each in SETTINGS],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_every_rung_says_why_and_where_that_is_written(rung: object) -> None:
    """A rung has a known group, the variable that the settings read, a reason and a link."""
    (found,) = [candidate for candidate in RUNGS if candidate is rung]
    assert found.group in GROUPS
    assert found.why.endswith(".")
    assert found.source.startswith("https://")


@pytest.mark.parametrize("rung", COMPUTED, ids=lambda rung: rung.name)
def test_an_override_is_told_from_a_computed_value(rung: object) -> None:
    """is_overridden() is true for a rung that was set and false for one that was not."""
    (found,) = [candidate for candidate in RUNGS if candidate is rung]
    plain = ServerSettings()
    given: dict[str, Any] = {found.field: value_of(found, plain)}
    same = ServerSettings(**given)
    assert is_overridden(found, plain) is False
    assert is_overridden(found, same) is True


def test_workers_are_overridden_by_web_concurrency() -> None:
    """The number of workers counts as set when WEB_CONCURRENCY is."""
    (workers,) = [rung for rung in RUNGS if rung.name == "workers"]
    assert is_overridden(workers, ServerSettings(web_concurrency=3))
    assert not is_overridden(workers, ServerSettings())
