"""Each proxy, started with the configuration that ``no502 explain --proxy`` prints.

Nothing here is collected by a plain ``pytest``: scripts/proxies-test installs the programs first.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from _proxies import OtherProxy

from no502.ladder.proxies import Numbers, Proxy

collect_ignore_glob = [] if os.environ.get("NO502_PROXY_TESTS") else ["test_*.py"]

Starter = Callable[..., int]
"""Starts the proxy in front of a port, with ``read`` and ``idle`` seconds; returns its own port."""


@pytest.fixture(name="proxy", params=list(Proxy))
def _proxy(request: pytest.FixtureRequest) -> Proxy:
    """Each proxy."""
    proxy: Proxy = request.param
    return proxy


@pytest.fixture(name="start")
def _start(proxy: Proxy, tmp_path: Path) -> Iterator[Starter]:
    """A function that starts the proxy."""
    with ExitStack() as stack:

        def start(port: int, *, read: int = 10, idle: int = 15) -> int:
            programs = os.environ["NO502_PROXY_TESTS"]
            numbers = Numbers(read=read, idle=idle, connect=2, port=port)
            other = OtherProxy(proxy, numbers, tmp_path / "proxy", directories=programs)
            return stack.enter_context(other).port

        yield start
