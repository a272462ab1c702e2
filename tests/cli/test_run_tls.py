"""``no502 run --tls`` with a real nginx: handshakes, the printed lines, and files that do not fit."""

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from tests.cli.nginxes import NGINXES
from tests.nginx.certificates import served, written
from tests.nginx.proxy import HOST
from tests.support.commands import NO502, no502, processes_in
from tests.support.ports import free_port
from tests.support.processes import Running

SCHEME = """

from fastapi import Request


@app.get("/scheme")
async def scheme(request: Request) -> dict[str, str]:
    return {"scheme": request.url.scheme, "address": str(request.url_for("scheme"))}
"""


@pytest.fixture(autouse=True)
def _nothing_left(project: Path, home: Path) -> Iterator[None]:
    """After every test: no process in the project's directory, no certificate in the temporary directory."""
    yield
    assert processes_in(project) == {}
    assert list((home / "tmp").iterdir()) == []


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Path:
    """A directory with a certificate for another name, its key, and the key of another one."""
    directory = tmp_path / "my files; $tls"
    directory.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    (directory / "fullchain.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(directory / "privkey.pem")
    authority.issue_cert(HOST).private_key_pem.write_to_path(directory / "other.pem")
    rsa = authority.issue_cert(HOST, key_type=trustme.KeyType.RSA)
    rsa.private_key_pem.write_to_path(directory / "rsa.pem")
    (directory / "text.pem").write_text("not PEM\n", encoding="utf-8")
    return directory


@pytest.mark.parametrize("nginx", NGINXES)
def test_a_throw_away_certificate(nginx: list[str], project: Path, environment: dict[str, str]) -> None:
    """The printed curl line trusts the certificate, the application is told https, plain HTTP redirects."""
    with (project / "app" / "main.py").open("a", encoding="utf-8") as file:
        file.write(SCHEME)
    port, tls_port = free_port(), free_port()
    ports = ["--port", str(port), "--tls-port", str(tls_port)]
    with Running([*NO502, "run", "--tls", *ports, *nginx], cwd=project, env=environment) as running:
        running.wait_for_output(f"ready at https://localhost:{tls_port}/ and ", seconds=40)
        assert f"\nhttp://127.0.0.1:{port} redirects to HTTPS\n" in running.output()
        [line] = re.findall(r"^try: (curl .*)$", running.output(), re.MULTILINE)
        [chain] = re.findall(r"--cacert (\S+) -i https://localhost:\d+/health/ready$", line)
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("HTTP/2 200")
        told = subprocess.run(
            ["curl", "-sS", "--cacert", chain, f"https://localhost:{tls_port}/scheme"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert told.stdout == f'{{"scheme":"https","address":"https://localhost:{tls_port}/scheme"}}'
        plain = httpx.post(f"http://127.0.0.1:{port}/x?y=1", trust_env=False)
        assert plain.status_code == 308
        assert plain.headers["location"] == f"https://127.0.0.1:{tls_port}/x?y=1"


def test_the_certificate_has_the_names_of_the_service(project: Path, environment: dict[str, str]) -> None:
    """NGINX_SERVER_NAME counts, wildcards included."""
    (project / ".env").write_text(f"NGINX_SERVER_NAME={HOST} *.example.net\n", encoding="utf-8")
    tls_port = free_port()
    ports = ["--port", "0", "--tls-port", str(tls_port)]
    with Running([*NO502, "run", "--tls", *ports], cwd=project, env=environment) as running:
        running.wait_for_output("ready at", seconds=40)
        [chain] = re.findall(r"--cacert (\S+)", running.output())
        answers = []
        for host in (HOST, "any.example.net"):
            command = ["curl", "-sS", "--cacert", chain, "--resolve", f"{host}:{tls_port}:127.0.0.1"]
            command.append(f"https://{host}:{tls_port}/")
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            answers.append(done.stdout or done.stderr)
    assert answers == ['{"hello":"world"}'] * 2


def test_a_certificate_of_ones_own(project: Path, environment: dict[str, str], files: Path) -> None:
    """It is served from where it is, and the curl line of one that is not for localhost says -k; --tls is implied."""
    (project / ".env").write_text(f"NGINX_SERVER_NAME={HOST}\n", encoding="utf-8")
    tls_port = free_port()
    own = ["--certificate", str(files / "fullchain.pem"), "--key", str(files / "privkey.pem")]
    ports = ["--port", "0", "--tls-port", str(tls_port)]
    with Running([*NO502, "run", *own, *ports], cwd=project, env=environment) as running:
        running.wait_for_output(f"try: curl -k -i https://localhost:{tls_port}/health/ready\n", seconds=40)
        assert served(tls_port) == written(files)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--certificate", "fullchain.pem"], "--certificate without --key: both are needed"),
        (["--tls", "--key", "privkey.pem"], "--key without --certificate: both are needed"),
        (
            ["--certificate", "none.pem", "--key", "no.pem"],
            "--certificate none.pem: no such file; --key no.pem: no such file",
        ),
        (["--certificate", ".", "--key", "privkey.pem"], "--certificate .: cannot be read: Is a directory"),
        (
            ["--certificate", "fullchain.pem", "--key", "other.pem"],
            "--key other.pem: does not belong to the certificate fullchain.pem",
        ),
        (
            ["--certificate", "fullchain.pem", "--key", "rsa.pem"],
            "--key rsa.pem: does not belong to the certificate fullchain.pem",
        ),
        (["--certificate", "text.pem", "--key", "privkey.pem"], "--certificate text.pem: no certificate in PEM"),
        (
            ["--certificate", "fullchain.pem", "--key", "text.pem"],
            "--key text.pem: no private key in PEM without a passphrase",
        ),
        (["--tls", "--port", "9443", "--tls-port", "9443"], "--tls-port 9443: HTTP has this port already (--port)"),
    ],
)
def test_what_does_not_fit_is_one_line(
    project: Path, environment: dict[str, str], files: Path, arguments: list[str], message: str
) -> None:
    """Nothing is started; the exit code is that of a wrong call."""
    done = no502("run", "--dir", str(project), "--port", "0", *arguments, cwd=files, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"no502: {message}\n"


def test_a_taken_port_for_tls_is_named(project: Path, environment: dict[str, str]) -> None:
    """The line names the option that chooses another one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = no502("run", "--tls", "--port", "0", "--tls-port", str(port), cwd=project, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith(f"no502: port {port} on 127.0.0.1 is taken: choose another with --tls-port,")


def test_without_openssl_one_line_says_what_helps(project: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Neither a certificate nor a program to make one."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "mkdir", "rm"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    narrow = {**environment, "PATH": str(programs)}
    done = no502("run", "--tls", "--port", "0", "--tls-port", "0", cwd=project, env=narrow)
    assert done.returncode == 1
    assert "no openssl to make throw-away ones; --certificate and --key take your own" in done.stderr
    assert len(done.stderr.splitlines()) == 1
