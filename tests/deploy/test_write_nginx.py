"""The generated ``write-nginx`` on Debian's own nginx, which serves another site already."""

import hashlib
import http.client
import os
import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
_SIZES = "conf.d/00-no502.conf"
_LIMITS = "modules-enabled/00-no502.conf"


class _Answer(BaseHTTPRequestHandler):
    """An application that says which client it was told about."""

    protocol_version = "HTTP/1.1"

    extra = ""

    def do_GET(self) -> None:
        """Answer."""
        body = f"{self.extra}{self.headers['Host']} {self.headers['X-Forwarded-For']}".encode()
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
        self.other_socket = root / "other.sock"
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
        self._settings(self.environment, changes)

    def other_settings(self, **changes: str) -> Path:
        """Write the environment of a second service, with a name and a socket of its own, and return its path."""
        path = self.root / "other-environment"
        other = {"NGINX_SERVER_NAME": "second.example", "NGINX_UPSTREAM": f"unix:{self.other_socket}"}
        self._settings(path, {**other, **changes})
        return path

    def _settings(self, path: Path, changes: dict[str, str]) -> None:
        lines = {
            "PROXY_READ_TIMEOUT": "180",
            "NGINX_LISTEN": f"127.0.0.1:{self.port}",
            "NGINX_SERVER_NAME": '"example.com localhost"',
            "NGINX_UPSTREAM": f"unix:{self.socket}",
            "NGINX_ACCESS_LOG": "/dev/stdout",
            "DATABASE_URL": "postgresql://a:$(touch /tmp/executed)@h/d?a=1&b=2;x",
            **changes,
        }
        path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def add(self, name: str, text: str) -> None:
        """Put a file of another site into the host's nginx."""
        file = self.etc / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

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


@pytest.fixture(name="second", scope="module")
def _second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second service, with the longest wait of the two."""
    answers = {"project_name": "Second", "proxy_read_timeout": "600"}
    return bake(tmp_path_factory.mktemp("second"), deploy="systemd", **answers)


def _write(project: Path, *arguments: str | Path, units: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(project / "deploy" / "systemd" / "write-nginx"), *map(str, arguments)]
    environment = {**os.environ, **({"SYSTEMD_UNITS": str(units)} if units else {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


@contextmanager
def _serving(path: Path, *, extra: str = "", group: str = "www-data") -> Iterator[None]:
    """Serve on a unit's socket, which only root and nginx's group may use."""
    answer = type("_Named", (_Answer,), {"extra": extra})
    with socketserver.ThreadingUnixStreamServer(str(path), answer) as server:
        if os.geteuid() == 0:
            shutil.chown(path, "root", group)
        path.chmod(0o660)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.fixture(name="application")
def _application(host: _Host) -> Iterator[None]:
    with _serving(host.socket):
        yield


@pytest.fixture(name="other_application")
def _other_application(host: _Host) -> Iterator[None]:
    with _serving(host.other_socket, extra="second: "):
        yield


def _limits(host: _Host) -> list[str]:
    """Return what the services of the host have written into nginx's main context."""
    file = host.etc / _LIMITS
    return file.read_text().splitlines()[1:] if file.exists() else []


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
        _LIMITS,
        _SIZES,
    }
    assert _limits(host) == ["worker_rlimit_nofile 16384;", "worker_shutdown_timeout 180s;"]
    assert not Path("/tmp/executed").exists()  # noqa: S108


@pytest.mark.parametrize("name", [f"conf.d/{_NAME}.conf", f"{_NAME}/mine.conf", _LIMITS])
def test_files_of_others_are_refused(project: Path, host: _Host, name: str) -> None:
    """A file of one of our names that is not from here is named, and nothing is changed."""
    host.add(name, "server { listen 81; }\n")
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


# --------------------------------------------------------------------------------------------- other sites and services
def test_two_services_on_one_nginx(
    project: Path, second: Path, host: _Host, application: None, other_application: None
) -> None:
    """Each answers under its own name from its own upstream, and the host's site under its own."""
    assert application is other_application
    for done in (_write(project, host.etc, host.environment), _write(second, host.etc, host.other_settings())):
        assert done.returncode == 0, done.stderr
    with _running(host.etc / "nginx.conf") as nginx:
        wait_until(lambda: _answers(host), seconds=10, what=f"nginx\n{nginx.output()}")
        assert host.ask("example.com") == (200, "example.com 127.0.0.1")
        assert host.ask("second.example") == (200, "second: second.example 127.0.0.1")
        assert host.ask("unknown.example") == (200, "other")
        assert host.ask("example.com", "/health/none")[0] == 404
        assert "[warn]" not in nginx.output()


def test_two_services_over_tls(tmp_path: Path, host: _Host) -> None:
    """nginx takes both on one address without a warning, and only the first one answers names that no site has."""
    tls_port = free_port()
    for name, environment in (("First", host.environment), ("Second", host.root / "other-environment")):
        project = bake(tmp_path / name, deploy="systemd", tls="files", project_name=name)
        certificate = ["sh", str(project / "ops" / "certificate"), str(host.root / name), f"{name}.example"]
        subprocess.run(certificate, check=True, capture_output=True, timeout=60)
        changes = {
            "NGINX_SERVER_NAME": f"{name}.example",
            "NGINX_TLS_LISTEN": f"127.0.0.1:{tls_port}",
            "NGINX_TLS_CERTIFICATE": f"{host.root}/{name}/fullchain.pem",
            "NGINX_TLS_CERTIFICATE_KEY": f"{host.root}/{name}/privkey.pem",
        }
        if environment == host.environment:
            host.settings(**changes)
        else:
            host.other_settings(**changes)
        done = _write(project, host.etc, environment)
        assert done.returncode == 0, done.stderr
    test = subprocess.run([_NGINX, "-t", "-c", host.etc / "nginx.conf"], capture_output=True, text=True, check=False)
    assert "[warn]" not in test.stderr
    defaults = [
        file.relative_to(host.etc).parts[0]
        for file in host.etc.glob("*/conf.d/default.conf")
        if re.search(rf"^ *listen 127\.0\.0\.1:{tls_port} .*default_server", file.read_text(), re.MULTILINE)
    ]
    assert defaults == ["first"]


def test_another_site_may_use_every_name_that_ours_have(project: Path, host: _Host, application: None) -> None:
    """Its upstream, zones, format and maps have the plain names; its values are its own, and so are ours."""
    assert application is None
    host.add(
        "conf.d/zz-theirs.conf",
        "upstream backend { zone backend 128k; server 127.0.0.1:1; }\n"
        "log_format json '{}';\nlimit_conn_zone $server_name zone=in_flight:1m;\n"
        "map $uri $forwarded_proto { default theirs; }\nmap $uri $problem { default theirs; }\n"
        "map $uri $own_error { default theirs; }\nmap $uri $access_logged { default 0; }\n"
        f"server {{ listen 127.0.0.1:{host.port}; server_name theirs.example; location / {{\n"
        ' return 200 "$forwarded_proto $problem $own_error"; } }\n',
    )
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 0, done.stderr
    with _running(host.etc / "nginx.conf") as nginx:
        wait_until(lambda: _answers(host), seconds=10, what=f"nginx\n{nginx.output()}")
        assert host.ask("theirs.example") == (200, "theirs theirs theirs")
        assert host.ask("example.com") == (200, "example.com 127.0.0.1")
        status, body = host.ask("example.com", "/metrics")
        assert status == 404
        assert '"title":"Not Found"' in body
        wait_until(lambda: '"uri":"/metrics"' in nginx.output(), seconds=10, what="our line of the access log")


def test_nothing_of_ours_is_a_name_without_the_services(project: Path, host: _Host) -> None:
    """Variables, zones, formats and upstreams begin with its name, and regular expressions make no variables."""
    assert _write(project, host.etc, host.environment).returncode == 0
    declared = ["awk", "-v", "declared=1", "-f", str(project / "deploy" / "systemd" / "own-names.awk")]
    files = sorted((host.etc / _NAME).rglob("*.conf"))
    names = subprocess.run([*declared, *map(str, files)], check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )[:-1]
    assert {name.split()[0] for name in names} == {"variable", "zone", "format", "upstream"}
    assert [name for name in names if not name.split()[1].startswith("my_service_")] == []
    assert [file for file in files if re.search(r"\(\?P?<[a-z]", file.read_text())] == []


def test_the_longest_of_names_loads(tmp_path: Path, host: _Host) -> None:
    """nginx takes the variables of a service with a long name, and has nothing to warn about."""
    project = bake(tmp_path, deploy="systemd", project_name="Generation two of the service for payments in Europe")
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 0, done.stderr
    test = subprocess.run([_NGINX, "-t", "-c", host.etc / "nginx.conf"], capture_output=True, text=True, check=False)
    assert test.returncode == 0, test.stderr
    assert "[warn]" not in test.stderr


def test_a_name_of_ours_in_another_file_is_refused(project: Path, host: _Host) -> None:
    """A map of another file that would take the place of ours is named with its line, and nothing is changed."""
    host.add("conf.d/theirs.conf", "# ours?\nmap $uri $my_service_problem { default theirs; }\n")
    before = host.files()
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 1
    assert f"{host.etc}/conf.d/theirs.conf:2: map $uri $my_service_problem" in done.stderr
    assert host.files() == before


def test_a_server_name_that_another_site_has_is_refused(project: Path, second: Path, host: _Host) -> None:
    """nginx would ignore one of the two: the line that has the name is shown, and the way out."""
    assert _write(project, host.etc, host.environment).returncode == 0
    before = host.files()
    done = _write(second, host.etc, host.other_settings(NGINX_SERVER_NAME='"second.example localhost"'))
    assert done.returncode == 1
    line = next(
        number
        for number, text in enumerate((host.etc / _NAME / "conf.d" / "default.conf").read_text().splitlines(), 1)
        if "server_name example.com localhost;" in text
    )
    assert f"{host.etc}/{_NAME}/conf.d/default.conf:{line}: server_name example.com localhost" in done.stderr
    assert "Take the name out of NGINX_SERVER_NAME in" in done.stderr
    assert host.files() == before


def test_limits_are_written_once_for_all_services(project: Path, second: Path, host: _Host) -> None:
    """The longest wait counts while its service is there; with the last service the file goes."""
    _write(project, host.etc, host.environment)
    _write(second, host.etc, host.other_settings(PROXY_READ_TIMEOUT="600"))
    assert _limits(host) == ["worker_rlimit_nofile 16384;", "worker_shutdown_timeout 600s;"]
    _write(second, "--remove", host.etc)
    assert _limits(host) == ["worker_rlimit_nofile 16384;", "worker_shutdown_timeout 180s;"]
    _write(project, "--remove", host.etc)
    assert _limits(host) == []


def test_limits_of_the_host_stand(project: Path, host: _Host) -> None:
    """What nginx.conf or another file sets is not set twice; a wait that is too short is told with its line."""
    host.add("modules-enabled/10-mine.conf", "# mine\nworker_shutdown_timeout 30s;\n")
    main = host.etc / "nginx.conf"
    main.write_text("worker_rlimit_nofile 9000;\n" + main.read_text())
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 0, done.stderr
    assert _limits(host) == []
    assert f"{host.etc}/modules-enabled/10-mine.conf:2 worker_shutdown_timeout 30s: a reload" in done.stdout


def test_a_default_server_in_another_directory_is_seen(project: Path, host: _Host, application: None) -> None:
    """Wherever nginx.conf includes it from, it stays the one for names that no site has."""
    assert application is None
    (host.etc / "sites-enabled" / "default").unlink()
    host.add(
        "vhosts/site.conf",
        f"server {{ listen 127.0.0.1:{host.port} default_server; server_name {_OTHER}; return 200 other; }}\n",
    )
    host.add("conf.d/vhosts.conf", "include vhosts/*.conf;\n")
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 0, done.stderr
    with _running(host.etc / "nginx.conf") as nginx:
        wait_until(lambda: _answers(host), seconds=10, what=f"nginx\n{nginx.output()}")
        assert host.ask("unknown.example") == (200, "other")


def test_a_site_that_is_the_default_because_it_comes_first(project: Path, host: _Host, application: None) -> None:
    """It is named and nothing is changed; with --default-server names that no site has are refused."""
    assert application is None
    site = host.etc / "sites-available" / "default"
    site.write_text(site.read_text().replace(" default_server", ""))
    before = host.files()
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 1
    assert f"{host.etc}/sites-enabled/default:2" in done.stderr
    assert host.files() == before
    assert _write(project, "--default-server", host.etc, host.environment).returncode == 0
    assert _write(project, host.etc, host.environment).returncode == 0
    with _running(host.etc / "nginx.conf") as nginx:
        wait_until(lambda: _answers(host), seconds=10, what=f"nginx\n{nginx.output()}")
        assert host.ask(_OTHER) == (200, "other")
        with pytest.raises(http.client.RemoteDisconnected):
            host.ask("unknown.example")


def test_an_nginx_that_does_not_load_is_left_alone(project: Path, host: _Host) -> None:
    """Where nginx accepts neither what was there nor the result, the command says that it could not judge."""
    host.add("conf.d/broken.conf", "no_such_directive on;\n")
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 0, done.stderr
    assert "not tested by nginx -t" in done.stdout


def test_undo_after_a_refused_run(project: Path, host: _Host) -> None:
    """A run that nginx refuses changes nothing, not even what undo goes back to."""
    before = host.files()
    _write(project, host.etc, host.environment)
    first = host.files()
    host.settings(PROXY_READ_TIMEOUT="60")
    _write(project, host.etc, host.environment)
    second = host.files()
    own = project / "nginx.d" / "broken.conf"
    own.write_text("no_such_directive on;\n")
    try:
        done = _write(project, host.etc, host.environment)
    finally:
        own.unlink()
    assert done.returncode == 1
    assert "broken.conf:1" in done.stderr
    assert host.files() == second
    assert _write(project, "--undo", host.etc).returncode == 0
    assert host.files() == first
    assert _write(project, "--remove", host.etc).returncode == 0
    assert host.files() == before


def test_own_lines_with_plain_names_are_shown(project: Path, host: _Host) -> None:
    """Lines on the host that name our upstream as Compose has it: refused with the line and the name it has here."""
    _write(project, host.etc, host.environment)
    own = host.etc / _NAME / "conf.d" / "server" / "mine.conf"
    own.write_text("location /x {\n    proxy_pass http://backend;\n}\n")
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 1
    assert "Names of this service begin with my_service_ here" in done.stderr
    assert "conf.d/server/mine.conf:2:" in done.stderr


def test_own_lines_of_the_project_are_renamed(project: Path, host: _Host, application: None) -> None:
    """What nginx.d says about our names is installed with the names that they have here."""
    assert application is None
    own = project / "nginx.d" / "mine.conf"
    own.write_text('location /own { add_header X-Own "$shared_request_id$host"; proxy_pass http://backend/; }\n')
    try:
        done = _write(project, host.etc, host.environment)
    finally:
        own.unlink()
    assert done.returncode == 0, done.stderr
    text = (host.etc / _NAME / "conf.d" / "server" / "mine.conf").read_text()
    assert '"$my_service_shared_request_id$host"; proxy_pass http://my_service_backend/;' in text


# ----------------------------------------------------------------------------------------------------- the environment
def test_values_in_single_quotes(project: Path, host: _Host) -> None:
    """systemd takes both kinds of quotes off; so does the command."""
    host.settings(PROXY_READ_TIMEOUT="'60'", NGINX_SERVER_NAME="'a.example b.example'  ")
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 0, done.stderr
    assert "proxy_read_timeout 60s;" in (host.etc / _NAME / "conf.d" / "app" / "numbers.conf").read_text()
    assert "server_name a.example b.example;" in (host.etc / _NAME / "conf.d" / "default.conf").read_text()


def test_values_that_nginx_would_misread_are_refused(project: Path, host: _Host) -> None:
    """Each is named with what is allowed, all at once, and nothing is changed."""
    before = host.files()
    host.settings(PROXY_READ_TIMEOUT="60s", NGINX_SERVER_NAME="a;b", NGINX_LISTEN="")
    done = _write(project, host.etc, host.environment)
    assert done.returncode == 1
    assert [line.split(":")[0].split(" is ")[0].strip() for line in done.stderr.splitlines()[1:]] == [
        "NGINX_LISTEN",
        "NGINX_SERVER_NAME=a;b",
        "PROXY_READ_TIMEOUT=60s",
    ]
    assert host.files() == before


# ---------------------------------------------------------------------------------------------------------- connections
def test_connections_are_raised_on_request_and_put_back(project: Path, second: Path, host: _Host) -> None:
    """With --connections the one number in nginx.conf is changed; it is what it was when the last service goes."""
    before = host.files()
    host.settings(NGINX_REQUESTS_IN_FLIGHT="2048")
    done = _write(project, "--connections", host.etc, host.environment)
    assert "worker_connections 4096; # write-nginx: 768 -> 4096" in (host.etc / "nginx.conf").read_text()
    assert "worker_connections" not in done.stdout
    many = host.other_settings(NGINX_REQUESTS_IN_FLIGHT="4096")
    assert _write(second, "--connections", host.etc, many).returncode == 0
    assert "worker_connections 8192; # write-nginx: 768 -> 8192" in (host.etc / "nginx.conf").read_text()
    _write(project, "--remove", host.etc)
    assert "worker_connections 8192;" in (host.etc / "nginx.conf").read_text()
    _write(second, "--remove", host.etc)
    assert host.files() == before


def test_a_number_of_connections_that_was_changed_since_stays(project: Path, host: _Host) -> None:
    """Removing puts back only the number that the command has written."""
    _write(project, "--connections", host.etc, host.environment)
    main = host.etc / "nginx.conf"
    main.write_text(main.read_text().replace("worker_connections 4096;", "worker_connections 9000;"))
    _write(project, "--remove", host.etc)
    assert "worker_connections 9000;" in main.read_text()


# --------------------------------------------------------------------------------------------------- the socket's group
def _units_of(project: Path, host: _Host) -> Path:
    """Return a directory of units with the service's socket in it."""
    units = host.root / "system"
    units.mkdir()
    shutil.copy(project / "deploy" / "systemd" / f"{_NAME}.socket", units)
    return units


def test_a_socket_that_lets_nginx_in_needs_nothing(project: Path, host: _Host) -> None:
    """Debian's nginx runs as www-data, which is the group of the socket."""
    units = _units_of(project, host)
    done = _write(project, host.etc, host.environment, units=units)
    assert "does not let in" not in done.stdout
    assert [path.name for path in units.iterdir()] == [f"{_NAME}.socket"]


def test_a_socket_for_another_group_gets_a_drop_in(project: Path, host: _Host) -> None:
    """Where nginx runs as another user the drop-in names that group; undo takes it away."""
    units = _units_of(project, host)
    main = host.etc / "nginx.conf"
    main.write_text(main.read_text().replace("user www-data;", "user games;"))
    done = _write(project, host.etc, host.environment, units=units)
    assert done.returncode == 0, done.stderr
    drop_in = units / f"{_NAME}.socket.d" / "nginx-group.conf"
    assert drop_in.read_text().endswith("[Socket]\nSocketGroup=games\n")
    assert f"systemctl restart {_NAME}.socket {_NAME}.service" in done.stdout
    assert _write(project, "--undo", host.etc, units=units).returncode == 0
    assert [path.name for path in units.iterdir()] == [f"{_NAME}.socket"]


def test_nginx_as_another_user_reaches_the_socket(project: Path, host: _Host) -> None:
    """With the group of the drop-in requests are answered; with the one in the unit every one would be 502."""
    units = _units_of(project, host)
    main = host.etc / "nginx.conf"
    main.write_text(main.read_text().replace("user www-data;", "user games;"))
    _write(project, host.etc, host.environment, units=units)
    text = (units / f"{_NAME}.socket.d" / "nginx-group.conf").read_text()
    statuses = {}
    for group in (text.strip().rpartition("SocketGroup=")[2], "www-data"):
        host.socket.unlink(missing_ok=True)
        with _serving(host.socket, group=group), _running(main) as nginx:
            wait_until(lambda: _answers(host), seconds=10, what=f"nginx\n{nginx.output()}")
            statuses[group] = host.ask("example.com")[0]
    assert statuses == ({"games": 200, "www-data": 502} if os.geteuid() == 0 else {"games": 200, "www-data": 200})


def test_a_group_that_the_administrator_has_set_counts(project: Path, host: _Host) -> None:
    """A drop-in with nginx's group is enough; without a directory of units the command only says what to set."""
    units = _units_of(project, host)
    main = host.etc / "nginx.conf"
    main.write_text(main.read_text().replace("user www-data;", "user daemon games;"))
    (units / f"{_NAME}.socket.d").mkdir()
    (units / f"{_NAME}.socket.d" / "mine.conf").write_text("[Socket]\nSocketGroup=games\n")
    assert "does not let in" not in _write(project, host.etc, host.environment, units=units).stdout
    assert "set SocketGroup=games there" in _write(project, host.etc, host.environment).stdout
