"""``--docker``: containers as ``docker inspect`` describes them, beside the files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.docker import Container, ask_docker, examine
from no502.doctor.model import Deployment
from no502.doctor.options import Options
from no502.doctor.readers.deployment import read_deployments
from no502.errors import UserError
from tests.doctor.report import judge

_COMPOSE = """services:
  app:
    image: app:1
    command: gunicorn --timeout 120 --bind 0.0.0.0:8000 app:app
    stop_grace_period: 130s
"""
_SECRET = "hunter2-very-secret"


def _inspected(**changes: Any) -> dict[str, Any]:
    """One container as the engine describes it, the parts that are read."""
    state = {"Status": "running", "OOMKilled": False, "ExitCode": 0, "Health": {"Status": "healthy"}}
    return {
        "Name": "/site-app-1",
        "RestartCount": changes.get("restarts", 0),
        "State": {**state, **changes.get("state", {})},
        "Path": "gunicorn",
        "Args": changes.get("args", ["--timeout", "120", "--bind", "0.0.0.0:8000", "app:app"]),
        "Config": {
            "Labels": {"com.docker.compose.service": "app", "com.docker.compose.project": "site"},
            "Env": [f"SECRET_KEY={_SECRET}", "PATH=/usr/bin"],
            "StopTimeout": changes.get("stop", 130),
        },
    }


@pytest.fixture(name="engine")
def _engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``docker`` that knows one project and answers with the file that is returned."""
    program, answer = tmp_path / "bin" / "docker", tmp_path / "answer.json"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$1" in\n'
        '    ps) case "$5" in *project=site) echo 0123456789ab ;; esac ;;\n'
        f'    inspect) cat "{answer}" ;;\n    *) exit 9 ;;\nesac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    answer.write_text(json.dumps([_inspected()]))
    return answer


@pytest.fixture(name="deployment")
def _deployment(tmp_path: Path) -> Deployment:
    """What the files say."""
    (tmp_path / "compose.yaml").write_text(_COMPOSE)
    [found] = read_deployments([tmp_path / "compose.yaml"], Options(base=tmp_path))
    return found


def _found(engine: Path, deployment: Deployment, **changes: Any) -> list[str]:
    engine.write_text(json.dumps([_inspected(**changes)]))
    findings = examine(ask_docker("site"), deployment)
    assert _SECRET not in repr(findings)
    return [finding.rule for finding in findings]


def test_container_that_is_what_the_files_say(engine: Path, deployment: Deployment) -> None:
    """A healthy container with the files' own numbers gives no finding."""
    assert _found(engine, deployment) == []


def test_container_in_trouble(engine: Path, deployment: Deployment) -> None:
    """OOM-killed, restarted, unhealthy: each is said."""
    state = {"OOMKilled": True, "ExitCode": 137, "Health": {"Status": "unhealthy"}}
    assert _found(engine, deployment, state=state, restarts=3) == ["E908", "E909", "E910"]
    assert _found(engine, deployment, state={"Status": "exited", "ExitCode": 3}) == ["E910"]
    assert _found(engine, deployment, state={"Status": "exited"}) == []


def test_container_that_runs_something_else(engine: Path, deployment: Deployment) -> None:
    """Other numbers on the running command line, and another stop timeout, are compared with the files'."""
    args = ["--timeout", "30", "--bind", "0.0.0.0:8000", "app:app"]
    assert _found(engine, deployment, args=args) == ["E911"]
    [finding] = examine(ask_docker("site"), deployment)
    assert finding.message == "site-app-1 runs with timeout 30, the files say 120"
    assert str(finding.origin) == "compose.yaml:4"
    assert _found(engine, deployment, stop=10) == ["E911"]


def test_project_that_is_not_there(engine: Path) -> None:
    """Neither the project nor an engine: a message, no traceback."""
    assert engine.exists()
    with pytest.raises(UserError, match="no container of a Compose project of that name"):
        ask_docker("other")


def test_no_docker_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a docker command the option says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="the docker command is not installed here"):
        ask_docker("site")


def test_service_without_a_counterpart_in_the_files(deployment: Deployment) -> None:
    """A container of a service that the files do not have is only looked at by itself."""
    container = Container(
        name="x",
        service="other",
        status="running",
        health="",
        restarts=0,
        oom_killed=False,
        exit_code=0,
        argv=("gunicorn", "a:b"),
        environment={},
        stop_timeout=10,
    )
    assert examine([container], deployment) == []


def test_what_containers_say_is_found_like_the_rest(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment suppresses it, a baseline knows it, --ignore passes over it."""
    engine.write_text(json.dumps([_inspected(args=["--timeout", "30", "app:app"], restarts=2)]))
    asked = ("--docker", "site")
    report = judge(tmp_path, {"compose.yaml": _COMPOSE}, monkeypatch, ".", *asked)
    assert {"E909", "E911"} <= report.found()
    commented = _COMPOSE.replace("app:app\n", "app:app  # doctor: ignore[E911] tried by hand\n")
    assert "E911" not in judge(tmp_path, {"compose.yaml": commented}, monkeypatch, ".", *asked).found()
    assert not {"E909", "E911"} & judge(tmp_path, {}, monkeypatch, ".", "--ignore", "E", *asked).found()
    known = ("--write-baseline", "known.json")
    assert CliRunner().invoke(app, ["doctor", ".", *asked, *known]).exit_code == 0
    left = judge(tmp_path, {}, monkeypatch, ".", *asked, "--baseline", "known.json")
    assert left.found() == set()
