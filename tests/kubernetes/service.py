"""The generated service in the cluster."""

import subprocess
from pathlib import Path

from tests.docker.stack import docker
from tests.kubernetes.cluster import DEADLINE, Cluster
from tests.kubernetes.manifests import for_1_20
from tests.support.polling import wait_until

__all__ = ["Service"]

NAME = "my-service"


class Service:
    """Commands for the one service, in the namespace of its name.

    Args:
        cluster: Where it runs.
        directory: The generated service.
    """

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster, self.directory = cluster, directory
        self.image = f"registry.example.com/{NAME}"

    def build(self, version: str, *, extra: str = "") -> None:
        """Build the image of a version, whose main module ends with ``extra``, and give it to the node."""
        main = self.directory / "app" / "main.py"
        good = main.read_text(encoding="utf-8")
        main.write_text(f"{good}\n{extra}\n", encoding="utf-8")
        name = f"{self.image}:{version}"
        done = subprocess.run(
            ["docker", "build", "--quiet", "--tag", name, str(self.directory)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        main.write_text(good, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr
        self.cluster.load_image(name)
        docker("image", "rm", name)

    def apply(self, *options: str) -> None:
        """Apply the manifests as the README does, ``deploy/kubernetes/production``, in the words of 1.20."""
        built = self.cluster.kubectl("kustomize", str(self.directory / "deploy" / "kubernetes" / "production"))
        self.kubectl("apply", *options, "--filename", "-", text=for_1_20(built))

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run ``kubectl`` in the service's namespace."""
        return self.cluster.kubectl("--namespace", NAME, *arguments, text=text)

    def rolled_out(self) -> None:
        """Wait until every pod is of the newest version and ready."""
        self.kubectl("rollout", "status", f"deployment/{NAME}", f"--timeout={DEADLINE - 10:.0f}s")

    def use(self, version: str) -> None:
        """Replace every pod by one of another version."""
        self.kubectl("set", "image", f"deployment/{NAME}", f"service={self.image}:{version}")
        self.rolled_out()

    def scale(self, replicas: int) -> None:
        """Change the number of pods, as an autoscaler does, and wait until so many are ready and no other is left."""
        self.kubectl("scale", f"deployment/{NAME}", f"--replicas={replicas}")
        wait_until(lambda: self._settled(replicas), seconds=DEADLINE, what=f"{replicas} pods")

    def pods(self) -> dict[str, bool]:
        """Return the service's pods that are not being deleted, and whether each is ready."""
        found = self.cluster.get("pods", "--namespace", NAME, "--selector", "app.kubernetes.io/component=service")
        return {
            pod["metadata"]["name"]: any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in pod["status"].get("conditions", ())
            )
            for pod in found["items"]
            if "deletionTimestamp" not in pod["metadata"]
        }

    def restarts(self) -> int:
        """Return how often containers of the service were started again."""
        found = self.cluster.get("pods", "--namespace", NAME, "--selector", "app.kubernetes.io/component=service")
        return sum(status["restartCount"] for pod in found["items"] for status in pod["status"]["containerStatuses"])

    def _settled(self, replicas: int) -> bool:
        found = self.cluster.get("pods", "--namespace", NAME, "--selector", "app.kubernetes.io/component=service")
        return len(found["items"]) == replicas and all(self.pods().values())
