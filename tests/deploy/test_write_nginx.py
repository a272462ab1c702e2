"""The generated ``write-nginx`` on Debian's own nginx, which serves another site already."""

import hashlib
import http.client
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.template import bake

_NGINX = "/usr/sbin/nginx"
_NAME = "my-service"
_OTHER = "other.example.net"


class _Answer(BaseHTTPRequestHandler):
    """An application that says which client it was told about."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = f"{self.headers['Host']} {self.headers['X-Forwarded-For']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """Return nothing: a unix socket has no client address."""
        return ""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Log nothing."""


class _Host:
    """A copy of this machine's /etc/nginx, as Debian's package installs it, with ports and paths of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.etc = root / "nginx"
        self.port = free_port()
        self.socket = root / "gunicorn.sock"
        shutil.copytree("/etc/nginx", self.etc, symlinks=True)
        main = self.etc / "nginx.conf"
        text = main.read_text(encoding="utf-8").replace("/etc/nginx", str(self.etc)).replace("/run/", f"{root}/")
        main.write_text(
            text.replace("/var/log/nginx/access.log", "/dev/null").replace("/var/log/nginx/error.log", "stderr")
        )
        link = self.etc / "sites-enabled" / "default"
        assert link.is_symlink()
        link.unlink()
        link.symlink_to("../sites-available/default")
        site = self.etc / "sites-available" / "default"
        site.write_text(
            f"server {{\n listen 127.0.0.1:{self.port} default_server;\n server_name {_OTHER};\n"
            " return 200 other;\n}\n"
        )
        (self.etc / "snippets" / "my-site-ssl.conf").write_text("# mine\n")
        self.environment = root / "environment"
        self.settings()

    def settings(self, **changes: str) -> None:
        """Write the environment of the units."""
        lines = {
            "PROXY_READ_TIMEOUT": "180",
            "NGINX_LISTEN": f"127.0.0.1:{self.port}",
            "NGINX_SERVER_NAME": '"example.com localhost"',
            "NGINX_UPSTREAM": f"unix:{self.socket}",
            "NGINX_ACCESS_LOG": "/dev/stdout",
            "DATABASE_URL": "postgresql://a:$(touch /tmp/executed)@h/d?a=1&b=2;x",
            **changes,
        }
        self.environment.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def files(self) -> dict[str, str]:
        """Return every file of the host's nginx with its digest."""
        return {
            str(path.relative_to(self.etc)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.etc.rglob("*")
            if path.is_file()
        }

    def ask(self, host: str, path: str = "/") -> tuple[int, str]:
        """Send one request and return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body


@pytest.fixture(name="project", scope="module")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake(tmp_path_factory.mktemp("systemd"), deploy="systemd")


@pytest.fixture(name="host")
def _host() -> Iterator[_Host]:
    root = Path(tempfile.mkdtemp(prefix="no502-test-"))
    root.chmod(0o755)
    yield _Host(root)
    shutil.rmtree(root)


def _write(project: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(project / "deploy" / "systemd" / "write-nginx"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(name="application")
def _application(host: _Host) -> Iterator[None]:
    """Serve on the unit's socket, which only root and nginx's group may use."""
    with socketserver.ThreadingUnixStreamServer(str(host.socket), _Answer) as server:
        if os.geteuid() == 0:
            shutil.chown(host.socket, "root", "www-data")
        host.socket.chmod(0o660)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def _running(main: Path) -> Running:
    return Running([_NGINX, "-e", "stderr", "-c", str(main), "-g", "daemon off;"])


def test_debians_nginx_reaches_the_application(project: Path, host: _Host, application: None) -> None:
    """After write-nginx the service answers through the installed nginx, and the host's other site is still served."""
    assert application is None
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 0, done.stderr
    with _running(host.etc / "nginx.conf") as nginx:
        wait_until(lambda: _answers(host), seconds=10, what=f"nginx\n{nginx.output()}")
        assert host.ask(_OTHER) == (200, "other")
        assert host.ask("example.com", "/health/ready") == (200, "example.com 127.0.0.1")
        assert host.ask("localhost", "/x") == (200, "localhost 127.0.0.1")
        assert host.ask("unknown.example")[1] == "other"


def test_no_other_file_changes(project: Path, host: _Host) -> None:
    """What the host's nginx had is there, byte for byte; ours are in a directory of their own and one file."""
    before = host.files()
    assert _write(project, host.etc, host.environment).returncode == 0
    after = host.files()
    assert {name: after.get(name) for name in before} == before
    added = after.keys() - before.keys()
    assert {name for name in added if not name.startswith((f"{_NAME}/", f"{_NAME}.before/"))} == {
        f"conf.d/{_NAME}.conf",
        f"modules-enabled/90-{_NAME}.conf",
    }
    limits = (host.etc / "modules-enabled" / f"90-{_NAME}.conf").read_text()
    assert limits.splitlines()[1:] == ["worker_rlimit_nofile 16384;", "worker_shutdown_timeout 180s;"]
    assert not Path("/tmp/executed").exists()  # noqa: S108


@pytest.mark.parametrize("name", [f"conf.d/{_NAME}.conf", f"{_NAME}/mine.conf", f"modules-enabled/90-{_NAME}.conf"])
def test_files_of_others_are_refused(project: Path, host: _Host, name: str) -> None:
    """A file of one of our names that is not from here is named, and nothing is changed."""
    (host.etc / name).parent.mkdir(exist_ok=True)
    (host.etc / name).write_text("server { listen 81; }\n")
    before = host.files()
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 1
    assert "not from here, and never overwritten" in done.stderr
    assert name.removesuffix("/mine.conf") in done.stderr
    assert host.files() == before


def test_undo_goes_back_one_step(project: Path, host: _Host) -> None:
    """After a second run undo brings the first one's files back; after a first run there is nothing left of it."""
    before = host.files()
    _write(project, host.etc, host.environment)
    first = host.files()
    host.settings(PROXY_READ_TIMEOUT="60")
    _write(project, host.etc, host.environment)
    assert host.files() != first
    assert _write(project, "--undo", host.etc).returncode == 0
    assert host.files() == first
    assert _write(project, "--undo", host.etc).returncode == 1
    assert _write(project, "--remove", host.etc).returncode == 0
    assert host.files() == before


def test_undo_of_the_first_time(project: Path, host: _Host) -> None:
    """Undo after the first run leaves the host as it was."""
    before = host.files()
    _write(project, host.etc, host.environment)
    assert _write(project, "--undo", host.etc).returncode == 0
    assert host.files() == before


def test_own_lines_on_the_host_stay(project: Path, host: _Host) -> None:
    """A file in the included directory for own lines survives the next run; an edited file of ours is kept aside."""
    _write(project, host.etc, host.environment)
    own = host.etc / _NAME / "conf.d" / "server" / "mine.conf"
    own.write_text("underscores_in_headers on;\n")
    edited = host.etc / _NAME / "snippets" / "http.conf"
    edited.write_text("# edited\n")
    done = _write(project, host.etc, host.environment)
    assert own.read_text() == "underscores_in_headers on;\n"
    assert "./snippets/http.conf" in done.stdout
    assert (host.etc / f"{_NAME}.before" / "own" / "snippets" / "http.conf").read_text() == "# edited\n"


def test_a_directory_without_an_nginx_conf(project: Path, host: _Host, application: None) -> None:
    """Into an empty directory a whole configuration is written, with the user of the installed nginx."""
    assert application is None
    alone = host.root / "alone"
    host.settings(NGINX_ACCESS_LOG="/dev/null")
    assert _write(project, alone, host.environment).returncode == 0
    assert "\nuser www-data;\n" in (alone / "nginx.conf").read_text()
    with _running(alone / "nginx.conf"):
        wait_until(lambda: _answers(host), seconds=10, what="nginx")
        assert host.ask("example.com") == (200, "example.com 127.0.0.1")
        with pytest.raises(http.client.RemoteDisconnected):
            host.ask("unknown.example")


def _answers(host: _Host) -> bool:
    try:
        return host.ask("example.com")[0] > 0
    except OSError:
        return False


def test_tls_on_debians_nginx(tmp_path_factory: pytest.TempPathFactory, host: _Host, application: None) -> None:
    """With a throw-away certificate it serves TLS and HTTP/2 beside the other site; plain HTTP is redirected."""
    assert application is None
    project, tls_port = bake(tmp_path_factory.mktemp("tls"), deploy="systemd", tls="acme"), free_port()
    certificate = ["sh", str(project / "ops" / "certificate"), str(host.root / "tls"), "example.com"]
    subprocess.run(certificate, check=True, capture_output=True, timeout=60)
    host.settings(
        NGINX_TLS_LISTEN=f"127.0.0.1:{tls_port}",
        NGINX_TLS_CERTIFICATE=f"{host.root}/tls/fullchain.pem",
        NGINX_TLS_CERTIFICATE_KEY=f"{host.root}/tls/privkey.pem",
    )
    assert _write(project, host.etc, host.environment).returncode == 0
    mine = host.etc / _NAME / "conf.d" / "plain" / "mine.conf"
    mine.write_text("location /plain { return 200 plain; }\n")
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 0, done.stderr
    context = ssl.create_default_context(cafile=host.root / "tls" / "fullchain.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    with _running(host.etc / "nginx.conf") as nginx:
        wait_until(lambda: _answers(host), seconds=10, what=f"nginx\n{nginx.output()}")
        with (
            socket.create_connection(("127.0.0.1", tls_port), 10) as plain,
            context.wrap_socket(plain, server_hostname="example.com") as secure,
        ):
            assert secure.selected_alpn_protocol() == "h2"
        context.set_alpn_protocols(["http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", tls_port), 10) as plain,
            context.wrap_socket(plain, server_hostname="example.com") as secure,
        ):
            secure.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
            assert secure.recv(100).startswith(b"HTTP/1.1 200 ")
        assert host.ask(_OTHER) == (200, "other")
        assert host.ask("example.com", "/x")[0] == 308
        assert host.ask("example.com", "/plain") == (200, "plain")
        assert host.ask("example.com", "/.well-known/acme-challenge/none")[0] == 404


def test_too_few_connections_are_told(project: Path, host: _Host) -> None:
    """Debian's 768 connections hold fewer requests than may wait during a restart: the command says what to write."""
    host.settings(NGINX_REQUESTS_IN_FLIGHT="2048")
    assert "worker_connections 768" in _write(project, host.etc, host.environment).stdout
    host.settings(NGINX_REQUESTS_IN_FLIGHT="256")
    assert "worker_connections" not in _write(project, host.etc, host.environment).stdout
