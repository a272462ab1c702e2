"""A running nginx with rendered files, and ways to speak to it."""

import http.client
import json
import os
import re
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from no502.nginx.command import render
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running

__all__ = ["HOST", "STATIC_NAME", "VARIABLES", "Answer", "Nginx", "Proxy", "ProxyFactory", "ask_the_machine", "command"]

HOST = "app.example.org"
STATIC_NAME = "static.test"
"""An upstream of this name is looked up by the machine: :func:`ask_the_machine`."""
VARIABLES = {
    "PROXY_READ_TIMEOUT": "10",
    "PROXY_KEEPALIVE_TIMEOUT": "15",
    "PROXY_CONNECT_TIMEOUT": "20",
    "NGINX_LISTEN": "80",
    "NGINX_SERVER_NAME": HOST,
    "NGINX_UPSTREAM": "127.0.0.1:8000",
    "NGINX_CLIENT_MAX_BODY_SIZE": "1m",
    "NGINX_REQUESTS_IN_FLIGHT": "1024",
    "NGINX_KEEPALIVE_TIMEOUT": "75",
    "NGINX_CORS_ORIGINS": "",
    "NGINX_HSTS": "",
    "NGINX_ACCESS_LOG": "/var/log/nginx/access.log",
    "NGINX_RESOLVER": "127.0.0.1",
    "NGINX_TLS_LISTEN": "443",
}


@dataclass(frozen=True)
class Nginx:
    """One nginx program.

    Attributes:
        path: Where it is.
        version: Its version.
    """

    path: str
    version: tuple[int, int, int]


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float = field(compare=False)

    def json(self) -> dict[str, Any]:
        """Return the body as JSON."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class ProxyFactory(Protocol):
    """Starts the rendered configuration before an upstream, with variables changed."""

    def __call__(self, upstream: str, *, tls: bool = False, **changes: str) -> "Proxy":
        """Return it running."""
        ...


def command(nginx: Nginx, directory: Path) -> list[str]:
    """Return the command line that the standalone tree documents."""
    return [nginx.path, "-e", "stderr", "-p", str(directory), "-c", "nginx.conf"]


def ask_the_machine(directory: Path, name: str) -> None:
    """Replace a name in the upstream by the only one that every machine's own resolver knows.

    nginx before 1.27.3 looks names up when it starts. (The renderer refuses localhost, for good reasons.)
    """
    file = directory / "conf.d" / "upstream.conf"
    text = file.read_text(encoding="utf-8")
    assert f"server {name}:" in text
    file.write_text(text.replace(f"server {name}:", "server localhost:"), encoding="utf-8")


class Proxy:
    """nginx, running while the ``with`` block does."""

    def __init__(
        self,
        nginx: Nginx,
        directory: Path,
        upstream: str,
        *,
        tls: bool = False,
        changes: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.tls_port = free_port()
        self._tls = tls
        variables = {
            **VARIABLES,
            "NGINX_LISTEN": f"127.0.0.1:{self.port}",
            "NGINX_TLS_LISTEN": f"127.0.0.1:{self.tls_port}",
            "NGINX_UPSTREAM": upstream,
            **(changes or {}),
        }
        # All clients of a test have one address.
        variables.setdefault("NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT", variables["NGINX_REQUESTS_IN_FLIGHT"])
        self.directory = directory
        render(directory, variables, nginx_version=nginx.version, tls=tls, standalone=True)
        if upstream.startswith(f"{STATIC_NAME}:"):
            ask_the_machine(directory, STATIC_NAME)
        self._process = Running(command(nginx, directory))

    def __enter__(self) -> Self:
        """Start it and wait until it listens."""
        self._process.__enter__()
        wait_until(self._listens, what=f"nginx on port {self.port}")
        # It listens before it has its workers; reload() must know them all to tell the old from the new.
        wait_until(lambda: len(self.workers()) == os.sysconf("SC_NPROCESSORS_ONLN"), what="nginx's worker processes")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it; a failing test shows its output."""
        self._process.__exit__(kind, error, traceback)

    def _listens(self) -> bool:
        assert self._process.returncode is None, self._process.output()
        try:
            for port in (self.port, self.tls_port) if self._tls else (self.port,):
                socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            return False
        return True

    @property
    def pid(self) -> int:
        """The master process."""
        return self._process.pid

    def output(self) -> str:
        """Return the error log and the access log so far."""
        return self._process.output()

    def wait_for_log(self, text: str) -> str:
        """Wait until ``text`` is in the logs and return all of them."""
        return self._process.wait_for_output(text)

    def access_log(self, count: int = 1) -> list[dict[str, str]]:
        """Wait for at least this many lines of the access log and return all of them, parsed, in any order.

        Each worker process writes its own lines, so those of two requests may change places.
        """

        def lines() -> list[dict[str, str]] | None:
            found = [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]
            return found if len(found) >= count else None

        return wait_until(lines, what=f"{count} lines of access log") or []

    def connect(self) -> http.client.HTTPConnection:
        """Return a client connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(
        self,
        method: str = "GET",
        path: str = "/",
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """Send one request, on a connection of its own unless one is given."""
        own = connection or self.connect()
        began = time.monotonic()
        try:
            own.request(method, path, body=body, headers={"Host": HOST, **(headers or {})})
            received = own.getresponse()
            return Answer(received.status, received.headers, received.read(), time.monotonic() - began)
        finally:
            if connection is None:
                own.close()

    def raw(self, request: str | bytes, *, until_close: bool = True) -> bytes:
        """Send bytes and return what comes back until the connection is closed, or the first part of it."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as client:
            client.sendall(request.encode() if isinstance(request, str) else request)
            if not until_close:
                return client.recv(65536)
            parts = []
            while part := client.recv(65536):
                parts.append(part)
            return b"".join(parts)

    def hangup(self) -> None:
        """Tell it to read the configuration again."""
        self._process.send_signal(signal.SIGHUP)

    def reload(self) -> None:
        """Read the configuration again and wait until only new worker processes are left."""
        before = set(self.workers())
        self.hangup()
        wait_until(lambda: self.workers() and not before & set(self.workers()), what="the new worker processes")

    def shorten(self, directive: str) -> None:
        """Set one of the times for clients to a second: the shipped ones would make the test wait for as long."""
        places = [self.directory / "snippets" / "every-server.conf", self.directory / "conf.d" / "app" / "numbers.conf"]
        (file,) = [file for file in places if f"\n{directive} " in file.read_text(encoding="utf-8")]
        self._replace(file, rf"(?m)^{directive} \d+s;$", f"{directive} 1s;")

    def use_one_worker(self) -> None:
        """Use one worker process, so that all requests share one pool of connections."""
        self._replace(self.directory / "nginx.conf", r"worker_processes auto;", "worker_processes 1;")
        wait_until(lambda: len(self.workers()) == 1, what="one worker process")

    def _replace(self, file: Path, pattern: str, replacement: str) -> None:
        text, count = re.subn(pattern, replacement, file.read_text(encoding="utf-8"))
        assert count == 1, f"{count} times {pattern} in {file}"
        file.write_text(text, encoding="utf-8")
        self.reload()

    def workers(self) -> list[int]:
        """Return the process ids of the worker processes."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in re.findall(r"\d+", children)]
