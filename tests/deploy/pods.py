"""The life of a pod, with real processes: a gateway that learns late that it leaves, and a kubelet that does not wait.

The gateway is a real nginx that pools connections and never tries a request twice. The endpoints are files whose
existence it checks with each request, so that a change takes effect at once and a test decides when.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.deploy.gateway import Gateway
from tests.support.ports import free_port
from tests.support.server import ROOT, Gunicorn

__all__ = ["Cluster", "Pod"]

_SECONDS = 40.0
_CONFIGURATION = """
daemon off;
pid nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    split_clients $request_id $any {{ {shares} }}
    {upstreams}
    server {{
        listen 127.0.0.1:{port};
        set $pod $any;
        {choices}
        location / {{
            proxy_pass http://$pod;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream off;
            proxy_connect_timeout 2s;
        }}
    }}
}}
"""
# PROXY_KEEPALIVE_TIMEOUT is the gateway's idle timeout: the ladder follows from it.
_LADDER = {"PROXY_READ_TIMEOUT": "10", "PROXY_KEEPALIVE_TIMEOUT": "1", "WEB_CONCURRENCY": "1"}


class Pod(Gunicorn):
    """gunicorn with this project's configuration: what runs in the container."""

    def __init__(self, directory: Path, port: int, *, stop_delay: int = 0) -> None:
        directory.mkdir()
        environment = {
            **_LADDER,
            "GUNICORN_BIND": f"127.0.0.1:{port}",
            "GUNICORN_STOP_DELAY": str(stop_delay),
        }
        super().__init__(directory, conf=ROOT / "gunicorn_conf.py", env=environment)
        self.address = ("127.0.0.1", port)


class Cluster:
    """A Deployment of a few pods and the gateway before them; leaving the ``with`` block ends everything.

    Args:
        directory: An empty directory.
        pods: How many pods may ever exist.
        stop_delays: ``GUNICORN_STOP_DELAY`` of the first pods, 0 for the others.
    """

    def __init__(self, directory: Path, *, pods: int, stop_delays: Sequence[int] = ()) -> None:
        self._endpoints = directory / "endpoints"
        self._endpoints.mkdir()
        self._stack = ExitStack()
        ports = [free_port() for _ in range(pods)]
        delays = [*stop_delays, *[0] * pods][:pods]
        self._pods = [
            Pod(directory / f"pod{number}", port, stop_delay=delay)
            for number, (port, delay) in enumerate(zip(ports, delays, strict=True))
        ]
        self._gateway = Gateway(directory, self._configure(directory, ports))

    def _configure(self, directory: Path, ports: Sequence[int]) -> int:
        names = [f"pod{number}" for number in range(len(ports))]
        share = 100 // len(names)
        listen = free_port()
        text = _CONFIGURATION.format(
            port=listen,
            shares=" ".join([*(f"{share}% {name};" for name in names[1:]), f"* {names[0]};"]),
            upstreams="\n    ".join(
                f"upstream {name} {{ server 127.0.0.1:{port}; keepalive 16; keepalive_timeout 1s; }}"
                for name, port in zip(names, ports, strict=True)
            ),
            choices="\n        ".join(f"if (!-f {self._endpoints}/$pod) {{ set $pod {name}; }}" for name in names),
        )
        (directory / "nginx.conf").write_text(text, encoding="utf-8")
        return listen

    def __enter__(self) -> Self:
        """Start the gateway; there is no pod yet."""
        self._stack.enter_context(self._gateway)
        return self

    def __exit__(self, *error: object) -> None:
        """End the pods, then the gateway."""
        self._stack.close()

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect."""
        return self._gateway.address

    def start(self, number: int) -> Pod:
        """Start a pod, wait until it is ready, and make it an endpoint."""
        pod = self._stack.enter_context(self._pods[number])
        (self._endpoints / f"pod{number}").touch()
        return pod

    def remove_endpoint(self, number: int) -> None:
        """Have the gateway choose this pod no more."""
        (self._endpoints / f"pod{number}").unlink()

    def delete(self, number: int, *, removal: float, pre_stop: float) -> None:
        """Do what happens to a pod that is deleted, and return when its processes are gone.

        Two things begin at the same time, and nothing orders them: the endpoint is removed after ``removal`` seconds;
        SIGTERM comes after ``pre_stop`` seconds.

        Raises:
            AssertionError: The pod did not end by itself within its grace period.
        """
        steps = sorted([(removal, "remove"), (pre_stop, "terminate")])
        began = time.monotonic()
        for at, step in steps:
            time.sleep(max(0.0, began + at - time.monotonic()))
            if step == "remove":
                self.remove_endpoint(number)
            else:
                self._pods[number].terminate()
        assert self._pods[number].wait(_SECONDS) == 0
        self._pods[number].assert_nothing_left()
