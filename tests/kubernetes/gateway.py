"""Envoy with the lines of ``no502 explain --proxy envoy``; it follows the endpoints of a Service, as a gateway does."""

import http.client
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import yaml

from no502.ladder.proxies import Numbers, Proxy, to_text
from tests.kubernetes.cluster import Cluster
from tests.support.ports import free_port

__all__ = ["Gateway", "post"]

_ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


class Gateway:
    """Envoy on ``port``, and a watch that tells it the ready pods; leaving the ``with`` block stops both.

    Args:
        cluster: Where the Service is.
        namespace: The Service's, and its name.
        directory: Where Envoy's files go.
        idle: Seconds that Envoy keeps an idle connection to a pod.
    """

    def __init__(self, cluster: Cluster, namespace: str, directory: Path, *, idle: int = 15) -> None:
        self.port = free_port()
        self.addresses: list[tuple[str, int]] = []
        """The pods that requests go to now."""
        self.history: list[str] = []
        """When they changed, for the message of a test that fails."""
        self._cluster, self._namespace = cluster, namespace
        self._endpoints = directory / "endpoints" / "now.json"
        self._endpoints.parent.mkdir(parents=True)
        self._write()
        self._file = directory / "envoy.yaml"
        self._file.write_text(self._configuration(Numbers(read=180, idle=idle, connect=2, listen=self.port)))

    def __enter__(self) -> Self:
        """Start Envoy and the watch."""
        command = [
            os.environ["NO502_ENVOY"],
            "--config-path",
            str(self._file),
            "--concurrency",
            "2",
            "--log-level",
            "error",
        ]
        self._envoy = subprocess.Popen([*command, "--disable-hot-restart"], stdin=subprocess.DEVNULL)
        watch = ["kubectl", "get", "endpoints", self._namespace, "--watch", "--output", "json"]
        self._watch = subprocess.Popen(
            [*watch, "--kubeconfig", str(self._cluster.directory / "kubeconfig"), "--namespace", self._namespace],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._watch.stdout is not None
        self._thread = threading.Thread(target=self._follow, args=(self._watch.stdout,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop both."""
        for process in (self._watch, self._envoy):
            process.terminate()
            process.wait(20)
        self._thread.join(20)
        assert self._watch.stdout is not None
        self._watch.stdout.close()

    def _configuration(self, numbers: Numbers) -> str:
        configuration = yaml.safe_load(to_text(Proxy.ENVOY, numbers))
        (cluster,) = configuration["static_resources"]["clusters"]
        del cluster["load_assignment"]
        source = {"path": str(self._endpoints), "watched_directory": {"path": str(self._endpoints.parent)}}
        cluster["type"] = "EDS"
        cluster["eds_cluster_config"] = {
            "eds_config": {"path_config_source": source, "resource_api_version": "V3"},
        }
        configuration["node"] = {"id": "gateway", "cluster": "gateway"}
        return yaml.safe_dump(configuration)

    def _write(self) -> None:
        endpoints = [
            {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
            for address, port in self.addresses
        ]
        assignment = {"@type": _ASSIGNMENT, "cluster_name": "app", "endpoints": [{"lb_endpoints": endpoints}]}
        new = self._endpoints.with_suffix(".new")
        new.write_text(json.dumps({"resources": [assignment]}), encoding="utf-8")
        new.replace(self._endpoints)  # Envoy reads a file that is moved into place

    def _follow(self, stream: IO[bytes]) -> None:
        for found in _documents(stream):
            ready = sorted(
                (address["ip"], port["port"])
                for subset in found.get("subsets") or []
                for address in subset.get("addresses") or []
                for port in subset["ports"]
            )
            if ready != self.addresses:
                self.addresses = ready
                self.history.append(f"{datetime.now(UTC):%H:%M:%S} {ready}")
                self._write()


def post(port: int, path: str, *, seconds: float = 60) -> int:
    """Send one POST and return the status; 0: no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("POST", path, headers={"Host": "localhost"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _documents(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the JSON documents that arrive one after the other."""
    decoder, text = json.JSONDecoder(), ""
    while chunk := os.read(stream.fileno(), 65536):
        text = (text + chunk.decode()).lstrip()
        while text:
            try:
                document, end = decoder.raw_decode(text)
            except ValueError:
                break
            text = text[end:].lstrip()
            yield document
