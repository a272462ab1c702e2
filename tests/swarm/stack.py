"""A generated service as a stack of a swarm."""

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_port
from tests.support.template import service_environment

__all__ = ["DEADLINE", "Stack"]

DEADLINE = 180.0
"""Seconds that one command may take on a slow machine."""
_SUBNET = "10.196.0.0/24"


class Stack:
    """The stack and its images; leaving the ``with`` block removes both.

    Args:
        directory: The generated service.
        name: What the README calls the stack.
        swarm: Where the swarm's engine answers. Images are built by the engine of this machine, which reaches an index.
        commands: Those of the README's section.
    """

    def __init__(self, directory: Path, name: str, swarm: str, commands: list[str]) -> None:
        self.directory, self.name, self.port = directory, name, free_port()
        self.deployed = ""
        """What the first deployment has printed."""
        self._builds = [command for command in commands if command.startswith("docker build")]
        self._commands = [c for c in commands if not c.startswith(("docker build", "docker push"))]
        self._swarm = swarm
        own = {"HTTP_PORT": str(self.port), "BACKEND_SUBNET": _SUBNET, "DOCKER_BUILDKIT": "0"}
        foreign = ("BACKEND_", "COMPOSE_", "DOCKER_", "HTTP_PORT", "NGINX_", "POSTGRES_")
        kept = {k: v for k, v in service_environment(directory.parent / "tmp").items() if not k.startswith(foreign)}
        self._environment = {**kept, **own}
        self._built: set[str] = set()

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the stack and, from this machine's engine, the images."""
        if error is not None:
            error.add_note(self._run(f"docker service ps --no-trunc {self.name}_backend", swarm=True).stdout)
        self._run(f"docker stack rm --detach=false {self.name}", swarm=True)
        for image in self._built:
            self._run(f"docker image rm --force {image}", swarm=False)

    def images(self, version: str) -> dict[str, str]:
        """Return the variables that name the images of one version; nginx's stays."""
        registry = f"registry.example.com/{self.name}"
        return {"BACKEND_IMAGE": f"{registry}:{version}", "NGINX_STACK_IMAGE": f"{registry}-nginx:1.0.0"}

    def build(self, version: str) -> None:
        """Build one version by the README's commands and give it to the swarm's engine, as a registry would."""
        images = self.images(version)
        for command in self._builds:
            done = self._run(command, swarm=False, **images)
            assert done.returncode == 0, done.stdout
        names = " ".join(images.values())
        self._built |= set(images.values())
        engine, save = f"docker --host {self._swarm}", f"docker save {names}"
        done = self._run(f"set -o pipefail; {save} | {engine} load --quiet", swarm=False)
        assert done.returncode == 0, done.stdout

    def deploy(self, version: str) -> str:
        """Run the README's commands, with this version's images and no registry to ask, and return the output."""
        lines = [line for line in self._commands if not line.startswith("export ")]
        assert any("docker stack deploy" in line for line in lines), lines
        script = "\n".join(lines).replace("--resolve-image always", "--resolve-image never")
        done = self._run(f"set -e\n{script}", swarm=True, **self.images(version))
        assert done.returncode == 0, done.stdout
        return done.stdout

    def docker(self, *arguments: str) -> str:
        """Run ``docker`` in the swarm; its failure is the test's."""
        done = self._run(" ".join(("docker", *arguments)), swarm=True)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def engine(self) -> str:
        """Return the version of the swarm's engine."""
        return self.docker("version", "--format", "'{{.Server.Version}}'").strip()

    def service(self, field: str) -> str:
        """Return a field of the service, in Docker's format."""
        return self.docker("service", "inspect", "--format", f"'{{{{{field}}}}}'", f"{self.name}_backend").strip()

    def tasks(self) -> set[str]:
        """Return the tasks of the service that run."""
        listing = ["service", "ps", "--filter", "desired-state=running", "--quiet", f"{self.name}_backend"]
        return set(self.docker(*listing).split())

    def containers(self, service: str) -> list[str]:
        """Return the containers of a service that run on this node."""
        return self.docker("ps", "--quiet", "--filter", f"name={self.name}_{service}").split()

    def log(self, container: str) -> str:
        """Return what a container has written. `docker service logs` waits for ever where a task has failed."""
        return self.docker("logs", container)

    def _run(self, script: str, *, swarm: bool, **extra: str) -> subprocess.CompletedProcess[str]:
        engine = {"DOCKER_HOST": self._swarm} if swarm else {}
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env={**self._environment, **engine, **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
