"""A real nginx in front of the server: with this project's files, or with those of a test."""

import os
import socket
from pathlib import Path
from typing import Self

from no502.nginx.binary import find_nginx, nginx_version
from no502.nginx.command import render
from tests.nginx.proxy import VARIABLES
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running

__all__ = ["Gateway"]

_SECONDS = 60.0


class Gateway(Running):
    """nginx, running while the ``with`` block does.

    Args:
        directory: An existing directory with ``nginx.conf``, which listens on ``port``.
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self.address = ("127.0.0.1", port)
        command: list[str | Path] = [find_nginx(None), "-e", "stderr", "-p", directory, "-c", "nginx.conf"]
        if os.geteuid() == 0:  # its workers would be a user that may not enter a test's directory
            command += ["-g", "user root root;"]
        super().__init__(command)

    @classmethod
    def before(cls, directory: Path, upstream: str) -> Self:
        """Return one with this project's files, before one upstream."""
        directory.mkdir()
        port = free_port()
        own = {"NGINX_LISTEN": f"127.0.0.1:{port}", "NGINX_UPSTREAM": upstream, "NGINX_SERVER_NAME": "e2e"}
        variables = {**VARIABLES, "PROXY_READ_TIMEOUT": "60", "PROXY_KEEPALIVE_TIMEOUT": "1", **own}
        render(directory, variables, nginx_version=nginx_version(find_nginx(None)), tls=False, standalone=True)
        return cls(directory, port)

    def __enter__(self) -> Self:
        """Start it and wait until it listens."""
        super().__enter__()
        wait_until(self._listens, seconds=_SECONDS, what=f"nginx on {self.address}")
        return self

    def _listens(self) -> bool:
        assert self.returncode is None, self.output()
        try:
            socket.create_connection(self.address, 1).close()
        except ConnectionRefusedError:
            return False
        return True
