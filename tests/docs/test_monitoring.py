"""The monitoring files: alert rules, dashboard, log parsing, and the page that shows them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.asgi.application import create_app
from tests.support.commands import ROOT
from tests.support.monitoring import KIT, dashboard, expressions, metrics_named, promtool

_PAGE = ROOT / "docs" / "how-to" / "monitoring.md"
_SHOWN = ("alerts.yml", "alerts-test.yml", "nginx.mtail", "vector.yaml")


def _alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((KIT / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _log_fields() -> list[str]:
    text = (ROOT / "nginx" / "snippets" / "http.conf").read_text(encoding="utf-8")
    return re.findall(r"""^ +'"(\w+)":"\$\w+",?'$""", text, re.MULTILINE)


# ------------------------------------------------------------------------------------------------------------ alerts
def test_prometheus_accepts_the_rules() -> None:
    """promtool finds nothing wrong with the alert rules."""
    done = promtool("check", "rules", "alerts.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_and_stays_silent() -> None:
    """promtool's unit tests pass: every alert fires where all is wrong, none at a healthy service."""
    done = promtool("test", "rules", "alerts-test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_tests_name_every_alert() -> None:
    """No rule is without a case in which it must fire."""
    tested = re.findall(r'alertname="(\w+)"', (KIT / "alerts-test.yml").read_text(encoding="utf-8"))
    assert sorted(tested) == sorted(rule["alert"] for rule in _alerts())


@pytest.mark.parametrize(("old", "new"), [("> 0.001", "> 0.9"), ("> 0.05", "> 0"), ("for: 10m", "for: 2h")])
def test_a_wrong_threshold_is_noticed(tmp_path: Path, old: str, new: str) -> None:
    """The unit tests fail for a rule that never fires, one that fires at a healthy service, one that is too slow."""
    shutil.copytree(KIT, tmp_path, dirs_exist_ok=True)
    rules = tmp_path / "alerts.yml"
    rules.write_text(rules.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    done = promtool("test", "rules", "alerts-test.yml", directory=tmp_path)
    assert done.returncode != 0, done.stdout


def test_each_runbook_exists() -> None:
    """The pages that the alerts name exist."""
    named = {rule["annotations"]["runbook"] for rule in _alerts() if "runbook" in rule["annotations"]}
    assert {name for name in named if not (ROOT / "docs" / f"{name}.md").is_file()} == set()


# --------------------------------------------------------------------------------------------------------- dashboard
def test_the_dashboard_is_up_to_date() -> None:
    """dashboard.json is what its script writes."""
    command = [sys.executable, str(ROOT / "scripts" / "dashboard.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _as_rules(queries: dict[str, str], directory: Path) -> Path:
    """Write expressions as recording rules, Grafana's variables replaced as Grafana does."""
    text = {name: query.replace("$__rate_interval", "5m") for name, query in queries.items()}
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(text.values())]
    (directory / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}), "utf-8")
    return directory


def test_prometheus_parses_each_query(tmp_path: Path) -> None:
    """Every expression of the dashboard is PromQL."""
    done = promtool("check", "rules", "queries.yml", directory=_as_rules(expressions(), tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(expressions()) > 30


def test_a_query_that_is_none_is_noticed(tmp_path: Path) -> None:
    """The check above can fail."""
    broken = _as_rules({"a panel": "sum(rate(app_workers[$__rate_interval])"}, tmp_path)
    assert promtool("check", "rules", "queries.yml", directory=broken).returncode != 0


def _as_grafana_reads_it(document: dict[str, Any]) -> Any:
    """Return a dashboard read and written by the classes that are generated from Grafana's schema."""
    plugins.register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(document)))


def _not_in(document: Any, other: Any, where: str = "") -> list[str]:
    """Return where something of a document is missing in the other one, or differs."""
    if isinstance(document, dict) and isinstance(other, dict):
        return [part for key in document for part in _not_in(document[key], other.get(key), f"{where}/{key}")]
    if isinstance(document, list) and isinstance(other, list) and len(document) == len(other):
        return [
            part for n, pair in enumerate(zip(document, other, strict=True)) for part in _not_in(*pair, f"{where}/{n}")
        ]
    return [] if document == other else [where]


def test_everything_of_the_dashboard_is_in_grafanas_schema() -> None:
    """Grafana's own classes know every field of every panel, query and variable."""
    assert _not_in(dashboard(), _as_grafana_reads_it(dashboard())) == []


@pytest.mark.parametrize("key", ["panels", "templating", "time"])
def test_a_field_that_grafana_does_not_know_is_noticed(key: str) -> None:
    """The check above can fail: a misspelt field is lost."""
    document = dashboard()
    part = document[key]["list"] if key == "templating" else document[key]
    inner = part[0] if isinstance(part, list) else part
    inner["titel"] = "misspelt"
    assert [path.rpartition("/")[2] for path in _not_in(document, _as_grafana_reads_it(document))] == ["titel"]


def test_grafana_can_place_each_panel() -> None:
    """Ids and reference ids are unique, panels lie in 24 columns without overlap, all use the chosen data source."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        references = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(references)) == len(references)
        sources = [panel.get("datasource"), *(target["datasource"] for target in panel.get("targets", []))]
        assert panel["type"] == "row" or sources == [{"type": "prometheus", "uid": "${source}"}] * len(sources)


def test_variables_of_the_dashboard_exist() -> None:
    """Each $variable of an expression is declared, and each declared one is used."""
    names = {variable["name"] for variable in dashboard()["templating"]["list"]}
    text = (KIT / "dashboard.json").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{?(?!__)(\w+)", text)) == names


# ----------------------------------------------------------------------------------------------------------- metrics
def test_each_metric_is_exposed() -> None:
    """Rules and dashboard name only metrics that the service has, and those that are counted from nginx's log."""
    with TestClient(create_app(metrics=True), base_url="http://localhost") as client:
        text = client.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    exposed = set(kinds) | {f"{name}_{part}" for name in kinds for part in ("bucket", "count", "sum")}
    counted = set(re.findall(r"^counter (\w+)", (KIT / "nginx.mtail").read_text(encoding="utf-8"), re.MULTILINE))
    assert len(metrics_named()) > 15
    assert metrics_named() - exposed - counted == set()


# -------------------------------------------------------------------------------------------------------------- page
@pytest.mark.parametrize("name", _SHOWN)
def test_the_page_shows_the_file(name: str) -> None:
    """A block of the page is the file, byte for byte."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert (KIT / name).read_text(encoding="utf-8") in blocks


def test_the_page_explains_each_field() -> None:
    """The table of the access log has every field of the log format, in its order, and no other."""
    page = _PAGE.read_text(encoding="utf-8")
    table = page.split("## Each field")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == _log_fields()
    assert len(_log_fields()) > 20


def test_the_page_lists_each_metric() -> None:
    """The table of metrics has every metric of the service."""
    with TestClient(create_app(metrics=True), base_url="http://localhost") as client:
        text = client.get("/metrics").text
    exposed = {name for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE) if not name.endswith("_created")}
    table = _PAGE.read_text(encoding="utf-8").split("## Metrics of the generated service")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == exposed
