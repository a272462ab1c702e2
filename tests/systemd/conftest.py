"""One generated service on one booted host: installed by the commands of its own README.

Nothing here is collected by a plain ``pytest``: scripts/systemd-test sees to root and mmdebstrap first.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.directories import public_directory
from tests.support.template import bake
from tests.systemd.host import Host, copy_of_debian

NAME = "my-service"

_PROBE = Path(__file__).with_name("probe.py")
_ADDED = "\nfrom app import probe\n\nrouter.include_router(probe.router)\n"

collect_ignore_glob = [] if os.environ.get("NO502_SYSTEMD_TESTS") else ["test_*.py"]


def commands_of(readme: str) -> list[str]:
    """Return the commands of the README's section on systemd, in their order, without their comments."""
    section = re.search(r"## Deploy with systemd\n(.*?)\n## ", readme, re.DOTALL)
    assert section, "the README has no section on systemd"
    block = re.search(r"```sh\n(.*?)```", section[1], re.DOTALL)
    assert block, "the section has no commands"
    joined = block[1].replace("\\\n", " ")
    return [line for raw in joined.splitlines() if (line := re.sub(r"\s+#.*", "", raw).strip())]


@pytest.fixture(name="host", scope="session")
def _host() -> Iterator[Host]:
    """The host, with the service running behind Debian's nginx as the README says."""
    with public_directory() as directory:
        service = bake(directory / "bake", deploy="systemd")
        example = service / "app" / "example.py"
        example.write_text(example.read_text(encoding="utf-8") + _ADDED, encoding="utf-8")
        shutil.copy(_PROBE, service / "app" / "probe.py")
        root = copy_of_debian(directory / "host", suite=os.environ.get("NO502_SYSTEMD_SUITE", "bookworm"))
        with (root / "etc" / "hosts").open("a", encoding="utf-8") as hosts:
            hosts.write("127.0.0.1 example.com\n")
        for directory_of_others, mode in (("srv/open", 0o777), ("home/resident", 0o755)):
            (root / directory_of_others).mkdir(parents=True)
            (root / directory_of_others).chmod(mode)
        (root / "opt" / NAME).mkdir()
        subprocess.run(["cp", "-a", f"{service}/.", str(root / "opt" / NAME)], check=True)
        commands = [line for line in commands_of((service / "README.md").read_text()) if "git archive" not in line]
        first = next(index for index, line in enumerate(commands) if "pip install" in line) + 1
        host = Host(root)
        place = f"cd /opt/{NAME}\n"
        host.before_boot(place + "\n".join(commands[:first]))  # pip needs this machine's network
        with host:
            host.installed = host.sh(place + "\n".join(commands[first:]))
            yield host


@pytest.fixture(name="second_host")
def _second_host(host: Host) -> Iterator[Host]:
    """Another host with the same files, booted: what was enabled runs."""
    with public_directory() as directory:
        subprocess.run(
            ["cp", "-a", "--reflink=auto", str(host.root), str(directory / "second")], check=True, timeout=300
        )
        with Host(directory / "second") as second:
            yield second


@pytest.fixture(name="project")
def _project(host: Host) -> Path:
    """The service's directory, seen from here."""
    return host.root / "opt" / NAME
