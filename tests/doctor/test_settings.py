"""Facts by name and type: readers may find anything, rules can ask for what there is."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from no502.doctor.model import Fact, Origin
from no502.doctor.readers.gunicorn_defaults import GUNICORN
from no502.doctor.readers.nginx.effective import SCALARS
from no502.doctor.settings import Facts, LocationFacts, MainFacts, ServerFacts, ServiceFacts, UpstreamFacts

HERE = Fact(1, Origin(file="a"))


def test_what_no_rule_asks_for_is_kept_apart() -> None:
    """It is shown, and no attribute."""
    facts = ServerFacts.of({"workers": HERE, "logger_class": HERE})
    assert facts.workers is HERE
    assert facts.others == {"logger_class": HERE}
    assert list(facts.named()) == ["logger_class", "workers"]


def test_a_name_in_a_variable_has_to_be_one() -> None:
    """No misspelt name is silently "not known"."""
    with pytest.raises(AttributeError):
        ServiceFacts().fact("stop_grase")


@pytest.mark.parametrize("kind", [MainFacts, UpstreamFacts, LocationFacts, ServerFacts, ServiceFacts])
def test_a_misspelt_name_is_refused(kind: type[Facts]) -> None:
    """What a reader calls by another name than the rules would be silently "not known"."""
    with pytest.raises(AttributeError, match="keepalive_timout"):
        kind.of({"keepalive_timout": HERE})
    with pytest.raises(AttributeError, match="keepalive_timout"):
        kind().changed({"keepalive_timout": HERE})


def test_what_no_rule_asks_for_is_declared() -> None:
    """Each such name is declared: gunicorn's settings, and one of an upstream."""
    assert UpstreamFacts.of({"keepalive_time": HERE}).others == {"keepalive_time": HERE}
    assert ServerFacts.of({"limit_request_line": HERE}).others == {"limit_request_line": HERE}


def test_a_change_leaves_the_rest() -> None:
    """The copy has the new facts, the first one stays."""
    facts = ServerFacts.of({"workers": HERE, "logger_class": HERE})
    changed = facts.changed({"timeout": HERE, "user": HERE})
    assert changed.workers == HERE
    assert changed.timeout == HERE
    assert set(changed.others) == {"logger_class", "user"}
    assert facts.timeout is None


@pytest.mark.parametrize(("kind", "names"), [(LocationFacts, SCALARS)])
def test_every_directive_that_is_read_has_a_field(kind: type[LocationFacts], names: dict[str, object]) -> None:
    """What nginx's reader knows by name is typed."""
    assert set(names) == {one.name for one in dataclasses.fields(kind)} - {"others"}


def test_the_settings_that_rules_use_are_fields() -> None:
    """gunicorn's defaults that are bounds of requests have a field; others are shown only."""
    assert set(GUNICORN) - ServerFacts.names() == {"limit_request_line", "limit_request_field_size"}


def test_a_misspelt_fact_is_an_error_of_the_type_checker(tmp_path: Path) -> None:
    """mypy names it."""
    text = (
        "from no502.doctor.model import AppServer\n\n\ndef f(one: AppServer) -> object:\n    return one.settings.%s\n"
    )
    for name, code in (("timeout", 0), ("timout", 1)):
        path = tmp_path / f"{name}.py"
        path.write_text(text % name, encoding="utf-8")
        command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(path)]
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout
        assert ("timout" in done.stdout) is bool(code)
