"""The monitoring files of docs/examples/monitoring, and the programs that read them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import ROOT

__all__ = ["KIT", "dashboard", "expressions", "metrics_named", "promtool"]

KIT = ROOT / "docs" / "examples" / "monitoring"


def promtool(*arguments: str, directory: Path = KIT) -> subprocess.CompletedProcess[str]:
    """Run Prometheus's own checker; skip the test where it is missing."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is missing: apt-get install prometheus")
    return subprocess.run([program, *arguments], cwd=directory, capture_output=True, text=True, check=False)


def dashboard() -> Any:
    """Return the Grafana dashboard."""
    return json.loads((KIT / "dashboard.json").read_text(encoding="utf-8"))


def expressions() -> dict[str, str]:
    """Return every PromQL expression of the dashboard and of the alert rules, by what it is for."""
    found = {}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            found[f"{panel['title']}: {target['refId']}"] = target["expr"]
    for group in yaml.safe_load((KIT / "alerts.yml").read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            found[rule["alert"]] = rule["expr"]
    return found


def metrics_named() -> set[str]:
    """Return the metrics that those expressions and the dashboard's variables ask for."""
    queries = [each["definition"] for each in dashboard()["templating"]["list"] if "definition" in each]
    return set(re.findall(r"\b((?:app|http|nginx)_\w+)", " ".join([*expressions().values(), *queries])))
