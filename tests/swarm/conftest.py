"""One generated stack, deployed once by the commands of its own README; every test leaves it healthy.

Nothing here is collected by a plain ``pytest``: scripts/swarm-test makes the swarm first.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.conftest import generated
from tests.swarm.stack import Stack

NAME = "my-service"

collect_ignore_glob = [] if os.environ.get("NO502_SWARM") else ["test_*.py"]


def commands_of(readme: str) -> list[str]:
    """Return the commands of the README's section on Swarm, in their order, without their comments."""
    section = re.search(r"## Deploy with Docker Swarm\n(.*?)\n## ", f"{readme}\n## ", re.DOTALL)
    assert section, "the README has no section on Swarm"
    block = re.search(r"```sh\n(.*?)```", section[1], re.DOTALL)
    assert block, "the section has no commands"
    return [line for raw in block[1].splitlines() if (line := re.sub(r"\s+#.*", "", raw).strip())]


@pytest.fixture(name="stack", scope="session")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, with version 1.0.0 of the service, behind nginx."""
    project: Path = generated(tmp_path_factory.mktemp("swarm"), deploy="swarm")
    commands = commands_of((project / "README.md").read_text(encoding="utf-8"))
    with Stack(project, NAME, os.environ["NO502_SWARM"], commands) as stack:
        stack.build("1.0.0")
        stack.deployed = stack.deploy("1.0.0")
        yield stack
