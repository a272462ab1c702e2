"""A generated service as a Compose project."""

import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.template import service_environment

__all__ = ["DEADLINE", "DEPLOY_STEPS", "PROJECT", "Stack", "docker"]

PROJECT = "no502-docker-test"
DEADLINE = 60.0
"""Seconds that anything may take on a slow machine."""
DEPLOY_STEPS = ("starting $", "nginx switches to", "stopping $", "nginx forgets")
"""What ``ops/deploy`` says at each step, as its source has it: a number stands for what begins with ``$``."""


def docker(*arguments: str, seconds: float = 120) -> str:
    """Run ``docker`` and return its output; its failure is the test's."""
    done = subprocess.run(
        ["docker", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


class Stack:
    """Commands for one project; leaving the ``with`` block removes its containers, networks and volumes.

    Args:
        directory: The generated service.
        subnet: The network between nginx and the service.
        name: What the Compose project is called; scripts/docker-test removes PROJECT and PROJECT-postgresql.
        extra: More variables for Compose.
    """

    def __init__(self, directory: Path, *, subnet: str, name: str = PROJECT, **extra: str) -> None:
        self.directory = directory
        self.name = name
        self.port = free_port()
        own = {
            "COMPOSE_PROJECT_NAME": name,
            "BACKEND_IMAGE": name,
            "HTTP_PORT": str(self.port),
            "BACKEND_SUBNET": subnet,
            **extra,
        }
        foreign = ("BACKEND_", "COMPOSE_", "HTTP_PORT", "POSTGRES_")
        kept = {k: v for k, v in service_environment(directory.parent / "tmp").items() if not k.startswith(foreign)}
        self.environment = {**kept, **own}

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove everything; a failing block gets the logs as a note."""
        if error is not None:
            error.add_note(self.run("docker", "compose", "logs", "--tail", "15", "backend").stdout)
        self.run("docker", "compose", "down", "--volumes", "--timeout", "5", "--remove-orphans")

    def run(self, *command: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's directory to its end."""
        return subprocess.run(
            command,
            cwd=self.directory,
            env={**self.environment, **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    @contextmanager
    def start(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command in the project's directory, in a session of its own; killed when the block is left.

        No ``Running``: leaving the block must not wait for its end, and what the command has started goes on.
        """
        with subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def compose(self, *arguments: str, **extra: str) -> str:
        """Run ``docker compose``; its failure is the test's."""
        done = self.run("docker", "compose", *arguments, **extra)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def deploy(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run ``ops/deploy``."""
        return self.run("ops/deploy", *options)

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's containers, in any state."""
        return self.run("docker", "compose", "ps", "--all", "--quiet", "--no-trunc", service).stdout.split()

    def container(self, service: str) -> str:
        """Return the id of a service's only container."""
        (container,) = self.containers(service)
        return container

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what Docker knows of a container."""
        found: dict[str, Any] = json.loads(docker("inspect", container))[0]
        return found

    def address(self, container: str) -> str:
        """Return a container's address on the network that nginx is on."""
        address: str = self.inspect(container)["NetworkSettings"]["Networks"][f"{self.name}_default"]["IPAddress"]
        return address

    def health(self, container: str) -> str:
        """Return what the health check has found."""
        status: str = self.inspect(container)["State"]["Health"]["Status"]
        return status

    def workers(self) -> int:
        """Return how many workers the service's gunicorn has."""
        command = "import gunicorn_conf; print(gunicorn_conf.workers)"
        return int(docker("exec", self.container("backend"), "python", "-c", command))

    def upstream(self) -> list[str]:
        """Return the servers of nginx's upstream."""
        text = docker("exec", self.container("nginx"), "cat", "/etc/nginx/conf.d/upstream.conf")
        return [line.strip() for line in text.splitlines() if line.strip().startswith("server ")]

    def post(self, path: str = "/api/greetings", *, seconds: float = DEADLINE) -> int:
        """Send one POST through nginx and return the status; 0: no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            headers = {"Host": "localhost", "Content-Type": "application/json"}
            connection.request("POST", path, json.dumps({"text": "x"}), headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def wait_until_served(self) -> None:
        """Wait until a POST through nginx is answered."""
        wait_until(lambda: self.post(seconds=5) == 201, seconds=DEADLINE, what="an answer through nginx")

    def kill(self, pid: int) -> None:
        """Kill a process of this host, as the kernel does when memory runs out (also where this is not root)."""
        if os.geteuid() == 0:
            os.kill(pid, 9)
        else:
            script = f"import os; os.kill({pid}, 9)"
            docker(
                "run", "--rm", "--pid=host", "--privileged", os.environ["NO502_PYTHON_IMAGE"], "python", "-c", script
            )
