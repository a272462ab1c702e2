"""The generated service's ``ops/diagnose``, run by two shells against real servers and real log lines."""

import os
import pty
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import service_causes

from no502.messages import causes
from no502.nginx.binary import find_nginx, nginx_version
from tests.nginx.proxy import Nginx, Proxy
from tests.support.backend import Backend, Request, response
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.template import PROJECT, bake, service_environment
from tests.template.conftest import Service

SCRIPT = PROJECT / "ops" / "diagnose"
RUNBOOK = PROJECT / "ops" / "runbook.md"

_SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"]}
_NGINX = {"musl": None, "glibc": "/usr/sbin/nginx"}

# A host of its own: no containers, no units, and a free port where nothing answers.
_QUIET = ("docker", "systemctl", "journalctl", "dmesg")
_CLIENTS = ("curl", "wget")


@pytest.fixture(name="shell", params=list(_SHELLS))
def _shell(request: pytest.FixtureRequest) -> list[str]:
    """Each of the two shells."""
    command = _SHELLS[request.param]
    assert shutil.which(command[0]), f"these tests need {command[0]}: apt-get install {command[0]}"
    return command


@pytest.fixture(name="programs", scope="session")
def _programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for PATH with every program of this machine but clients and those that show the rest of it."""
    programs = tmp_path_factory.mktemp("programs")
    for directory in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for program in Path(directory).iterdir():
            if program.name not in {*_QUIET, *_CLIENTS} and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    return programs


@pytest.fixture(name="tools")
def _tools(tmp_path: Path) -> Path:
    """A directory for PATH with the clients, for tests that take them away or add something."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in _CLIENTS:
        found = shutil.which(name)
        assert found, f"these tests need {name}: apt-get install {name}"
        (tools / name).symlink_to(found)
    return tools


Diagnose = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(name="diagnose")
def _diagnose(shell: list[str], tools: Path, programs: Path, tmp_path: Path) -> Diagnose:
    """Run the script to its end in an empty directory; by default nothing answers anywhere."""
    here = tmp_path / "here"
    here.mkdir()

    def run(*options: str | Path, stdin: bool = False, **environment: str) -> "subprocess.CompletedProcess[str]":
        script = ["-s", "--"] if stdin else [str(SCRIPT)]
        nowhere = f"http://127.0.0.1:{free_port()}"
        own = {"PATH": f"{tools}:{programs}", "HOME": str(here), "DIAGNOSE_URL": nowhere, "DIAGNOSE_BACKEND": nowhere}
        done = subprocess.run(
            [str(shutil.which(shell[0])), *shell[1:], *script, *map(str, options)],
            cwd=here,
            env={**own, **environment},
            input=SCRIPT.read_text(encoding="utf-8") if stdin else "",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert list(here.iterdir()) == [], "it must not write anything"
        return done

    return run


def _causes(text: str) -> set[str]:
    """Return the causes that a part of the output names."""
    return set(re.findall(r"\(([a-z]+(?:-[a-z]+)*)\)$", text, re.MULTILINE))


def _section(output: str, name: str) -> str:
    """Return one section of the output, up to the next heading."""
    return re.split(r"\n(?=\S)", output.split(f"\n{name}", 1)[1])[0]


def _likely(output: str) -> str | None:
    found = re.search(r"likely cause: .*\n +go on with ops/runbook.md#(\S+)", output)
    return found[1] if found else None


def _documented(text: str | None = None) -> dict[str, str]:
    """Return the cause sections of a runbook, by default the template's."""
    parts = re.split(r"^#{1,2} ", text or RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(part.split("\n", 1) for part in parts if "\n" in part)
    return {name: text for name, text in sections.items() if re.fullmatch(r"[a-z]+(-[a-z]+)*", name)}


# ------------------------------------------------------------------------------------------------ script and runbook
def test_it_is_clean_posix_shell() -> None:
    """shellcheck finds nothing, dash and busybox parse it, and it can be executed."""
    assert os.access(SCRIPT, os.X_OK)
    for command in (
        [Path(sys.executable).with_name("shellcheck"), "-s", "sh"],
        ["dash", "-n"],
        ["busybox", "sh", "-n"],
    ):
        done = subprocess.run([*command, str(SCRIPT)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout == "", done.stdout + done.stderr


def test_every_cause_has_its_section_and_every_section_its_cause(diagnose: Diagnose) -> None:
    """What the script can name, what it lists and what the runbook explains are the same."""
    listed = [line.split("|")[0] for line in diagnose("--list-causes").stdout.splitlines()]
    text = SCRIPT.read_text(encoding="utf-8")
    named = re.findall(r'\b(?:problem|warning) ([a-z]+(?:-[a-z]+)*) "', text)
    counted = re.findall(r'\) return "([a-z]+(?:-[a-z]+)*)"', text)
    assert len(set(listed)) == len(listed)
    assert set(named) | set(counted) == set(listed)
    assert sorted(_documented()) == sorted(listed)


def test_every_section_says_what_to_do() -> None:
    """Each has the line, the meaning, the remedy and the proof; every link leads to a heading."""
    for name, section in _documented().items():
        assert re.findall(r"^- \*\*(\w+):\*\*", section, re.MULTILINE) == ["Line", "Means", "Do", "Verify"], name
    links = set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK.read_text(encoding="utf-8")))
    assert links <= set(_documented())


@pytest.mark.parametrize("name", ["diagnose", "runbook.md"])
def test_the_catalogue_is_the_home_of_log_lines(name: str) -> None:
    """Both files are what the catalogue of messages gives: `make sync` would change nothing."""
    found, text, book = causes(), SCRIPT.read_text(encoding="utf-8"), RUNBOOK.read_text(encoding="utf-8")
    made = {
        "diagnose": service_causes.diagnose(text, found),
        "runbook.md": service_causes.runbook(book, found, service_causes.states_of(text)),
    }
    assert (PROJECT / "ops" / name).read_text(encoding="utf-8") == made[name]


# --------------------------------------------------------------------------------------------------------------- TLS
@pytest.fixture(name="over_tls", scope="module")
def _over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A service whose nginx ends TLS, with a throw-away certificate: its directory and the port."""
    place = tmp_path_factory.mktemp("tls")
    project, port = bake(place, tls="files"), free_port()
    environment = service_environment(place / "tmp", TLS="1", TLS_PORT=str(port), WEB_CONCURRENCY="1")
    with Running([sys.executable, "-m", "ops.serve", str(free_port())], env=environment, cwd=project) as running:
        running.wait_for_output("serve: try: ", seconds=40)
        yield project, port
        running.terminate()
        running.wait(20)


In = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(name="diagnose_in")
def _diagnose_in(shell: list[str], tools: Path, programs: Path) -> In:
    """Run a project's own script in its directory, without an address."""

    def run(project: Path, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        own = {"PATH": f"{tools}:{programs}", "DIAGNOSE_BACKEND": f"http://127.0.0.1:{free_port()}", **environment}
        command = [str(shutil.which(shell[0])), *shell[1:], "ops/diagnose", *options]
        return subprocess.run(command, cwd=project, env=own, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.mark.parametrize("client", _CLIENTS)
def test_a_service_over_tls_is_asked_over_tls(
    diagnose_in: In, over_tls: tuple[Path, int], tools: Path, client: str
) -> None:
    """The default address is https on HTTPS_PORT, whatever names the certificate has; with curl and with wget."""
    project, port = over_tls
    for other in set(_CLIENTS) - {client}:
        (tools / other).unlink()
    done = diagnose_in(project, HTTPS_PORT=str(port))
    line = rf"\[ ok \] outside  https://localhost:{port}/health/ready: 200 in "
    assert re.search(line, done.stdout), done.stdout


def test_the_port_over_tls_is_in_the_env_file(diagnose_in: In, over_tls: tuple[Path, int], tmp_path: Path) -> None:
    """As Compose reads it; without it, 8443."""
    _, port = over_tls
    project = bake(tmp_path, tls="files")
    assert "outside  https://localhost:8443/health/ready" in diagnose_in(project).stdout
    with (project / ".env").open("a", encoding="utf-8") as file:
        file.write(f"HTTPS_PORT={port}\n")
    done = diagnose_in(project)
    assert f"[ ok ] outside  https://localhost:{port}/health/ready: 200" in done.stdout, done.stdout


def test_without_tls_the_default_stays_http(diagnose_in: In, tmp_path: Path) -> None:
    """A service without the answer is asked over HTTP, even where HTTPS_PORT is set for something else."""
    done = diagnose_in(bake(tmp_path), HTTPS_PORT="9443", HTTP_PORT="9080")
    assert "outside  http://localhost:9080/health/ready" in done.stdout
    assert "https:" not in done.stdout


def test_a_certificate_is_checked_where_the_address_is_given(diagnose_in: In, over_tls: tuple[Path, int]) -> None:
    """Only the default passes over it."""
    project, port = over_tls
    url = f"https://localhost:{port}"
    done = diagnose_in(project, "--url", url)
    assert re.search(rf"\[FAIL\] outside  {url}/health/ready: no answer .*certificate", done.stdout), done.stdout
    assert "[ ok ] outside" in diagnose_in(project, "--url", url, "--insecure").stdout


def test_the_host_is_named_in_the_handshake(diagnose_in: In, over_tls: tuple[Path, int]) -> None:
    """--host with a name of nginx answers; another name is refused in the handshake, and that is said."""
    project, port = over_tls
    known = diagnose_in(project, "--host", "example.com", HTTPS_PORT=str(port))
    assert "[ ok ] outside" in known.stdout, known.stdout
    unknown = diagnose_in(project, "--host", "unknown.example.net", HTTPS_PORT=str(port))
    assert _causes(_section(unknown.stdout, "Endpoints")) == {"backend-down", "wrong-host"}, unknown.stdout


@pytest.mark.parametrize(("published", "address"), [("0.0.0.0:{}", "https"), ("", "http")])
def test_the_port_of_a_container(
    diagnose: Diagnose, tools: Path, over_tls: tuple[Path, int], published: str, address: str
) -> None:
    """Docker knows where nginx's 443 is published, also far from the project's directory.

    The Docker here is a stand-in that answers what the real one prints in these formats.
    """
    _, port = over_tls
    (tools / "docker").write_text(_DOCKER, encoding="utf-8")
    (tools / "docker").chmod(0o755)
    plain = free_port()
    ports = {
        "PUBLISHED": published.format(port),
        "HTTP_PORT": str(plain),
        "DIAGNOSE_URL": "",
        "STATE": "running healthy 0 false 0",
        "KILLS": "0",
    }
    done = diagnose(stdin=True, **ports)
    where = f"https://localhost:{port}" if address == "https" else f"http://localhost:{plain}"
    assert f"outside  {where}/health/ready: " in done.stdout, done.stdout


# ---------------------------------------------------------------------------------------------------- systemd
_SYSTEMCTL = """\
#!/bin/sh
case $1 in
list-sockets) printf '%s\\n' '/run/dbus/system_bus_socket dbus.socket dbus.service' "$SOCKETS" ;;
*) echo LoadState=not-found ;;
esac
"""
_NOTHING_SAID = {"DIAGNOSE_URL": "", "DIAGNOSE_BACKEND": ""}


def _with_sockets(tools: Path, *names: str) -> dict[str, str]:
    """Put a systemctl into PATH that lists the sockets of services with these names; return the environment for it."""
    (tools / "systemctl").write_text(_SYSTEMCTL, encoding="utf-8")
    (tools / "systemctl").chmod(0o755)
    return {"SOCKETS": "\n".join(f"/run/{name}/gunicorn.sock {name}.socket {name}.service" for name in names)}


def test_a_service_of_systemd_is_known_in_its_directory(diagnose_in: In, tmp_path: Path) -> None:
    """Socket, address and name are those of the units, without an option."""
    project = bake(tmp_path, deploy="systemd", domain="api.example.org")
    environment = project / "deploy" / "systemd" / "environment.example"
    port = free_port()
    text = environment.read_text(encoding="utf-8").replace("NGINX_LISTEN=80", f"NGINX_LISTEN={port}")
    environment.write_text(text, encoding="utf-8")
    with Backend(port=port) as backend:
        done = diagnose_in(project, **_NOTHING_SAID)
    assert "inside   unix:/run/my-service/gunicorn.sock: " in done.stdout
    assert f"[ ok ] outside  http://127.0.0.1:{port}/health/ready: 200" in done.stdout
    assert [request.all("host") for request in backend.requests] == [["api.example.org"]]


def test_the_only_service_of_a_host_is_known(diagnose: Diagnose, tools: Path) -> None:
    """From a shell over SSH, far from the project's directory, systemd says which one there is."""
    done = diagnose(stdin=True, **_NOTHING_SAID, **_with_sockets(tools, "orders"))
    assert "inside   unix:/run/orders/gunicorn.sock: " in done.stdout


def test_one_of_several_services_has_to_be_named(diagnose: Diagnose, tools: Path) -> None:
    """Without --unit it says which there are and looks at none; with it, at that one."""
    sockets = _with_sockets(tools, "orders", "payments")
    done = diagnose(stdin=True, **_NOTHING_SAID, **sockets)
    assert done.returncode == 2
    assert "several services are here (orders payments): --unit NAME says which" in done.stderr
    named = diagnose("--unit", "payments", stdin=True, **_NOTHING_SAID, **sockets)
    assert "inside   unix:/run/payments/gunicorn.sock: " in named.stdout


def test_the_runbook_has_the_commands_of_the_host(tmp_path: Path) -> None:
    """Under systemd it names the unit and its socket; elsewhere it has Compose's commands and nothing of systemd's."""
    commands = {
        "sudo curl --unix-socket /run/my-service/gunicorn.sock http://localhost/health/checks",
        "journalctl -u my-service -o cat -n 100",
        "systemctl is-active my-service",
        "systemctl reload nginx",
    }
    under_systemd, elsewhere = (
        (bake(tmp_path / target, deploy=target) / "ops" / "runbook.md").read_text(encoding="utf-8")
        for target in ("systemd", "compose")
    )
    assert {command for command in commands if f"`{command}`" in under_systemd} == commands
    assert {command for command in commands if f"`{command}`" in elsewhere} == set()
    about_containers = _documented(under_systemd)["container-down"]
    assert "docker" not in under_systemd.replace(about_containers, "")
    assert "`docker compose exec nginx nginx -t`, then `nginx -s reload`" in elsewhere
    assert "cookiecutter" not in under_systemd + elsewhere


# ------------------------------------------------------------------------------------------------------ real servers
@pytest.fixture(name="stack")
def _stack(usual: Service, tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    """gunicorn and nginx of a generated service: nginx's address, gunicorn's, the log of both."""
    port = free_port()
    environment = service_environment(tmp_path / "tmp", WEB_CONCURRENCY="1")
    with Running(["make", "serve", f"PORT={port}"], env=environment, cwd=usual.directory) as running:
        running.wait_for_output("serve: ready at", seconds=30)
        (path,) = (tmp_path / "tmp").glob("serve-*/gunicorn.sock")
        base = f"http://127.0.0.1:{port}"
        httpx.post(f"{base}/api/greetings", json={"text": "you"})
        wait_until(lambda: running.output().count("/api/greetings") >= 2, what="both access logs")
        log = tmp_path / "both.log"
        log.write_text(running.output(), encoding="utf-8")
        yield base, f"unix:{path}", log
        running.terminate()
        running.wait(20)


@pytest.mark.parametrize("stdin", [False, True])
def test_a_healthy_service(diagnose: Diagnose, stack: tuple[str, str, Path], *, stdin: bool) -> None:
    """Both endpoints and both logs are fine: exit code 0, no problem, plain text; from a file and from stdin alike."""
    url, backend, log = stack
    done = diagnose("--url", url, "--backend", backend, "--nginx-log", log, "--app-log", log, stdin=stdin)
    assert done.returncode == 0, done.stdout
    assert done.stderr == "", done.stdout
    assert "FAIL" not in done.stdout
    assert re.search(r"\[ ok ] inside   unix:\S+: 200 in 0\.\d+ s", done.stdout)
    assert re.search(r"\[ ok ] outside  \S+/health/ready: 200 in 0\.\d+ s", done.stdout)
    assert re.search(r"processes: \d+ gunicorn, \d+ below, \d+ MB, master", done.stdout)
    assert done.stdout.count("nothing known to be bad since 1h") == 2
    assert "\033" not in done.stdout


def test_without_curl(diagnose: Diagnose, stack: tuple[str, str, Path], tools: Path) -> None:
    """wget does as well; what it cannot do, a unix socket, is said and is no problem."""
    url, backend, _ = stack
    (tools / "curl").unlink()
    done = diagnose("--url", url, "--backend", backend)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\[ ok ] outside  \S+/health/ready: 200 in \d s", done.stdout)
    assert "asking a unix socket needs curl" in done.stdout
    assert _causes(_section(diagnose("--url", url).stdout, "Endpoints")) == {"backend-down"}


def test_nginx_down(diagnose: Diagnose, stack: tuple[str, str, Path]) -> None:
    """Inside well, outside nothing."""
    done = diagnose("--backend", stack[1])
    assert done.returncode == 1, done.stdout
    assert _likely(done.stdout) == "nginx-down", done.stdout
    assert _causes(_section(done.stdout, "Endpoints")) == {"nginx-down"}


def test_a_host_that_nobody_knows(diagnose: Diagnose, stack: tuple[str, str, Path]) -> None:
    """nginx closes the connection for an unknown Host; --host names a known one."""
    url, backend, _ = stack
    done = diagnose("--url", url, "--backend", backend, "--host", "unknown.example.net")
    assert done.returncode == 1, done.stdout
    assert _likely(done.stdout) == "wrong-host", done.stdout
    assert diagnose(f"--url={url}", f"--backend={backend}", "--host=example.com").returncode == 0


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        ("503 Service Unavailable", b'{"status":"stopping"}', "stopping"),
        ("503 Service Unavailable", b'{"status":"unavailable"}', "not-ready"),
        ("500 Internal Server Error", b"", "not-ready"),
    ],
)
def test_not_ready(diagnose: Diagnose, status: str, body: bytes, cause: str) -> None:
    """What the service says about itself decides; the outside follows from it."""
    with Backend(lambda _request, _connection: response(status, body)) as backend:
        address = f"http://{backend.upstream}"
        done = diagnose("--url", address, "--backend", address)
    assert done.returncode == 1, done.stdout
    assert _likely(done.stdout) == cause, done.stdout
    assert _causes(_section(done.stdout, "Endpoints")) == {cause}


def test_a_service_that_does_not_answer(diagnose: Diagnose) -> None:
    """It accepts and is silent: bounded by a timeout, and told from one that refuses."""

    def say_nothing(_request: Request, connection: socket.socket) -> None:
        connection.recv(1)

    with Backend(say_nothing) as silent, Backend() as outside:
        done = diagnose("--url", f"http://{outside.upstream}", "--backend", f"http://{silent.upstream}")
    assert done.returncode == 1, done.stdout
    assert _likely(done.stdout) == "backend-silent", done.stdout


def test_only_the_way_between_is_broken(diagnose: Diagnose) -> None:
    """Inside 200, outside 502: nginx cannot use a service that is well."""
    with Backend(lambda _request, _connection: response("502 Bad Gateway")) as outside, Backend() as inside:
        done = diagnose("--url", f"http://{outside.upstream}", "--backend", f"http://{inside.upstream}")
    assert done.returncode == 1, done.stdout
    assert _likely(done.stdout) == "nginx-bypassed", done.stdout


# --------------------------------------------------------------------------------------------- lines of a real nginx
def _close(_request: Request, _connection: socket.socket) -> None:
    """Close without an answer."""


def _silent(_request: Request, connection: socket.socket) -> None:
    connection.recv(1)


def _cut(_request: Request, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


def _stall(_request: Request, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    connection.recv(1)


def _big(_request: Request, _connection: socket.socket) -> bytes:
    return response("200 OK", b"", f"Set-Cookie: {'x' * 40000}")


def _foreign(_request: Request, connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


_REAL = {
    "upstream-reset": _close,
    "slow-response": _silent,
    "response-cut": _cut,
    "stream-silent": _stall,
    "header-too-big": _big,
    "not-http": _foreign,
    "body-too-large": None,
    "backend-refused": None,
    "socket-missing": None,
}


@pytest.mark.parametrize("libc", list(_NGINX))
@pytest.mark.parametrize("cause", list(_REAL))
def test_lines_of_a_real_nginx(diagnose: Diagnose, tmp_path: Path, cause: str, libc: str) -> None:
    """What nginx logs is classified by number and phase: two versions, two C libraries, the same causes."""
    path = find_nginx(_NGINX[libc])
    tree = Path("/tmp") / f"diagnose-{tmp_path.name}-{free_port()}"  # noqa: S108  nginx's workers may not enter tmp_path
    log = tmp_path / "nginx.log"
    upstream = f"unix:{tree}.sock" if cause == "socket-missing" else f"127.0.0.1:{free_port()}"
    changes = {"PROXY_READ_TIMEOUT": "1", "NGINX_CLIENT_MAX_BODY_SIZE": "1k"}
    body = b"x" * (5000 if cause == "body-too-large" else 10)
    try:
        with Backend(_REAL[cause]) as backend:
            address = backend.upstream if _REAL[cause] else upstream
            with Proxy(Nginx(path, nginx_version(path)), tree, address, changes=changes) as proxy:
                try:
                    proxy.ask("POST", "/x?token=hunter2", body=body)
                except OSError:
                    pass  # a response that is cut
                except Exception as error:  # noqa: BLE001  http.client's own errors for the same
                    assert "IncompleteRead" in repr(error) or "BadStatusLine" in repr(error), error  # noqa: PT017
                wait_until(lambda: "client:" in proxy.output(), what="an error line")
                log.write_text(proxy.output(), encoding="utf-8")
    finally:
        shutil.rmtree(tree)
    done = diagnose("--nginx-log", log)
    assert _causes(_section(done.stdout, "Logs")) == {cause}, done.stdout + log.read_text(encoding="utf-8")
    assert re.search(r"nginx: 1 x, first 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d, last 20", done.stdout)
    assert "hunter2" not in done.stdout


# -------------------------------------------------------------------------------------------------------- other lines
_NGINX_LINES = [
    ("upstream-reset", "[error] 1#1: *5 recv() failed (104: Whatever) while reading response header from upstream"),
    ("slow-response", "[error] 1#1: *5 upstream timed out (110: Wort) while reading response header from upstream"),
    ("backend-unreachable", "[error] 1#1: *5 upstream timed out (110: x) while connecting to upstream"),
    ("backend-unreachable", "[error] 1#1: *5 connect() failed (113: No route to host) while connecting to upstream"),
    ("backend-refused", "[error] 1#1: *5 connect() failed (111: Verbindung abgelehnt) while connecting to upstream"),
    ("socket-denied", "[crit] 1#1: *5 connect() to unix:/s failed (13: x) while connecting to upstream"),
    ("backlog-full", "[error] 1#1: *5 connect() to unix:/s failed (11: x) while connecting to upstream"),
    ("no-live-upstreams", "[error] 1#1: *5 no live upstreams while connecting to upstream"),
    ("upstream-name", "[error] 1#1: *5 backend could not be resolved (3: Host not found)"),
    ("upstream-name", '[emerg] 1#1: host not found in upstream "backend:8000" in /etc/nginx/x.conf:3'),
    ("connections-exhausted", "[alert] 1#1: 4096 worker_connections are not enough"),
    ("connections-exhausted", "[crit] 1#1: accept4() failed (24: No file descriptors available)"),
    ("early-answer", "[error] 1#1: *5 writev() failed (32: Broken pipe) while sending request to upstream"),
    ("upload-stalled", "[error] 1#1: *5 upstream timed out (110: x) while sending request to upstream"),
    ("websocket-silent", "[error] 1#1: *5 upstream timed out (110: x) while proxying upgraded connection"),
    ("response-cut", "[error] 1#1: *5 readv() failed (104: x) while reading upstream"),
    ("nginx-config", '[emerg] 1#1: unknown "nginx_server_name" variable'),
    ("port-taken", "[emerg] 1#1: bind() to 0.0.0.0:80 failed (98: Address in use)"),
    ("overloaded", '[warn] 1#1: *5 limiting connections by zone "in_flight"'),
    ("disk-full", '[crit] 1#1: *5 pwrite() "/t/1" failed (28: No space left on device) while reading upstream'),
    ("disk-full", '[crit] 1#1: *5 pwrite() "/t/1" failed (28: Kein Platz)'),
    ("not-http", '[error] 1#1: *5 upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time'),
    ("socket-missing", f"[crit] 1#1: *5 connect() to unix:/{'s' * 200} failed (2: x) while connecting to upstream"),
    (None, "[info] 1#1: *5 client 1.2.3.4 closed keepalive connection (104: Connection reset by peer)"),
    (None, "[warn] 1#1: *5 upstream server temporarily disabled while connecting to upstream"),
    (None, "[info] 1#1: *5 recv() failed (104: Connection reset by peer) while waiting for request"),
    (None, "[error] 1#1: *5 recv() failed (104: Connection reset by peer) while sending to client"),
    (None, '[warn] 1#1: *5 an upstream response is buffered to a temporary file "/t/2" while reading upstream'),
]
_APP_LINES = [
    ("worker-timeout", "{local} [7] [CRITICAL] WORKER TIMEOUT (pid:9)"),
    ("worker-killed", "{local} [7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out of memory?"),
    ("drain-overdue", "{local} [7] [ERROR] handover: worker 9 is killed: it did not leave (stop) in time"),
    (
        "could-not-boot",
        "{local} [7] [ERROR] handover: worker 9 could not boot (failure 1 in a row): 2 workers serve on",
    ),
    ("could-not-boot", "{local} [7] [ERROR] Exception in worker process"),
    ("bad-settings", "gunicorn_conf: PROXY_READ_TIMEOUT=x (environment): must be a whole number from 10 to 86400"),
    ("bad-settings", "settings: APP_DOC: unknown variable; did you mean APP_DOCS?"),
    ("port-taken", "{local} [7] [ERROR] Connection in use: ('0.0.0.0', 8000)"),
    ("forged-addresses", "{local} [7] [WARNING] FORWARDED_ALLOW_IPS=* on 0.0.0.0:8000: any client can forge"),
    ("no-handover", "{local} [7] [WARNING] uvicorn_worker.UvicornWorker loses requests when a worker leaves: x"),
    ("requests-cancelled", '{json}"handover: worker 9 leaves (stop) after 9.0 s: 1 requests served, 2 cancelled"}'),
    ("overloaded", '{json}"overload: requests are refused", "in_flight": 100}'),
    (None, '{json}"overload: over", "refused": 7}'),
    ("disk-full", '{json}"x", "exception": "OSError: [Errno 28] No space left on device"}'),
    ("oom", "app.service: Failed with result 'oom-kill'."),
    ("database-error", "12:00:00 WARNING  app.database: database error sqlstate=57014"),
    (None, "{local} [7] [INFO] Worker (pid:9) was sent SIGTERM!"),
    (None, '{json}"the cause was an unhandled error", "x": 1}'),
    ("deadline-passed", '{json}"request deadline passed", "path": "/x", "seconds": 5}'),
    ("check-failed", '{json}"health check changed", "check": "database", "outcome": "failed"}'),
    ("database-pool", '{json}"no database connection became free in time"}'),
    ("database-error", '{json}"database error", "sqlstate": "57014", "error": "hunter2"}'),
    ("unhandled-error", '{json}"unhandled error", "exception": "hunter2"}'),
    ("connections-exhausted", '{json}"x", "exception": "OSError: [Errno 24] Too many open files"}'),
    (None, '{json}"health check changed", "check": "database", "outcome": "ok"}'),
    (None, '{json}"handover: worker 9 leaves (stop) after 9.0 s: 1 requests served, 0 cancelled"}'),
    (None, '{json}"x", "path": "/WORKER TIMEOUT"}'),
    (None, '{access}"request", "path": "/unhandled error/request deadline passed", "status": 200}'),
    (None, "{local} [7] [INFO] handover: worker 9 is ready"),
]


def _log(path: Path, line: str, *, age: timedelta = timedelta()) -> Path:
    """Write one line that is ``age`` old, in its program's form, between two that mean nothing."""
    now = datetime.now().astimezone() - age
    utc = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
    start = f'{{"time": "{utc}.123+00:00", "level": "info", "logger": "app.x", "message": '
    known = {"local": f"[{now:%Y-%m-%d %H:%M:%S %z}]", "json": start, "access": start.replace("app.x", "app.access")}
    for name, value in known.items():
        line = line.replace(f"{{{name}}}", value)
    if line.startswith("["):
        line = f"{now:%Y/%m/%d %H:%M:%S} {line}, client: 1.2.3.4, server: x" if "#1: " in line else line
    path.write_text(f"something\n{line}\n\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("cause", "line"), _NGINX_LINES)
def test_known_lines_of_nginx(diagnose: Diagnose, tmp_path: Path, cause: str | None, line: str) -> None:
    """Number and phase decide; a line that means nothing is not counted."""
    found = _causes(_section(diagnose("--nginx-log", _log(tmp_path / "n.log", line)).stdout, "Logs"))
    assert found == ({cause} if cause else set())


@pytest.mark.parametrize(("cause", "line"), _APP_LINES)
def test_known_lines_of_the_application(diagnose: Diagnose, tmp_path: Path, cause: str | None, line: str) -> None:
    """gunicorn's and the application's own words decide, never a request's path; nothing of the line is shown."""
    done = diagnose("--app-log", _log(tmp_path / "a.log", line))
    assert _causes(_section(done.stdout, "Logs")) == ({cause} if cause else set()), done.stdout
    assert "hunter2" not in done.stdout


@pytest.mark.parametrize(("option", "line"), [("--nginx-log", _NGINX_LINES[0][1]), ("--app-log", _APP_LINES[0][1])])
@pytest.mark.parametrize(("age", "since", "counts"), [(59, "1h", True), (61, "1h", False), (61, "2h", True)])
def test_old_lines_do_not_count(
    diagnose: Diagnose, tmp_path: Path, option: str, line: str, age: int, since: str, counts: bool
) -> None:
    """--since is a limit for files as well."""
    log = _log(tmp_path / "x.log", line, age=timedelta(minutes=age))
    done = diagnose(option, log, "--since", since)
    assert bool(_causes(_section(done.stdout, "Logs"))) is counts, done.stdout


def test_the_root_is_named_before_what_follows_from_it(diagnose: Diagnose, tmp_path: Path) -> None:
    """A killed worker explains the resets; a 502 that only POST gets is pointed out."""
    nginx = _log(tmp_path / "n.log", _NGINX_LINES[0][1])
    with nginx.open("a", encoding="utf-8") as more:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        more.write(f'{{"time":"{now}","remote_addr":"1.2.3.4","method":"POST","status":"502"}}\n')
    done = diagnose("--nginx-log", nginx, "--app-log", _log(tmp_path / "a.log", _APP_LINES[0][1]))
    assert _likely(done.stdout) == "worker-timeout"
    assert "also: a connection was closed before the response" in done.stdout
    assert "answers 502: 1" in done.stdout
    assert "only for POST, PATCH, LOCK" in done.stdout


def test_one_address_for_everybody(diagnose: Diagnose, tmp_path: Path) -> None:
    """The application logs none of the clients that nginx has seen; when it logs one of them nothing is said."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    nginx, app = tmp_path / "n.log", tmp_path / "a.log"
    nginx.write_text(f'{{"time":"{now}","remote_addr":"203.0.113.9","method":"GET"}}\n', encoding="utf-8")
    for client, found in (("172.31.250.3", {"wrong-client"}), ("203.0.113.9", set())):
        _log(app, f'{{access}}"request", "client": "{client}"}}')
        done = diagnose("--nginx-log", nginx, "--app-log", app)
        assert _causes(_section(done.stdout, "Logs")) == found, done.stdout


# --------------------------------------------------------------------------------------------- containers and the rest
_DOCKER = """#!/bin/sh
case "$*" in
ps*'--format {{.ID}} {{.Label "com.docker.compose.service"}} {{.Label "com.docker.compose.project"}}')
    printf '%s\\n' 'aaa backend shop' 'bbb nginx shop' 'ccc other foreign' ;;
*inspect*'{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}} {{.RestartCount}} '\
'{{.State.OOMKilled}} {{.State.ExitCode}} aaa') echo "$STATE" ;;
*inspect*) echo 'running healthy 0 false 0' ;;
*exec*memory.events*) printf 'low 0\\noom_kill %s\\n' "$KILLS" ;;
*exec*somaxconn*) echo 128 ;;
*exec*healthcheck.py*) echo 'HTTP/1.1 200 OK' ;;
*logs*aaa) echo "$LINE" ;;
'port bbb 443/tcp') [ -z "$PUBLISHED" ] || printf '%s\\n' "$PUBLISHED" "[::]:${PUBLISHED##*:}" ;;
esac
"""


@pytest.mark.parametrize(
    ("state", "kills", "line", "causes"),
    [
        ("running healthy 0 false 0", "0", "", {"backlog-cut"}),
        ("running unhealthy 0 false 0", "0", "", {"backlog-cut", "container-down"}),
        ("running healthy 3 false 0", "0", "", {"backlog-cut", "container-down"}),
        ("exited - 0 true 137", "0", "", {"backlog-cut", "container-down", "oom"}),
        ("running healthy 0 false 0", "2", "", {"backlog-cut", "oom"}),
        ("running healthy 0 false 0", "0", "[CRITICAL] WORKER TIMEOUT (pid:9)", {"backlog-cut", "worker-timeout"}),
    ],
)
def test_containers(diagnose: Diagnose, tools: Path, state: str, kills: str, line: str, causes: set[str]) -> None:
    """Health, restarts, memory kills and logs of this project's containers; the backend is asked from inside.

    The Docker here is a stand-in that answers what the real one prints in these formats.
    """
    (tools / "docker").write_text(_DOCKER, encoding="utf-8")
    (tools / "docker").chmod(0o755)
    with Backend() as outside:
        done = diagnose("--url", f"http://{outside.upstream}", DIAGNOSE_BACKEND="", STATE=state, KILLS=kills, LINE=line)
    assert _causes(done.stdout) - {"disk-full", "memory-low"} == causes, done.stdout
    assert "inside   in its container: 200" in done.stdout
    assert "container nginx: running" in done.stdout
    assert "other" not in done.stdout


def _on_a_terminal(shell: Sequence[str], environment: Mapping[str, str]) -> str:
    controller, terminal = pty.openpty()
    with subprocess.Popen([*shell, str(SCRIPT)], env=environment, stdin=terminal, stdout=terminal) as process:
        os.close(terminal)
        shown = b""
        try:
            while chunk := os.read(controller, 65536):
                shown += chunk
        except OSError:
            pass  # EIO: the end
        process.wait(30)
    os.close(controller)
    return shown.decode()


@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals(
    shell: list[str], tools: Path, programs: Path, extra: dict[str, str], coloured: bool
) -> None:
    """On a terminal the marks are coloured, unless NO_COLOR or a dumb terminal says otherwise."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    own = {"PATH": f"{tools}:{programs}", "TERM": "xterm", "DIAGNOSE_URL": nowhere, "DIAGNOSE_BACKEND": nowhere}
    environment = {**own, **extra}
    assert ("\033[31m[FAIL]\033[0m" in _on_a_terminal(shell, environment)) is coloured


def test_secrets_in_addresses_are_not_shown(diagnose: Diagnose) -> None:
    """A password or a token in --url stays out of the output."""
    with Backend() as backend:
        url = f"http://me:hunter2@{backend.upstream}/health/ready?token=hunter3"
        done = diagnose("--url", url, "--backend", url)
    assert done.returncode == 0, done.stdout
    assert "hunter" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "options", [["--what"], ["--url"], ["now"], ["--since", "soon"], ["--since", "1w"], ["--what=1"]]
)
def test_wrong_usage(diagnose: Diagnose, options: list[str]) -> None:
    """One line on standard error and exit code 2."""
    done = diagnose(*options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"diagnose: .*\n", done.stderr)


def test_it_says_when_it_could_not_look(diagnose: Diagnose, tools: Path) -> None:
    """A log that cannot be read makes 2 of a 0, and neither curl nor wget is 2 at once."""
    with Backend() as backend:
        address = f"http://{backend.upstream}"
        done = diagnose("--url", address, "--backend", address, "--nginx-log", "/no/such.log")
        assert done.returncode == 2
        assert done.stderr == "diagnose: /no/such.log: cannot be read\n"
        (tools / "curl").unlink()
        (tools / "wget").unlink()
        assert diagnose("--url", address).returncode == 2


def test_help_is_complete(diagnose: Diagnose) -> None:
    """Every option that is read is in --help, and nothing else is."""
    done = diagnose("--help")
    assert done.returncode == 0
    read = re.findall(r"^        (--[a-z-]+)\)", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.MULTILINE))) == sorted(read)
