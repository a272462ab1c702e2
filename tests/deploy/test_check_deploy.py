"""``scripts/check_deploy.py`` finds what is wrong with units and manifests, and nothing in what is generated."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.template import bake
from tests.template.conftest import UNUSUAL

_BROKEN: list[tuple[str, str, str, str]] = [
    ("base/deployment.yaml", "enableServiceLinks: false", "enableServiceLink: false", "enableServiceLink"),
    ("base/deployment.yaml", "maxSurge: 1", "maxSurge: [1]", "Deployment my-service: Kubernetes 1.30: spec.strategy"),
    (
        "base/deployment.yaml",
        '                name: "my-service"\n',
        "                name: other\n",
        "ConfigMap other",
    ),
    ("base/disruption.yaml", "policy/v1\n", "policy/v1beta1\n", "no schema for policy/v1beta1 PodDisruptionBudget"),
    ("base/disruption.yaml", "component: service", "component: servic", "no pod has the labels"),
    ("base/service.yaml", "targetPort: http", "targetPort: web", "no pod has the port web"),
    ("base/networkpolicy.yaml", "component: service", "component: web", "no pod has the labels"),
    ("base/autoscaler.yaml", '    name: "my-service"', "    name: other", "there is no Deployment other"),
    ("base/httproute.yaml", "request: 185s", "request: 3 minutes", "spec.rules.0.timeouts.request"),
    ("base/httproute.yaml", "request: 185s", "request: 2m", "timeouts.request (120000 ms) is less"),
    ("base/httproute.yaml", "          port: 80", "          port: 81", "no Service my-service with port 81"),
    ("base/httproute.yaml", "backendRefs:", "backends:", "backends"),
    ("base/kustomization.yaml", "  - service.yaml\n", "", "service.yaml is not listed"),
    ("base/kustomization.yaml", "  - service.yaml\n", "  - services.yaml\n", "services.yaml does not exist"),
    ("base/kustomization.yaml", "resources:", "resource:", "unknown key resource"),
    ("production/kustomization.yaml", "path: gateway.yaml", "path: gate.yaml", "patch gate.yaml does not exist"),
    (
        "production/kustomization.yaml",
        '  - name: "my-service"\n    behavior',
        "  - name: x\n    behavior",
        "ConfigMap x",
    ),
    ("production/gateway.yaml", '  name: "my-service"', "  name: other", "there is no HTTPRoute other"),
]


_UNITS: list[tuple[str, str, str, str]] = [
    ("my-service.service", "KillMode=mixed", "KilMode=mixed", "KilMode"),
    ("my-service.service", "Requires=my-service.socket", "Requires=my-service.sock", "my-service.sock"),
    ("my-service.service", "NoNewPrivileges=yes", "NoNewPrivileges=ja", "Failed to parse boolean"),
    ("my-service.service", "CapabilityBoundingSet=\n", "", "Overall exposure level"),
    ("my-service.socket", "ListenStream=/run", "ListenStream=run", "Failed to parse address"),
]


def _change(original: Path, copy: Path, name: str, old: str, new: str) -> Path:
    """Copy a generated service and change one text in one file."""
    shutil.copytree(original, copy)
    text = (copy / name).read_text(encoding="utf-8")
    assert old in text, f"{name} has no {old!r}"
    (copy / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    return copy


def _check(*projects: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = None if path is None else {"PATH": path}
    command = [sys.executable, str(ROOT / "scripts" / "check_deploy.py"), *map(str, projects)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(name="manifests", scope="module")
def _manifests(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the script says of every broken manifest, without kustomize or kubectl."""
    directory = tmp_path_factory.mktemp("manifests")
    good = bake(directory / "good", deploy="kubernetes")
    broken = [
        _change(good, directory / f"broken{number:02}", f"deploy/kubernetes/{name}", old, new)
        for number, (name, old, new, _) in enumerate(_BROKEN)
    ]
    return _check(good, *broken, path=str(directory / "nothing")).stdout


@pytest.fixture(name="units", scope="module")
def _units(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the script says of every broken unit."""
    assert shutil.which("systemd-analyze"), "systemd-analyze is missing: apt-get install systemd"
    directory = tmp_path_factory.mktemp("units")
    good = bake(directory / "good", deploy="systemd")
    broken = [
        _change(good, directory / f"broken{number:02}", f"deploy/systemd/{name}", old, new)
        for number, (name, old, new, _) in enumerate(_UNITS)
    ]
    return _check(good, *broken).stdout


def _of(output: str, number: int) -> str:
    return "\n".join(line for line in output.splitlines() if line.startswith(f"broken{number:02}: "))


@pytest.mark.parametrize("number", range(len(_BROKEN)), ids=[f"{row[0]}-{row[3]}" for row in _BROKEN])
def test_a_broken_manifest_is_found(manifests: str, number: int) -> None:
    """Each kind of mistake is named."""
    assert _BROKEN[number][3] in _of(manifests, number), manifests


@pytest.mark.parametrize("number", range(len(_UNITS)), ids=[f"{row[0]}-{row[3]}" for row in _UNITS])
def test_a_broken_unit_is_found(units: str, number: int) -> None:
    """systemd's own words say what is wrong."""
    assert _UNITS[number][3] in _of(units, number), units


def test_the_unbroken_originals_pass(manifests: str, units: str) -> None:
    """Nothing is said of those that were not changed."""
    assert not re.search(r"^my-service: ", manifests + units, re.MULTILINE)
    assert f"{len(_BROKEN) + 1} services" in manifests
    assert f"{len(_UNITS) + 1} services" in units


def test_nothing_to_check_is_a_problem(tmp_path: Path) -> None:
    """A directory without any of the files is no success."""
    done = _check(tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"{tmp_path.name}: no deploy/systemd and no deploy/kubernetes"


def test_what_is_generated_is_right() -> None:
    """Every combination that the script generates by itself passes."""
    done = _check()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 services" in done.stdout


def test_unusual_names_are_right(tmp_path: Path) -> None:
    """Neither a name of sixty characters nor one that YAML would take for something else spoils a file."""
    names = {"true": "True", "long": "A" * 60}
    projects = [
        bake(tmp_path / f"{target}-{key}", **{**UNUSUAL, "project_name": name}, deploy=target, database="postgresql")
        for target in ("systemd", "kubernetes")
        for key, name in names.items()
    ]
    assert {len(project.name) for project in projects} == {4, 60}
    done = _check(*projects)
    assert done.returncode == 0, done.stdout + done.stderr
