"""Helm charts: rendered where helm is installed, and judged at the lines of their templates."""

import os
from pathlib import Path

import pytest

from no502.doctor.readers.kubernetes import helm
from tests.doctor.report import Report, judge

DEPLOYMENT = """{{- $name := .Values.name }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
spec:
  replicas: {{ .Values.replicas }}
  template:
    metadata: {labels: {app: {{ $name }}}}
    spec:
      terminationGracePeriodSeconds: 20
      containers:
        - name: {{ .Chart.Name }}
          image: {{ .Values.image }}
          command: [gunicorn, -b, "0.0.0.0:8000", "shop:app"]
"""
RENDERED = """---
# Source: shop/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: release-name
spec:
  replicas: 2
  template:
    metadata: {labels: {app: release-name}}
    spec:
      terminationGracePeriodSeconds: 20
      containers:
        - name: shop
          image: acme/shop:4
          command: [gunicorn, -b, "0.0.0.0:8000", "shop:app"]
---
# Source: shop/templates/nginx.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: nginx
data:
  default.conf: |
    server {
      listen 80;
      location / { proxy_read_timeout 5m; proxy_pass http://127.0.0.1:8001; }
    }
---
# Source: shop/charts/cache/templates/pod.yaml
apiVersion: v1
kind: Pod
metadata: {name: cache}
spec: {containers: [{name: cache, image: redis}]}
"""
CHART = {
    "shop/Chart.yaml": "name: shop\n",
    "shop/values.yaml": "name: a\n",
    "shop/templates/deployment.yaml": DEPLOYMENT,
    "shop/templates/nginx.yaml": "data:\n  default.conf: |\n    server {\n",
    "shop/charts/cache/Chart.yaml": "name: cache\n",
    "shop/charts/cache/templates/pod.yaml": "kind: {{ .Values.kind }}\napiVersion: v1\n",
}
ADVICE = "run doctor on the output of `helm template`"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put a helm in front of the search path, which notes its arguments and folder, and return that note."""
    program, note = folder / "bin" / "helm", folder / "asked"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$PWD" "$@" >>"{note}"\n{script}', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return note


def report(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Report:
    """Judge the chart with a helm that does what a script says."""
    install(folder, monkeypatch, script)
    return judge(folder / "charts", CHART, monkeypatch)


def test_a_chart_is_judged_by_what_helm_makes_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings are at the template's file and line; the chart's own dependencies are rendered with it."""
    (tmp_path / "rendered").write_text(RENDERED, encoding="utf-8")
    note = install(tmp_path, monkeypatch, f'cat "{tmp_path}/rendered"\n')
    found = judge(tmp_path / "charts", CHART, monkeypatch)
    asked = note.read_text(encoding="utf-8").split("\n")
    assert asked[:4] == [str(tmp_path / "charts/shop"), "template", "release-name", "."]
    assert asked.count("template") == 2, "once for each of the two reports"
    places = {
        (one["rule"], one["where"]["file"], one["where"]["line"])
        for one in found.data["findings"]
        if "is killed" in one["message"]
    }
    assert places == {("S505", "shop/templates/deployment.yaml", 11)}
    assert found.servers() == [("gunicorn", ["0.0.0.0:8000"])]
    assert ADVICE not in found.gaps()
    assert "127.0.0.1:8001" in found.gaps()


def test_the_fix_is_written_into_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that the template has as it is can be changed there."""
    (tmp_path / "rendered").write_text(RENDERED, encoding="utf-8")
    install(tmp_path, monkeypatch, f'cat "{tmp_path}/rendered"\n')
    judge(tmp_path / "charts", CHART, monkeypatch, ".", "--fix")
    text = (tmp_path / "charts/shop/templates/deployment.yaml").read_text(encoding="utf-8")
    assert "terminationGracePeriodSeconds: 40\n" in text


def test_without_helm_the_chart_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = judge(tmp_path / "charts", CHART, monkeypatch)
    assert found.gaps().count(ADVICE) == 1
    assert found.data["findings"] == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Error: missing in charts/ directory: postgresql' >&2; exit 1\n", "missing in charts/ directory"),
        ("exit 3\n", "exit code 3"),
        ("echo 'walk.go:74: found symbolic link'\n", "gives no manifest"),
        ("exec sleep 30\n", "did not end within"),
        ("printf '# Source: shop/templates/a.yaml\\n{[\\n'\n", "no YAML of shop/templates/a.yaml"),
    ],
)
def test_a_helm_that_gives_nothing_is_a_gap(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is helm's own, and the run goes on."""
    monkeypatch.setattr(helm, "_SECONDS", 1)
    found = report(tmp_path, monkeypatch, script)
    assert "the Helm chart in shop" in found.gaps()
    assert reason in found.gaps()
    assert found.code == 0
