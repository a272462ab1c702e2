"""What a run is asked for: rules by id, slug and letter, the configuration file, the baseline, the exit code."""

import inspect
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from no502.doctor import check, command, configured, options, run
from no502.doctor.baseline import read_baseline, write_baseline
from no502.doctor.command import doctor
from no502.doctor.configured import fails, read_configured, select_rules
from no502.doctor.finding import Finding, Severity
from no502.doctor.model import Origin
from no502.doctor.options import FailOn, Options
from no502.doctor.readers import context, deployment
from no502.doctor.registry import rules
from no502.errors import UserError


def test_rules_by_id_slug_and_letter() -> None:
    """Commas or several words, upper or lower case; ignore wins."""
    chosen = {rule.id for rule in select_rules(["k201,wrong-address", "r"], ["R403"])}
    assert chosen == {"K201", "A101", "R401", "R402", "R404"}
    assert {rule.id for rule in select_rules([], ["H"])} == {id_ for id_ in rules() if id_[0] != "H"}


def test_an_unknown_rule_names_what_is_close() -> None:
    """The message says what is wrong and what was perhaps meant."""
    with pytest.raises(UserError, match="'K2O1'; did you mean K201"):
        select_rules(["K2O1"], [])


@pytest.mark.parametrize(("name", "head"), [("doctor.toml", ""), ("pyproject.toml", "[tool.no502.doctor]\n")])
def test_the_configuration_file(tmp_path: Path, name: str, head: str) -> None:
    """Either file, the same keys."""
    (tmp_path / name).write_text(f'{head}ignore = ["H801"]\nfail-on = "warning"\nfront = "alb"\n')
    said = read_configured(tmp_path)
    assert said.ignore == ("H801",)
    assert said.fail_on == "warning"
    assert said.front == "alb"
    assert said.select == ()


def test_all_problems_of_the_configuration_at_once(tmp_path: Path) -> None:
    """Unknown keys, wrong types and wrong words are named together."""
    (tmp_path / "doctor.toml").write_text('ignored = []\nselect = "K"\nfail-on = "fatal"\n')
    with pytest.raises(UserError) as caught:
        read_configured(tmp_path)
    message = str(caught.value)
    assert "unknown key 'ignored'" in message
    assert "select must be a list of strings" in message
    assert "fail-on must be one of error, warning, info, never" in message


@pytest.mark.parametrize(
    ("worst", "fail_on", "expected"),
    [
        (None, "info", False),
        (Severity.ERROR, "error", True),
        (Severity.WARNING, "error", False),
        (Severity.WARNING, "warning", True),
        (Severity.INFO, "info", True),
        (Severity.ERROR, "never", False),
    ],
)
def test_when_a_run_fails(worst: Severity | None, fail_on: str, expected: bool) -> None:
    """At the severity that was asked for, and above."""
    assert fails(worst, FailOn(fail_on)) is expected


def test_a_baseline_survives_moved_lines(tmp_path: Path) -> None:
    """A finding is known by rule, file and message, not by its line."""
    file = tmp_path / "baseline.json"
    old = Finding(rule="K201", severity=Severity.ERROR, message="m", where=Origin(file="a", line=1))
    moved = Finding(rule="K201", severity=Severity.ERROR, message="m", where=Origin(file="a", line=9))
    other = Finding(rule="K201", severity=Severity.ERROR, message="n", where=Origin(file="a", line=1))
    assert write_baseline(file, [old, moved]) == 1
    known = read_baseline(file)
    assert moved.fingerprint in known
    assert other.fingerprint not in known


@pytest.mark.parametrize("content", ["", "[]", '{"findings": [{}]}', '{"baseline_version": 9, "findings": []}'])
def test_what_is_no_baseline(tmp_path: Path, content: str) -> None:
    """A file that is none, or of another version, ends in a message."""
    file = tmp_path / "baseline.json"
    file.write_text(content)
    with pytest.raises(UserError, match=r"baseline\.json"):
        read_baseline(file)


def test_each_option_of_the_command_is_a_field() -> None:
    """The command line has no option that does not arrive, and every field but the base of paths is an option."""
    words = {one.name for one in get_command(doctor).commands["check"].params}  # type: ignore[attr-defined]
    assert words == {one.name for one in fields(Options)} - {"base"}


@pytest.mark.parametrize(
    "module", [command, configured, run, options, context, deployment, check], ids=lambda m: m.__name__
)
def test_nothing_on_the_way_takes_options_one_by_one(module: ModuleType) -> None:
    """From the command line to the readers the options are one object, so five parameters are enough."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and not hasattr(function, "__signature__"):
            assert len(inspect.signature(function).parameters) <= 5, name


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    """What both say is taken from the command line; the rest from the file, its baseline beside it."""
    (tmp_path / "doctor.toml").write_text('ignore = ["H801"]\nfront = "alb"\nfail-on = "info"\nbaseline = "b.json"\n')
    filled = configured.with_configuration(Options(paths=(tmp_path,), front="gcp"))
    assert filled.front == "gcp"
    assert filled.ignore == ("H801",)
    assert filled.fail_on is FailOn.INFO
    assert filled.baseline == tmp_path / "b.json"


def test_what_may_be_opened_follows_from_the_options(tmp_path: Path) -> None:
    """Below the paths, unless ``--outside`` allows everything."""
    assert not Options(paths=(tmp_path,)).reach.allows(tmp_path.parent)
    assert Options(paths=(tmp_path,), outside=True).reach.allows(tmp_path.parent)
