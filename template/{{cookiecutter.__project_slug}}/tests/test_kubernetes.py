"""The manifests of this deployment: their times are the ladder's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gunicorn_conf import ServerSettings

_BASE = Path(__file__).resolve().parent.parent / "deploy" / "kubernetes" / "base"


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((_BASE / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(name="ladder", scope="module")
def _ladder(tmp_path_factory: pytest.TempPathFactory) -> ServerSettings:
    """Return the numbers that the ConfigMap gives."""
    [config] = _load("kustomization")["configMapGenerator"]
    file = tmp_path_factory.mktemp("config") / "env"
    file.write_text("\n".join(config["literals"]), encoding="utf-8")
    return ServerSettings(_env_file=file)


@pytest.fixture(name="pod", scope="module")
def _pod() -> Mapping[str, Any]:
    """Return the pod of the Deployment."""
    pod: Mapping[str, Any] = _load("deployment")["spec"]["template"]["spec"]
    return pod


@pytest.fixture(name="container", scope="module")
def _container(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return its only container."""
    [container] = pod["containers"]
    only: Mapping[str, Any] = container
    return only


def _seconds(probe: Mapping[str, Any]) -> int:
    """Return for how long a probe may fail at most before the kubelet acts."""
    seconds: int = probe["periodSeconds"] * probe["failureThreshold"]
    return seconds


def test_the_kubelet_waits_as_long_as_the_ladder_says(
    ladder: ServerSettings, pod: Mapping[str, Any], container: Mapping[str, Any]
) -> None:
    """The grace period is preStop, which counts, and the ladder's stop grace."""
    grace = container["lifecycle"]["preStop"]["sleep"]["seconds"] + ladder.stop_grace
    assert pod["terminationGracePeriodSeconds"] == grace, (
        f"deployment.yaml: set terminationGracePeriodSeconds to {grace}, or PROXY_READ_TIMEOUT back"
    )


def test_gunicorn_repairs_itself_before_the_kubelet_restarts_the_pod(
    ladder: ServerSettings, container: Mapping[str, Any]
) -> None:
    """A blocked worker is gunicorn's to kill: the liveness probe waits longer, and not for ever."""
    probe = container["livenessProbe"]
    assert ladder.timeout < _seconds(probe) - probe["periodSeconds"] <= ladder.timeout + 20, (
        f"deployment.yaml: set failureThreshold of livenessProbe to {(ladder.timeout + 9) // 10 + 2}"
    )


def test_a_pod_may_take_as_long_to_start_as_gunicorn_allows(
    ladder: ServerSettings, container: Mapping[str, Any]
) -> None:
    """A worker that does not start is gunicorn's to kill, too; the Deployment waits longer still."""
    startup = _seconds(container["startupProbe"])
    assert ladder.timeout < startup <= ladder.timeout + 10, (
        f"deployment.yaml: set failureThreshold of startupProbe to {ladder.timeout // 2 + 1}"
    )
    assert _load("deployment")["spec"]["progressDeadlineSeconds"] > startup


def test_the_gateway_waits_as_long_as_the_ladder_says(ladder: ServerSettings) -> None:
    """One try is the ladder's proxy timeout; all of them leave room for a retry of the connection."""
    [rule] = _load("httproute")["spec"]["rules"]
    one = ladder.proxy_read_timeout
    every = one + 2 * ladder.proxy_connect_timeout + 1
    assert rule["timeouts"] == {"request": f"{every}s", "backendRequest": f"{one}s"}, (
        f"httproute.yaml: set request to {every}s and backendRequest to {one}s, or PROXY_READ_TIMEOUT back"
    )


def test_the_port_is_the_one_that_gunicorn_binds(ladder: ServerSettings, container: Mapping[str, Any]) -> None:
    """The container's port, which Service, probes and policy name, is that of GUNICORN_BIND."""
    [port] = container["ports"]
    assert ladder.bind == [f"0.0.0.0:{port['containerPort']}"]
