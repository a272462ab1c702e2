"""What is generated for each place to run it."""

import json
import re
from pathlib import Path

import pytest

from tests.support.template import TEMPLATE, bake, files_in
from tests.template.conftest import UNUSUAL

_VENDORED = (
    "app/asgi/",
    "deploy/systemd/own-names.awk",
    "deploy/systemd/write-nginx",
    "gunicorn_arbiter.py",
    "gunicorn_conf.py",
    "gunicorn_handover.py",
    "nginx/",
    "ops/",
)
"""Copied, not rendered; of ops/ the runbook is."""
_TARGETS = ["compose", "systemd", "swarm", "kubernetes"]
_KUBERNETES = {
    "deploy/kubernetes/base/autoscaler.yaml",
    "deploy/kubernetes/base/deployment.yaml",
    "deploy/kubernetes/base/disruption.yaml",
    "deploy/kubernetes/base/httproute.yaml",
    "deploy/kubernetes/base/kustomization.yaml",
    "deploy/kubernetes/base/networkpolicy.yaml",
    "deploy/kubernetes/base/service.yaml",
    "deploy/kubernetes/production/from-gateway.yaml",
    "deploy/kubernetes/production/gateway.yaml",
    "deploy/kubernetes/production/kustomization.yaml",
}


def _expected(target: str, slug: str, database: str, worker: str) -> set[str]:
    if target == "systemd":
        own = {f"deploy/systemd/{slug}-worker.service"} if worker == "yes" else set()
        names = [
            "environment.example",
            "nginx.service.d/timeouts.conf",
            "own-names.awk",
            "write-nginx",
            f"{slug}.service",
            f"{slug}.socket",
        ]
        return {f"deploy/systemd/{name}" for name in names} | own
    if target == "swarm":
        return {"deploy/swarm/nginx.Dockerfile", "deploy/swarm/stack.yaml"}
    migration = {"deploy/kubernetes/base/migration.yaml"} if database == "postgresql" else set()
    background = {"deploy/kubernetes/base/worker.yaml"} if worker == "yes" else set()
    return _KUBERNETES | migration | background if target == "kubernetes" else set()


@pytest.mark.parametrize("target", _TARGETS)
@pytest.mark.parametrize("database", ["none", "postgresql"])
@pytest.mark.parametrize("worker", ["none", "yes"])
@pytest.mark.parametrize("answers", [{}, UNUSUAL], ids=["defaults", "unusual"])
def test_the_files_of_the_choice_are_there_and_no_others(
    tmp_path: Path, answers: dict[str, str], worker: str, database: str, target: str
) -> None:
    """Those below ``deploy/`` are those of the choice; what was not chosen leaves nothing that git would take."""
    project = bake(tmp_path, **answers, database=database, deploy=target, worker=worker)
    files = files_in(project)
    assert {name for name in files if name.startswith("deploy/")} == _expected(target, project.name, database, worker)
    tests = {name for name in files if name in {f"tests/test_{each}.py" for each in _TARGETS}}
    assert tests == ({f"tests/test_{target}.py"} - {"tests/test_compose.py"})
    assert "compose.yaml" in files
    empty = [path.relative_to(project) for path in project.rglob("*") if path.is_dir() and not any(path.iterdir())]
    ignored = (project / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert [path for path in empty if f"{path.parts[0]}/" not in ignored] == []


@pytest.mark.parametrize("target", _TARGETS)
@pytest.mark.parametrize("database", ["none", "postgresql"])
@pytest.mark.parametrize("worker", ["none", "yes"])
def test_no_template_syntax_is_left(tmp_path: Path, worker: str, database: str, target: str) -> None:
    """Neither names nor contents hold a tag of the template language, and what is left out leaves no gap."""
    for name, content in files_in(bake(tmp_path, **UNUSUAL, database=database, deploy=target, worker=worker)).items():
        if not name.startswith(_VENDORED) or name == "ops/runbook.md":
            assert not re.search(r"cookiecutter\.|\{%|\{#|(?<!\$)\{\{", f"{name}\n{content.decode()}"), name
            assert not re.search(r"\n{4}|[ \t]\n|^\n|\n\n\Z|[^\n]\Z", content.decode()), name


@pytest.mark.parametrize("target", _TARGETS)
def test_no_trace_of_a_target_that_was_not_chosen(tmp_path: Path, target: str) -> None:
    """The files that every service has name the chosen directory only."""
    files = files_in(bake(tmp_path, deploy=target))
    named = {found for text in files.values() for found in re.findall(rb"deploy/(systemd|swarm|kubernetes)", text)}
    assert named == {target.encode()} - {b"compose"}


@pytest.mark.parametrize("target", _TARGETS)
@pytest.mark.parametrize("database", ["none", "postgresql"])
def test_no_trace_of_a_worker_that_was_not_chosen(tmp_path: Path, database: str, target: str) -> None:
    """Without the answer no file names the process or its health check."""
    files = files_in(bake(tmp_path, database=database, deploy=target))
    traces = re.compile(rb"app[./]worker|heartbeat\.py|APP_WORKER|\n  worker:")
    assert [name for name, text in files.items() if traces.search(text) and not name.startswith("gunicorn_")] == []


def test_compose_is_the_default() -> None:
    """The first of the choices is the default, and each has a text for people."""
    context = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    assert context["deploy"] == _TARGETS
    assert set(context["__prompts__"]["deploy"]) == {"__prompt__", *_TARGETS}
