"""The numbers in the units and manifests are those that ``gunicorn_conf.py`` computes."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gunicorn_conf import ServerSettings
from no502.nginx.binary import check_configuration, find_nginx
from tests.support.template import bake, service_environment
from tests.template.conftest import UNUSUAL

each_timeout = pytest.mark.parametrize("seconds", [10, 11, 37, 38, 60, 180, 999, 3599, 86400])


def _ladder(seconds: int) -> ServerSettings:
    return ServerSettings(
        proxy_read_timeout=seconds, worker_class_override="gunicorn_handover.HandoverWorker", web_concurrency=1
    )


def _load(project: Path, name: str) -> Any:
    return yaml.safe_load((project / "deploy" / "kubernetes" / "base" / f"{name}.yaml").read_text(encoding="utf-8"))


@each_timeout
def test_units(tmp_path: Path, seconds: int) -> None:
    """TimeoutStopSec is the ladder's stop grace, Backlog its backlog, and the environment has the one number."""
    ladder = _ladder(seconds)
    units = bake(tmp_path, deploy="systemd", worker="yes", proxy_read_timeout=str(seconds)) / "deploy/systemd"
    for name in ("my-service.service", "my-service-worker.service"):
        service = (units / name).read_text(encoding="utf-8")
        assert re.findall(r"^TimeoutStopSec=(.*)$", service, re.MULTILINE) == [str(ladder.stop_grace)]
    assert f"Backlog={ladder.backlog}\n" in (units / "my-service.socket").read_text(encoding="utf-8")
    assert f"PROXY_READ_TIMEOUT={seconds}\n" in (units / "environment.example").read_text(encoding="utf-8")


@each_timeout
def test_manifests(tmp_path: Path, seconds: int) -> None:
    """Grace period, probes, progress deadline and the route's timeouts follow from the ladder."""
    ladder = _ladder(seconds)
    project = bake(tmp_path, deploy="kubernetes", worker="yes", proxy_read_timeout=str(seconds))
    worker = _load(project, "worker")["spec"]["template"]["spec"]
    assert worker["terminationGracePeriodSeconds"] == ladder.stop_grace
    spec = _load(project, "deployment")["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] == pause + ladder.graceful_timeout + 10 == pause + ladder.stop_grace
    live, startup = container["livenessProbe"], container["startupProbe"]
    assert ladder.timeout < live["periodSeconds"] * (live["failureThreshold"] - 1) <= ladder.timeout + 20
    assert ladder.timeout < startup["periodSeconds"] * startup["failureThreshold"] <= ladder.timeout + 2
    assert spec["progressDeadlineSeconds"] > startup["periodSeconds"] * startup["failureThreshold"]
    [rule] = _load(project, "httproute")["spec"]["rules"]
    total = 2 * ladder.proxy_connect_timeout + seconds + 1
    assert rule["timeouts"] == {"request": f"{total}s", "backendRequest": f"{seconds}s"}
    assert re.fullmatch(r"[0-9]{1,5}s", rule["timeouts"]["request"])  # the longest that the Gateway API takes
    [config] = _load(project, "kustomization")["configMapGenerator"]
    assert f"PROXY_READ_TIMEOUT={seconds}" in config["literals"]
    assert f"PROXY_KEEPALIVE_TIMEOUT={ladder.proxy_keepalive_timeout}" in config["literals"]
    assert f"PROXY_CONNECT_TIMEOUT={ladder.proxy_connect_timeout}" in config["literals"]


@each_timeout
def test_stack(tmp_path: Path, seconds: int) -> None:
    """stop_grace_period is the ladder's stop grace with the stack's delay, nginx's is that of compose.yaml."""
    project = bake(tmp_path, deploy="swarm", worker="yes", proxy_read_timeout=str(seconds))
    services = yaml.safe_load((project / "deploy" / "swarm" / "stack.yaml").read_text(encoding="utf-8"))["services"]
    delay = int(services["backend"]["environment"]["GUNICORN_STOP_DELAY"].partition(":-")[2].rstrip("}"))
    ladder = _ladder(seconds)
    assert services["backend"]["stop_grace_period"] == f"{delay + ladder.stop_grace}s"
    assert services["nginx"]["stop_grace_period"] == f"{ladder.stop_grace}s"
    assert services["worker"]["stop_grace_period"] == f"{ladder.stop_grace}s"


def test_no_pod_is_missing_during_an_update(tmp_path: Path) -> None:
    """A new pod comes first, each has a time to leave, and nothing may take the last one."""
    project = bake(tmp_path, deploy="kubernetes")
    deployment = _load(project, "deployment")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in deployment
    assert _load(project, "autoscaler")["spec"]["minReplicas"] > _load(project, "disruption")["spec"]["maxUnavailable"]


@pytest.mark.parametrize("database", ["none", "postgresql"])
def test_pods_meet_the_restricted_standard(tmp_path: Path, database: str) -> None:
    """Every pod does what the "restricted" Pod Security Standard asks for, and cannot talk to the API server."""
    project = bake(tmp_path, deploy="kubernetes", database=database)
    names = ["deployment", *(["migration"] if database == "postgresql" else [])]
    for pod in (_load(project, name)["spec"]["template"]["spec"] for name in names):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def _own_tests(project: Path, target: str) -> subprocess.CompletedProcess[str]:
    """Run the tests that the service has for its target, with this interpreter."""
    options = ["-q", "-p", "no:cacheprovider", "--noconftest"]
    command = [sys.executable, "-m", "pytest", *options, f"tests/test_{target}.py"]
    return subprocess.run(
        command,
        cwd=project,
        env=service_environment(project.parent / "tmp"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("target", ["systemd", "swarm", "kubernetes"])
def test_the_service_checks_its_own_numbers(tmp_path: Path, target: str) -> None:
    """Its tests pass as it was generated; a changed PROXY_READ_TIMEOUT alone makes them say what to write where."""
    project = bake(tmp_path, **UNUSUAL, deploy=target)
    done = _own_tests(project, target)
    assert done.returncode == 0, done.stdout
    names = {"systemd": "deploy/systemd/environment.example", "swarm": ".env"}
    file = project / names.get(target, "deploy/kubernetes/base/kustomization.yaml")
    file.write_text(file.read_text(encoding="utf-8").replace("TIMEOUT=10\n", "TIMEOUT=300\n"), encoding="utf-8")
    ladder = _ladder(300)
    done = _own_tests(project, target)
    assert done.returncode == 1
    says = {
        "systemd": [f"set TimeoutStopSec to {ladder.stop_grace}"],
        "swarm": [f"set stop_grace_period of backend to {ladder.stop_grace + 6}s"],
        "kubernetes": [
            f"set terminationGracePeriodSeconds to {ladder.stop_grace + 10}",
            "set failureThreshold of livenessProbe to 22",
            "set failureThreshold of startupProbe to 101",
            "set request to 305s and backendRequest to 300s",
        ],
    }
    assert [text for text in says[target] if text not in done.stdout] == []


@pytest.mark.parametrize("target", ["systemd", "swarm", "kubernetes"])
@pytest.mark.parametrize("tool", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy", "tests"]])
def test_its_tests_are_clean(tmp_path: Path, target: str, tool: list[str]) -> None:
    """What the service has for its target passes its own lint, format and types."""
    project = bake(tmp_path, **UNUSUAL, deploy=target)
    name = f"tests/test_{target}.py"
    command = [sys.executable, "-m", tool[0], *tool[1:]] if tool[0] == "ruff" else [sys.executable, "-m", "mypy"]
    done = subprocess.run([*command, name], cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_nginx_takes_what_the_host_gets(tmp_path: Path) -> None:
    """What write-nginx writes from the example is a configuration that nginx loads, with one local socket behind it."""
    project, out = bake(tmp_path, **UNUSUAL, deploy="systemd"), tmp_path / "nginx"
    units = project / "deploy" / "systemd"
    for _ in range(2):  # again, over what is there
        command = ["sh", str(units / "write-nginx"), str(out), str(units / "environment.example")]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    own = out / project.name / "conf.d"
    upstream = (own / "upstream.conf").read_text(encoding="utf-8")
    assert f"server unix:/run/{project.name}/gunicorn.sock max_fails=1 fail_timeout=1s;" in upstream
    assert "proxy_read_timeout 10s;" in (own / "app" / "numbers.conf").read_text(encoding="utf-8")
    for directory in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):  # an ordinary user's nginx has no other
        with (out / "conf.d" / "test.conf").open("a", encoding="utf-8") as file:
            file.write(f"{directory}_temp_path {out}/{directory};\n")
    check_configuration(find_nginx(None), ["-p", str(out), "-c", "nginx.conf", "-e", "stderr", "-g", f"pid {out}/pid;"])
