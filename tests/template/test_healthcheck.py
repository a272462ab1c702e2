"""The container's health check of a generated service, against real sockets."""

import socket
import subprocess
import sys
import threading

import pytest

from tests.support.template import PROJECT

_SCRIPT = PROJECT / "ops" / "healthcheck.py"


def _check(port: int) -> int:
    command = [sys.executable, "-I", "-S", str(_SCRIPT), str(port)]
    return subprocess.run(command, check=False, timeout=30, capture_output=True).returncode


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 0),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 1),
        (b"HTTP/1.1 301 Moved Permanently\r\n\r\n", 1),
        (b"nonsense\r\n", 1),
        (b"", 1),
    ],
)
def test_only_2xx_is_healthy(answer: bytes, code: int) -> None:
    """A service that answers badly is as unhealthy as one that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert _check(listener.getsockname()[1]) == code
        thread.join(10)


def test_a_refused_connection_is_unhealthy() -> None:
    """A refused connection is a failure, not a crash."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert _check(unused.getsockname()[1]) == 1
