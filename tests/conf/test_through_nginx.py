"""nginx and gunicorn from the same environment: who the client is, and one number for both sides."""

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from no502.nginx.binary import find_nginx, nginx_version
from no502.nginx.command import render
from tests.support.directories import public_directory
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running

_ACTIVATOR = Path(__file__).parents[1] / "e2e" / "apps" / "activator.py"
_FORGED = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "Forwarded": "for=6.6.6.6;proto=https"}


@pytest.fixture
def reachable() -> Iterator[Path]:
    """Return a directory that nginx's worker processes may enter, whatever user they run as."""
    with public_directory() as directory:
        yield directory


def _listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return False
    return True


def _nginx(stack: ExitStack, tree: Path, port: int) -> Running:
    running = stack.enter_context(Running([find_nginx(None), "-e", "stderr", "-p", str(tree), "-c", "nginx.conf"]))
    wait_until(lambda: _listening(port), what=f"nginx on port {port}")
    return running


def _ask(port: int, path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": "localhost"} | (headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "kind", ["tcp", "unix", "unix-by-flag", "unix-by-arguments", "unix-by-activation", "tcp-by-flag"]
)
def test_the_application_sees_the_client_and_never_what_it_claims(
    project: Path, gunicorn: list[str], environment: dict[str, str], reachable: Path, kind: str
) -> None:
    """Through nginx the client address and the scheme are nginx's own; forged headers lose.

    So on both kinds of socket, however gunicorn is told which one it is.
    """
    port = free_port()
    upstream = f"127.0.0.1:{free_port()}" if kind.startswith("tcp") else f"unix:{reachable}/app.sock"
    variables = {
        "PROXY_READ_TIMEOUT": "180",
        "PROXY_KEEPALIVE_TIMEOUT": "15",
        "PROXY_CONNECT_TIMEOUT": "2",
        "NGINX_UPSTREAM": upstream,
        "NGINX_LISTEN": f"127.0.0.1:{port}",
        "NGINX_SERVER_NAME": "localhost",
        "NGINX_CLIENT_MAX_BODY_SIZE": "1m",
        "NGINX_REQUESTS_IN_FLIGHT": "1024",
        "NGINX_TRUSTED_PROXIES": "127.0.0.2/32",
    }
    tree = reachable / "nginx"
    render(tree, variables, nginx_version=nginx_version(find_nginx(None)), standalone=True)
    with ExitStack() as stack:
        command, told = _told_to_bind(kind, [*gunicorn, "--umask", "0"], upstream)
        server = stack.enter_context(Running(command, cwd=project, env=environment | told))
        server.wait_for_output("is ready")
        if kind.endswith("activation"):
            (reachable / "app.sock").chmod(0o666)  # as a socket unit's SocketMode does; gunicorn's umask is too late
        _nginx(stack, tree, port)

        honest = json.loads(_ask(port)[1])
        forged = json.loads(_ask(port, headers=_FORGED)[1])
        through_a_trusted_proxy = _from_address("127.0.0.2", port, _FORGED)

    assert honest == {"client": "127.0.0.1", "scheme": "http"}
    assert forged == {"client": "127.0.0.1", "scheme": "http"}
    assert through_a_trusted_proxy == {"client": "6.6.6.6", "scheme": "https"}


def _told_to_bind(kind: str, command: list[str], upstream: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and the variables that tell gunicorn its address in one of the ways that there are."""
    if kind.endswith("flag"):
        return [*command, "--bind", upstream], {}
    if kind.endswith("arguments"):
        return command, {"GUNICORN_CMD_ARGS": f"--bind={upstream}"}
    if kind.endswith("activation"):
        return [sys.executable, str(_ACTIVATOR), upstream.removeprefix("unix:"), *command], {}
    return command, {"GUNICORN_BIND": upstream}


def _from_address(source: str, port: int, headers: dict[str, str]) -> dict[str, str]:
    """Ask from another loopback address, the trusted proxy: it shows that the headers do reach the application."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(source, 0))
    try:
        connection.request("GET", "/", headers={"Host": "localhost"} | headers)
        answer: dict[str, str] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def _seconds_until_504(
    project: Path, gunicorn: list[str], environment: dict[str, str], tree: Path
) -> tuple[float, str]:
    """Start both sides from the .env of one directory; return how long nginx waits, and gunicorn's ladder."""
    port, upstream = free_port(), f"127.0.0.1:{free_port()}"
    here = environment | {"GUNICORN_BIND": upstream, "NGINX_LISTEN": f"127.0.0.1:{port}"}
    no502 = [sys.executable, "-m", "no502", "nginx", "--standalone", "--nginx-version", "1.31", "--out", str(tree)]
    subprocess.run(no502, cwd=project, env=here, check=True, capture_output=True)
    with ExitStack() as stack:
        server = stack.enter_context(Running(gunicorn, cwd=project, env=here))
        ladder = next(line for line in server.wait_for_output("is ready").splitlines() if "ladder:" in line)
        _nginx(stack, tree, port)
        began = time.monotonic()
        status, _ = _ask(port, "/silent")
        assert status == 504
        return time.monotonic() - began, ladder


def test_one_number_in_one_dotenv_moves_both_sides(
    project: Path, gunicorn: list[str], environment: dict[str, str], reachable: Path
) -> None:
    """PROXY_READ_TIMEOUT in .env is how long the running nginx waits, and what the running gunicorn computes from."""
    numbers = {10: "deadline 5 < timeout 6 < proxy_read 10", 22: "deadline 11 < timeout 14 < proxy_read 22"}
    for number in numbers:
        copy = reachable / f"project{number}"
        copy.mkdir()
        (copy / "service.py").write_text((project / "service.py").read_text())
        (copy / ".env").write_text(f"PROXY_READ_TIMEOUT={number}\n")

    with ThreadPoolExecutor() as both:
        results = {
            number: both.submit(
                _seconds_until_504, reachable / f"project{number}", gunicorn, environment, reachable / f"nginx{number}"
            )
            for number in numbers
        }

    for number, ladder in numbers.items():
        seconds, line = results[number].result()
        assert ladder in line
        assert number - 0.5 <= seconds < number + 11
