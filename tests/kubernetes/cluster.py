"""A Kubernetes of one node: etcd and the five servers, in the network namespace that the tests run in."""

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.polling import wait_until

__all__ = ["DEADLINE", "Cluster"]

DEADLINE = 300.0
"""Seconds that anything may take on a slow machine."""
_ADDRESS = "10.199.0.2"
_PODS, _SERVICES = "10.196.0.0/16", "10.195.0.0/24"

# A throw-away cluster that only the network namespace can reach.
_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: test-only}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
"""

# Kubernetes' pause container: the process that a pod's namespaces belong to.
_PAUSE = """\
FROM {python}
ENTRYPOINT ["python3", "-S", "-c", "import signal; signal.signal(signal.SIGTERM, lambda *_: exit()); signal.pause()"]
"""


class Cluster:
    """The servers; leaving the ``with`` block stops them, the kubelet's containers first.

    Args:
        directory: Where their files go; the engine's socket lies there as ``socket``.
        servers: The directory of the five programs.
        python_image: The image that the pause container is made from.
    """

    def __init__(self, directory: Path, servers: Path, python_image: str) -> None:
        self.directory = directory
        self.engine = f"unix://{directory / 'socket'}"
        self._servers = servers
        self._python_image = python_image
        self._stack = ExitStack()
        (directory / "kubeconfig").write_text(_KUBECONFIG, encoding="utf-8")
        (directory / "tokens.csv").write_text("test-only,admin,admin,system:masters\n", encoding="utf-8")

    def __enter__(self) -> Self:
        """Start the servers and wait until the node is ready."""
        with self._stack:
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Delete what runs on the node, then stop the servers in the opposite order."""
        if error is not None:
            error.add_note(self.run("kubectl", "get", "events,pods", "--all-namespaces").stdout[-4000:])
        with self._stack:
            self.run("kubectl", "delete", "pods", "--all", "--all-namespaces", "--grace-period=1", "--force")

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``kubectl`` or ``docker`` against the cluster to its end; ``text`` is its standard input."""
        return subprocess.run(
            command,
            env={**os.environ, "KUBECONFIG": str(self.directory / "kubeconfig"), "DOCKER_HOST": self.engine},
            input=text or "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run ``kubectl`` and return its output; its failure is the test's."""
        done = self.run("kubectl", *arguments, text=text)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}"
        return done.stdout

    def get(self, *what: str) -> Any:
        """Return what ``kubectl get --output json`` prints."""
        return json.loads(self.kubectl("get", "--output", "json", *what))

    def load_image(self, name: str) -> None:
        """Give an image of this machine's engine to the node, as a registry would."""
        script = f"set -o pipefail; docker save {name} | docker --host {self.engine} load --quiet"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert done.returncode == 0, done.stderr

    def _start(self) -> None:
        top = self.directory
        key = str(top / "service-accounts.key")
        for command in (["genrsa", "-out", key, "2048"], ["rsa", "-in", key, "-pubout", "-out", f"{key}.pub"]):
            subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=60)
        self.load_image(self._python_image)
        dockerfile = _PAUSE.format(python=self._python_image)
        done = self.run(
            "env", "DOCKER_BUILDKIT=0", "docker", "build", "--quiet", "--tag", "pause:1", "-", text=dockerfile
        )
        assert done.returncode == 0, done.stdout
        config = f"--kubeconfig={top / 'kubeconfig'}"
        self._server(
            "etcd",
            f"--data-dir={top / 'etcd'}",
            "--unsafe-no-fsync",
            *(f"--{name}-urls=http://127.0.0.1:2379" for name in ("listen-client", "advertise-client")),
            "--listen-peer-urls=http://127.0.0.1:2380",
        )
        self._server(
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            *("--secure-port=6443", "--bind-address=127.0.0.1", f"--advertise-address={_ADDRESS}"),
            f"--cert-dir={top / 'certificates'}",
            f"--token-auth-file={top / 'tokens.csv'}",
            "--authorization-mode=AlwaysAllow",
            f"--service-cluster-ip-range={_SERVICES}",
            "--service-account-issuer=https://kubernetes",
            f"--service-account-key-file={key}.pub",
            f"--service-account-signing-key-file={key}",
            "--allow-privileged",
            "--kubelet-preferred-address-types=InternalIP",
        )
        wait_until(
            lambda: self.run("kubectl", "get", "--raw", "/readyz").stdout == "ok",
            seconds=DEADLINE,
            what="the API server",
        )
        self._server(
            "kube-controller-manager",
            config,
            f"--service-account-private-key-file={key}",
            "--allocate-node-cidrs",
            f"--cluster-cidr={_PODS}",
            f"--service-cluster-ip-range={_SERVICES}",
            "--leader-elect=false",
            f"--cert-dir={top / 'certificates'}",
        )
        self._server("kube-scheduler", config, "--leader-elect=false")
        self._server(
            "kubelet",
            config,
            f"--docker-endpoint={self.engine}",
            *("--network-plugin=kubenet", "--cni-bin-dir=/usr/lib/cni", "--non-masquerade-cidr=10.0.0.0/8"),
            "--pod-infra-container-image=pause:1",
            *("--fail-swap-on=false", "--cgroup-driver=cgroupfs", "--cgroups-per-qos=false"),
            "--enforce-node-allocatable=",
            f"--root-dir={top / 'kubelet'}",
            f"--cert-dir={top / 'kubelet-certificates'}",
            *("--hostname-override=node1", f"--node-ip={_ADDRESS}", f"--address={_ADDRESS}"),
            *("--anonymous-auth=true", "--authorization-mode=AlwaysAllow"),
            *("--healthz-port=0", "--read-only-port=0", "--eviction-hard=", "--image-gc-high-threshold=100"),
        )
        self._server(
            "kube-proxy",
            config,
            *("--proxy-mode=iptables", f"--cluster-cidr={_PODS}", "--conntrack-max-per-core=0"),
            *("--hostname-override=node1", "--healthz-bind-address=127.0.0.1:10256"),
        )
        wait_until(self._ready, seconds=DEADLINE, what="a node that is ready")

    def _ready(self) -> bool:
        done = self.run(
            "kubectl", "get", "node", "node1", "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        )
        return done.returncode == 0 and done.stdout == "True"

    def _server(self, name: str, *options: str) -> None:
        program = "etcd" if name == "etcd" else str(self._servers / name)
        log = self._stack.enter_context((self.directory / f"{name}.log").open("wb"))
        process = subprocess.Popen([program, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._stack.callback(self._stop, process)

    @staticmethod
    def _stop(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
