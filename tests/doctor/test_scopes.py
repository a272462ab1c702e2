"""What rules are asked about: each subject once, in the order of the files."""

from no502.doctor.model import Address, ServiceKind
from no502.doctor.scopes import Process, Proxied, Target, subjects
from tests.doctor.build import app, deployment, nginx, service

HERE = Address(host="127.0.0.1", port=8000)


def test_an_address_is_one_target_for_each_nginx() -> None:
    """Two peers with one address count once; the server that answers is known."""
    server = app()
    found = list(subjects(deployment(nginx(HERE, HERE), nginx(HERE), server), Target))
    assert [str(one.address) for one in found] == ["127.0.0.1:8000"] * 2
    assert [one.server for one in found] == [server] * 2


def test_a_command_line_is_one_process_for_each_kind_and_grace() -> None:
    """Services that share it are named together; another kind, or another time to stop, is another process."""
    run = [("a", ServiceKind.COMPOSE, 10), ("b", ServiceKind.COMPOSE, 10), ("c", ServiceKind.COMPOSE, 40)]
    run += [("d", ServiceKind.KUBERNETES, 10)]
    parts = [service(name, kind, stop_grace=grace) for name, kind, grace in run]
    found = list(subjects(deployment(*parts, *(app(service=name) for name, _, _ in run)), Process))
    assert [(one.service.name, one.names) for one in found] == [("a", "a, b, c"), ("c", "a, b, c"), ("d", "d")]


def test_a_server_that_reloads_itself_is_no_process_to_stop() -> None:
    """``--reload`` is for development, and a server that nothing runs has no time to stop."""
    found = subjects(deployment(service("a"), app(service="a", reload=True), app()), Process)
    assert list(found) == []


def test_a_service_behind_two_nginx_is_one() -> None:
    """With what runs them."""
    parts = [service(name, ServiceKind.SYSTEMD) for name in ("web", "edge", "shop")]
    given = deployment(*parts, nginx(HERE, service="web"), nginx(HERE, service="edge"), app(service="shop"))
    (found,) = subjects(given, Proxied)
    assert found.service.name == "shop"
    assert [one.name for one in found.fronts] == ["web", "edge"]
