"""compose.yaml and Dockerfile: built, started, moved, killed and stopped."""

import os
import threading

from tests.docker.stack import DEADLINE, PROJECT, Stack, docker
from tests.support.load import Load
from tests.support.polling import wait_until


def test_it_is_healthy_and_answers_through_nginx_only(stack: Stack) -> None:
    """Both containers are healthy, a POST is answered, and the service itself publishes no port."""
    assert {service: stack.health(stack.container(service)) for service in ("backend", "nginx")} == {
        "backend": "healthy",
        "nginx": "healthy",
    }
    assert stack.post() == 201
    assert not stack.inspect(stack.container("backend"))["HostConfig"]["PortBindings"]


def test_nothing_of_the_service_runs_as_root(stack: Stack) -> None:
    """gunicorn has an ordinary user and no capability; nginx's workers are not root; both are read-only."""
    backend = stack.container("backend")
    users = [line.split()[1] for line in docker("top", backend, "-eo", "pid,uid").splitlines()[1:]]
    assert len(users) >= 2
    assert set(users) == {"10001"}
    status = docker("exec", backend, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    workers = [
        line.split(maxsplit=2)[1]
        for line in docker("top", stack.container("nginx"), "-eo", "pid,uid,args").splitlines()[1:]
        if "worker process" in line
    ]
    assert workers
    assert "0" not in workers
    for service in ("backend", "nginx"):
        assert stack.inspect(stack.container(service))["HostConfig"]["ReadonlyRootfs"]


def test_the_image_has_no_compiler_and_no_secrets(stack: Stack) -> None:
    """Neither gcc nor .env nor tests are in it."""
    script = "command -v gcc cc make git; ls -A /srv; exit 0"
    found = docker("exec", stack.container("backend"), "sh", "-c", script).split()
    assert not {"gcc", "cc", "make", "git"} & {line.rsplit("/", 1)[-1] for line in found}
    assert not {".env", "tests", "Dockerfile"} & set(found)


def test_the_number_of_workers_follows_the_cpu_limit(stack: Stack) -> None:
    """One worker where one CPU is allowed; the limit is the container's, not the machine's."""
    unlimited = stack.workers()
    stack.compose("up", "--detach", "--wait", BACKEND_CPUS="0.5", BACKEND_MEMORY="512m")
    assert stack.workers() == 1
    assert stack.inspect(stack.container("backend"))["HostConfig"]["Memory"] == 512 * 2**20
    stack.compose("up", "--detach", "--wait")
    assert stack.workers() == unlimited


def test_logs_are_rotated(stack: Stack) -> None:
    """No container's log grows without a limit."""
    for service in ("backend", "nginx"):
        config = stack.inspect(stack.container(service))["HostConfig"]["LogConfig"]
        assert config["Type"] == "local"
        assert {"max-size", "max-file"} <= set(config["Config"])


def test_a_new_address_is_found_without_a_reload(stack: Stack) -> None:
    """Something else takes the address while the service is away: nginx goes to the new one by itself."""
    old = stack.container("backend")
    address = stack.address(old)
    stack.compose("rm", "--stop", "--force", "backend")
    squatter = docker(
        *("run", "--detach", "--rm", "--network", f"{PROJECT}_default", "--ip", address),
        *("--label", f"com.docker.compose.project={PROJECT}", os.environ["NO502_PYTHON_IMAGE"], "sleep", "600"),
    ).strip()
    try:
        stack.compose("up", "--detach", "--no-deps", "--wait", "backend")
        assert stack.address(stack.container("backend")) != address
        stack.wait_until_served()
        wait_until(lambda: all(stack.post() == 201 for _ in range(20)), seconds=DEADLINE, what="only good answers")
    finally:
        docker("rm", "--force", squatter)


def test_a_forced_recreation_under_load_recovers(stack: Stack) -> None:
    """One container that is replaced by ``up --force-recreate`` fails for a moment, and then no more."""
    with Load(stack.port) as load:
        wait_until(lambda: load.answered > 200, seconds=DEADLINE, what="answers")
        stack.compose("up", "--detach", "--no-deps", "--force-recreate", "--wait", "backend")
        stack.wait_until_served()
        wait_until(lambda: all(stack.post() == 201 for _ in range(20)), seconds=DEADLINE, what="only good answers")
        lost, answered = sum(load.failures.values()), load.answered
        wait_until(lambda: load.answered > answered + 400, seconds=DEADLINE, what="more answers")
        assert sum(load.failures.values()) <= lost + 20, str(load)  # each client may have had one under way


def test_a_killed_service_is_started_again(stack: Stack) -> None:
    """A worker that is killed is replaced by gunicorn, a master that is killed by Docker."""
    backend = stack.container("backend")
    lines = docker("top", backend, "-eo", "pid,ppid").splitlines()[1:]
    master = stack.inspect(backend)["State"]["Pid"]
    worker = next(pid for pid, parent in map(str.split, lines) if int(parent) == master)
    stack.kill(int(worker))
    stack.wait_until_served()
    restarts = stack.inspect(backend)["RestartCount"]
    assert restarts == 0
    stack.kill(master)
    wait_until(lambda: stack.inspect(backend)["RestartCount"] > restarts, seconds=DEADLINE, what="a restart")
    wait_until(lambda: stack.health(backend) == "healthy", seconds=DEADLINE, what="health")
    stack.wait_until_served()


def test_a_stop_finishes_the_request_in_flight(stack: Stack) -> None:
    """``compose stop`` waits for a slow POST, ends with 0 and is not cut short; the grace is the ladder's."""
    backend = stack.container("backend")
    status: list[int] = []
    client = threading.Thread(target=lambda: status.append(stack.post("/api/slow?seconds=8")))
    client.start()
    wait_until(lambda: "slow request" in docker("logs", backend), seconds=DEADLINE, what="the request to arrive")
    stack.compose("stop", "backend")
    client.join(DEADLINE)
    assert status == [201]
    assert stack.inspect(backend)["State"]["ExitCode"] == 0
    assert f"stop_grace_period: {stack.inspect(backend)['Config']['StopTimeout']}s" in (
        stack.directory / "compose.yaml"
    ).read_text(encoding="utf-8")
    stack.compose("up", "--detach", "--wait")
    stack.wait_until_served()
