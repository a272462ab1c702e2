"""``scripts/check_deploy.py`` finds what is wrong with units and manifests, and nothing in what is generated."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.template import bake

_KUBERNETES = "deploy/kubernetes/"
_BROKEN: list[tuple[str, str, str, str]] = [
    ("base/deployment.yaml", "enableServiceLinks: false", "enableServiceLink: false", "enableServiceLink"),
    ("base/deployment.yaml", "maxSurge: 1", "maxSurge: [1]", "Deployment my-service: Kubernetes 1.30: spec.strategy"),
    ("base/deployment.yaml", "                name: my-service\n", "                name: other\n", "ConfigMap other"),
    ("base/disruption.yaml", "policy/v1\n", "policy/v1beta1\n", "no schema for policy/v1beta1 PodDisruptionBudget"),
    ("base/disruption.yaml", "component: service", "component: servic", "no pod has the labels"),
    ("base/service.yaml", "targetPort: http", "targetPort: web", "no pod has the port web"),
    ("base/networkpolicy.yaml", "component: service", "component: web", "no pod has the labels"),
    ("base/autoscaler.yaml", "    name: my-service", "    name: other", "there is no Deployment other"),
    ("base/httproute.yaml", "request: 185s", "request: 3 minutes", "spec.rules.0.timeouts.request"),
    ("base/httproute.yaml", "request: 185s", "request: 2m", "timeouts.request (120000 ms) is less"),
    ("base/httproute.yaml", "          port: 80", "          port: 81", "no Service my-service with port 81"),
    ("base/httproute.yaml", "backendRefs:", "backends:", "backends"),
    ("base/kustomization.yaml", "  - service.yaml\n", "", "service.yaml is not listed"),
    ("base/kustomization.yaml", "  - service.yaml\n", "  - services.yaml\n", "services.yaml does not exist"),
    ("base/kustomization.yaml", "resources:", "resource:", "unknown key resource"),
    ("production/kustomization.yaml", "path: gateway.yaml", "path: gate.yaml", "patch gate.yaml does not exist"),
    ("production/kustomization.yaml", "  - name: my-service\n    behavior", "  - name: x\n    behavior", "ConfigMap x"),
    ("production/gateway.yaml", "  name: my-service", "  name: other", "there is no HTTPRoute other"),
]


@pytest.fixture(name="change", scope="module")
def _change(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, str, str, str], Path]:
    """Return a function that copies a generated service and changes one text in one file."""
    projects = {name: bake(tmp_path_factory.mktemp(name), deploy=name) for name in ("systemd", "kubernetes")}

    def change(directory: Path, name: str, old: str, new: str) -> Path:
        project = directory / "changed"
        shutil.copytree(projects["kubernetes" if "kubernetes" in name else "systemd"], project)
        file = project / name
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        return project

    return change


def _check(*projects: Path, without_tools: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(without_tools)} if without_tools else None
    command = [sys.executable, str(ROOT / "scripts" / "check_deploy.py"), *map(str, projects)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(("name", "old", "new", "says"), _BROKEN)
def test_a_broken_manifest_is_found(  # noqa: PLR0913, PLR0917  one argument for each column
    tmp_path: Path, change: Callable[[Path, str, str, str], Path], name: str, old: str, new: str, says: str
) -> None:
    """Each kind of mistake is named, without kustomize or kubectl."""
    (tmp_path / "empty").mkdir()
    done = _check(change(tmp_path, _KUBERNETES + name, old, new), without_tools=tmp_path / "empty")
    assert done.returncode == 1, done.stdout + done.stderr
    assert says in done.stdout


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("my-service.service", "KillMode=mixed", "KilMode=mixed", "KilMode"),
        ("my-service.service", "Requires=my-service.socket", "Requires=my-service.sock", "my-service.sock"),
        ("my-service.service", "NoNewPrivileges=yes", "NoNewPrivileges=ja", "Failed to parse boolean"),
        ("my-service.service", "CapabilityBoundingSet=\n", "", "Overall exposure level"),
        ("my-service.socket", "ListenStream=/run", "ListenStream=run", "ListenStream"),
    ],
)
def test_a_broken_unit_is_found(  # noqa: PLR0913, PLR0917  one argument for each column
    tmp_path: Path, change: Callable[[Path, str, str, str], Path], name: str, old: str, new: str, says: str
) -> None:
    """systemd's own words say what is wrong."""
    assert shutil.which("systemd-analyze"), "systemd-analyze is missing: apt-get install systemd"
    done = _check(change(tmp_path, f"deploy/systemd/{name}", old, new))
    assert done.returncode == 1, done.stdout + done.stderr
    assert says in done.stdout


def test_nothing_to_check_is_a_problem(tmp_path: Path) -> None:
    """A directory without any of the files is no success."""
    done = _check(tmp_path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        1,
        f"{tmp_path.name}: no deploy/systemd and no deploy/kubernetes",
    )


def test_what_is_generated_is_right() -> None:
    """Every combination that the script generates by itself passes."""
    done = _check()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 services" in done.stdout
