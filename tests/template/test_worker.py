"""The background worker of a generated service, killed, stopped and blocked for real."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.polling import wait_until
from tests.support.processes import Running
from tests.support.template import bake, service_environment

_SECONDS = 60.0


@pytest.mark.parametrize("deploy", ["compose", "systemd"])
def test_its_own_tests_pass(tmp_path: Path, deploy: str) -> None:
    """They kill, stop and block it, and end it in the middle of a job; nothing is skipped."""
    project = bake(tmp_path, worker="yes", deploy=deploy)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_worker.py"]
    environment = service_environment(tmp_path / "tmp")
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def test_the_containers_health_check_judges_the_process_that_compose_starts(tmp_path: Path) -> None:
    """The command of compose.yaml: healthy with its check's own age, not when it is stopped, again when it goes on."""
    project = bake(tmp_path, worker="yes")
    worker = yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))["services"]["worker"]
    assert worker["healthcheck"]["test"] == ["CMD", "python", "-I", "-S", "/srv/heartbeat.py", "30"]
    assert "COPY gunicorn_arbiter.py gunicorn_conf.py gunicorn_handover.py ops/healthcheck.py ops/heartbeat.py ./" in (
        project / "Dockerfile"
    ).read_text(encoding="utf-8")
    environment = service_environment(
        tmp_path / "tmp", APP_WORKER_INTERVAL="0.2", WORKER_HEARTBEAT=str(tmp_path / "heartbeat")
    )

    def healthy(seconds: str) -> bool:
        check = [sys.executable, "-I", "-S", str(project / "ops" / "heartbeat.py"), seconds]
        return subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0

    command = [sys.executable, *worker["command"][1:]]
    with Running(command, cwd=project, env=environment, stop_seconds=10) as running:
        wait_until(lambda: healthy("30"), seconds=_SECONDS, what="a heartbeat")
        running.send_signal(signal.SIGSTOP)
        wait_until(lambda: not healthy("3"), seconds=_SECONDS, what="an old heartbeat")
        running.send_signal(signal.SIGCONT)
        wait_until(lambda: healthy("3"), seconds=_SECONDS, what="heartbeats again")
        running.terminate()
        assert running.wait(_SECONDS) == 0
        lines = [json.loads(line) for line in running.output().splitlines()]
    assert lines[0]["message"] == "worker started"
    assert lines[-1]["message"] == "worker stopped"
    assert "job done" in {line["message"] for line in lines}
