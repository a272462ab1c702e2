"""One cluster with one generated service behind Envoy; every test leaves two ready pods.

Nothing here is collected by a plain ``pytest``: scripts/kubernetes-test makes the engine and the namespace first.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.conftest import generated
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.database import postgresql
from tests.kubernetes.gateway import Gateway, post
from tests.kubernetes.service import NAME, Service
from tests.support.directories import public_directory
from tests.support.polling import wait_until

collect_ignore_glob = [] if os.environ.get("NO502_KUBERNETES") else ["test_*.py"]

_NODE = "10.199.0.2"

# Memory that grows until the container's limit, and a check that fails on one pod.
_ROUTES = '''

@router.post("/grow", status_code=201)
async def grow(mebibytes: int) -> None:
    """Take memory and keep it."""
    _kept.append(bytearray(mebibytes * 2**20))


_kept: list[bytearray] = []
'''
_CHECK = """

import os


async def _switched_on() -> None:
    if os.path.exists("/tmp/not-ready"):
        raise RuntimeError("switched off")


app.state.health.add(asgi.Check(name="switch", probe=_switched_on))
"""


@pytest.fixture(name="cluster", scope="session")
def _cluster() -> Iterator[Cluster]:
    """A node that is ready."""
    directory, servers = Path(os.environ["NO502_KUBERNETES"]), Path(os.environ["NO502_KUBERNETES_SERVERS"])
    with Cluster(directory, servers, os.environ["NO502_PYTHON_IMAGE"]) as cluster:
        yield cluster


@pytest.fixture(name="service", scope="session")
def _service(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Version 0.1.0 of the service, migrated and rolled out by the commands of its README."""
    top = tmp_path_factory.mktemp("kubernetes")
    project = generated(top, deploy="kubernetes", database="postgresql")
    example = project / "app" / "example.py"
    example.write_text(example.read_text(encoding="utf-8") + _ROUTES, encoding="utf-8")
    service = Service(cluster, project)
    service.build("0.1.0", extra=_CHECK)
    service.build("0.2.0", extra=f"{_CHECK}\n# the next version")
    with public_directory() as outside, postgresql(outside / "postgresql", _NODE, "a-password-of-the-test") as url:
        cluster.kubectl("create", "namespace", NAME)
        service.kubectl("create", "secret", "generic", f"{NAME}-database", f"--from-literal=DATABASE_URL={url}")
        service.apply("--selector", "app.kubernetes.io/component=migration")
        service.kubectl("wait", "--for=condition=complete", "--timeout=3m", "job/migration")
        service.apply()
        service.rolled_out()
        wait_until(lambda: len(service.pods()) == 2, what="the autoscaler's two pods", seconds=120)
        service.rolled_out()
        yield service


@pytest.fixture(name="gateway", scope="session")
def _gateway(cluster: Cluster, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Envoy in front of the pods."""
    with Gateway(cluster, NAME, tmp_path_factory.mktemp("gateway")) as gateway:
        wait_until(lambda: len(gateway.addresses) == len(service.pods()), what="the pods' addresses")
        wait_until(lambda: post(gateway.port, "/api/slow?seconds=0") == 201, what="an answer through Envoy")
        yield gateway
