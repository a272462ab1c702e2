"""ops/deploy: a new version without a lost request, and what is left when it goes wrong."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.stack import DEADLINE, DEPLOY_STEPS, Stack, docker
from tests.support.load import Load
from tests.support.polling import wait_until
from tests.support.recorded import record

_BY_NAME = ["server backend:8000 resolve max_fails=1 fail_timeout=1s;"]
_DEPLOYMENTS = 10


def _recorded(case: str, load: Load) -> None:
    version = docker("version", "--format", "{{.Server.Version}}").strip()
    record("compose", case, sent=load.sent, lost=sum(load.failures.values()), docker=version)


@pytest.fixture(name="broken")
def _broken(stack: Stack) -> Iterator[Path]:
    """The service with a version that does not start."""
    main = stack.directory / "app" / "main.py"
    good = main.read_text(encoding="utf-8")
    main.write_text(good + '\nraise RuntimeError("this version is broken")\n', encoding="utf-8")
    yield main
    main.write_text(good, encoding="utf-8")


def test_no_request_is_lost_in_ten_deployments(stack: Stack) -> None:
    """200 POST/s all the time: none fails, every container is a new one, and nginx has the name again."""
    seen = set(stack.containers("backend"))
    with Load(stack.port) as load:
        wait_until(lambda: load.answered > 200, seconds=DEADLINE, what="answers")
        for _ in range(_DEPLOYMENTS):
            done = stack.deploy("--no-build")
            assert done.returncode == 0, f"{done.stdout}{load}"
            assert stack.container("backend") not in seen
            seen.add(stack.container("backend"))
            assert stack.upstream() == _BY_NAME
    _recorded("ten deployments", load)
    assert not load.failures, str(load)


def test_two_replicas_are_replaced_without_a_loss_either(stack: Stack) -> None:
    """From one to two, two by two, and back to one."""
    with Load(stack.port) as load:
        for replicas in (2, 2, 1):
            before = set(stack.containers("backend"))
            done = stack.deploy("--no-build", "--replicas", str(replicas))
            assert done.returncode == 0, f"{done.stdout}{load}"
            after = set(stack.containers("backend"))
            assert len(after) == replicas
            assert not before & after
    _recorded("from one replica to two, two by two, and back to one", load)
    assert not load.failures, str(load)


def test_a_version_that_does_not_start_is_taken_back(stack: Stack, broken: Path) -> None:
    """The previous version keeps serving without a loss, its image is back in place, and the exit code is 1."""
    old = stack.container("backend")
    image = stack.inspect(old)["Image"]
    with Load(stack.port) as load:
        done = stack.deploy("--ready-seconds", "15")
        assert done.returncode == 1, f"{broken}: {done.stdout}"
    _recorded("a version that does not start", load)
    assert not load.failures, str(load)
    assert "this version is broken" in done.stdout
    assert "the previous version keeps serving" in done.stdout
    assert stack.container("backend") == old
    assert stack.upstream() == _BY_NAME
    stack.compose("up", "--detach", "--no-build", "--wait")
    assert stack.inspect(stack.container("backend"))["Image"] == image


@pytest.mark.parametrize("step", [step.replace("$", "1 ") for step in DEPLOY_STEPS])
def test_a_deployment_that_is_killed_can_be_run_again(stack: Stack, step: str) -> None:
    """Killed at any step it leaves a site that loses nothing, and the next run puts everything right."""
    with Load(stack.port) as load:
        with stack.start("ops/deploy", "--no-build") as killed:
            assert killed.stdout is not None
            said = ""
            while step not in said and (line := killed.stdout.readline()):
                said += line
            assert step in said
        wait_until(lambda: load.answered > 200, seconds=DEADLINE, what="answers after the kill")

        def again() -> subprocess.CompletedProcess[str] | None:
            done = stack.deploy("--no-build")
            return None if "another deployment" in done.stdout else done  # what the killed one had started goes on

        done = wait_until(again, seconds=DEADLINE, what="the end of the killed deployment's commands")
        assert done is not None
        assert done.returncode == 0, done.stdout
    _recorded(f"a deployment that is killed at: {step}", load)
    assert not load.failures, str(load)
    assert len(stack.containers("backend")) == 1
    assert stack.upstream() == _BY_NAME


def test_one_deployment_at_a_time(stack: Stack) -> None:
    """A second one does not begin and changes nothing."""
    with stack.start("ops/deploy", "--no-build") as first:
        assert first.stdout is not None
        assert any("starting" in line for line in first.stdout)
        done = stack.deploy("--no-build")
        first.communicate(timeout=300)
    assert done.returncode == 2
    assert first.returncode == 0
    assert "another deployment of this project is under way" in done.stdout


@pytest.mark.parametrize("options", [["--what"], ["--replicas"], ["--replicas", "0"], ["--ready-seconds", "soon"]])
def test_wrong_usage_changes_nothing(stack: Stack, options: list[str]) -> None:
    """Exit code 2, before anything is looked at."""
    old = stack.container("backend")
    assert stack.deploy(*options).returncode == 2
    assert stack.container("backend") == old
