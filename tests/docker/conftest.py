"""One generated service, built and started once; every test leaves it healthy.

Nothing here is collected by a plain ``pytest``: scripts/docker-test sees to the engine and the images first.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.stack import Stack
from tests.support.template import bake

collect_ignore_glob = [] if os.environ.get("NO502_DOCKER_TESTS") else ["test_*.py"]
if not os.environ.get("NO502_DOCKER_POSTGRES"):
    collect_ignore_glob.append("test_postgresql.py")

# A POST that takes as long as the caller wants, and says in the log that it has arrived.
_ROUTES = '''

@router.post("/slow", status_code=201)
async def slow(seconds: float) -> dict[str, float]:
    """Answer late."""
    print("slow request", flush=True)
    await asyncio.sleep(seconds)
    return {"seconds": seconds}
'''


def generated(directory: Path, **answers: str) -> Path:
    """Generate a service with a slow route."""
    project = bake(directory, **answers)
    example = project / "app" / "example.py"
    example.write_text(example.read_text(encoding="utf-8") + _ROUTES, encoding="utf-8")
    return project


def free_subnet() -> str:
    """Return a small network that this host has no address in."""
    for third in range(100, 250):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((f"172.30.{third}.2", 9))
            if not probe.getsockname()[0].startswith(f"172.30.{third}."):
                return f"172.30.{third}.0/28"
    message = "no free network"
    raise AssertionError(message)


@pytest.fixture(name="stack", scope="session")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The service from the default answers, healthy."""
    project = generated(tmp_path_factory.mktemp("docker"))
    with Stack(project, subnet=free_subnet()) as stack:
        stack.compose("build", "--quiet")
        stack.compose("up", "--detach", "--wait")
        yield stack
