"""Versions that replace each other in a swarm of two replicas, under load."""

import http.client
import threading

import pytest

from tests.support.load import Load
from tests.support.polling import wait_until
from tests.support.recorded import record
from tests.swarm.stack import DEADLINE, Stack

_RATE = 200.0


def _built(stack: Stack, version: str, lines: str) -> str:
    """Build a version of the service whose main module has some more lines, and return its name."""
    main = stack.directory / "app" / "main.py"
    good = main.read_text(encoding="utf-8")
    main.write_text(good + lines, encoding="utf-8")
    stack.build(version)
    main.write_text(good, encoding="utf-8")
    return version


@pytest.fixture(name="next_version", scope="session")
def _next_version(stack: Stack) -> str:
    """A second version: another file in the image."""
    return _built(stack, "2.0.0", "\n# the next version\n")


@pytest.fixture(name="broken_version", scope="session")
def _broken_version(stack: Stack) -> str:
    """A version that does not start."""
    return _built(stack, "3.0.0", '\nraise RuntimeError("this version is broken")\n')


def test_the_commands_of_the_readme_end_with_an_answer(stack: Stack) -> None:
    """The last command is a curl through nginx, and it prints that the service is ready."""
    assert '{"status":"ready"}' in stack.deployed


def test_nginx_sees_every_task_by_its_own_address(stack: Stack) -> None:
    """The name of the service has as many addresses as there are tasks, not one virtual address."""
    [nginx] = stack.containers("nginx")
    found = stack.docker("exec", nginx, "getent", "ahostsv4", "backend").split()
    assert len({word for word in found if word.count(".") == 3}) == 2


def test_a_new_version_and_back_lose_nothing(stack: Stack, next_version: str) -> None:
    """200 POST/s: an update to the next version and the rollback replace every task, and no request fails."""
    before = stack.tasks()
    with Load(stack.port, rate=_RATE) as load:
        wait_until(lambda: load.answered > 200, seconds=DEADLINE, what="answers")
        stack.deploy(next_version)
        between = stack.tasks()
        assert stack.service(".UpdateStatus.State") == "completed"
        assert not before & between
        stack.docker("service", "rollback", "--detach=false", f"{stack.name}_backend")
        after = stack.tasks()
        assert not between & after
    record(
        "swarm", "an update and its rollback", sent=load.sent, lost=sum(load.failures.values()), docker=stack.engine()
    )
    assert not load.failures, str(load)
    assert load.answered > 1000


def test_a_version_that_does_not_start_is_taken_back(stack: Stack, broken_version: str) -> None:
    """Swarm rolls back by itself, the previous tasks go on, and no request fails."""
    before = stack.tasks()
    good = stack.service(".Spec.TaskTemplate.ContainerSpec.Image")
    with Load(stack.port, rate=_RATE) as load:
        wait_until(lambda: load.answered > 200, seconds=DEADLINE, what="answers")
        stack.docker(
            "service",
            "update",
            "--detach",
            "--no-resolve-image",
            "--image",
            stack.images(broken_version)["BACKEND_IMAGE"],
            f"{stack.name}_backend",
        )
        wait_until(
            lambda: stack.service(".UpdateStatus.State") == "rollback_completed", seconds=DEADLINE, what="the rollback"
        )
    lost = sum(load.failures.values())
    record("swarm", "a version that does not start", sent=load.sent, lost=lost, docker=stack.engine())
    assert not load.failures, str(load)
    assert stack.service(".Spec.TaskTemplate.ContainerSpec.Image") == good
    assert len(before & stack.tasks()) >= 1


def test_a_long_request_outlives_its_task(stack: Stack) -> None:
    """A POST of 12 s that runs when its task is told to stop gets its answer."""
    statuses: list[int] = []

    def post() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=60)
        connection.request("POST", "/api/slow?seconds=12", headers={"Host": "localhost"})
        statuses.append(connection.getresponse().status)
        connection.close()

    clients = [threading.Thread(target=post) for _ in range(6)]
    for client in clients:
        client.start()
    wait_until(
        lambda: "".join(map(stack.log, stack.containers("backend"))).count("slow request") >= len(clients),
        seconds=DEADLINE,
        what="the requests",
    )
    before = stack.tasks()
    stack.docker("service", "update", "--force", "--detach=false", f"{stack.name}_backend")
    assert not before & stack.tasks()
    for client in clients:
        client.join(60)
    assert statuses == [201] * len(clients)
