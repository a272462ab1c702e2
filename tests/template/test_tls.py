"""Services that end TLS: what their answer brings, a first start without a certificate, renewals, handshakes."""

import json
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml
from _manifests import violations

from no502.nginx.binary import find_nginx
from tests.nginx.certificates import CERTBOT, HAS_ACME, Load, acme_server, served, written
from tests.nginx.proxy import HOST
from tests.support.backend import Backend
from tests.support.directories import public_directory
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.template import bake, cookiecutter, files_in, service_environment

_TEMPORARY = "".join(
    f"{kind}_temp_path temp_{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
)

each_source = pytest.mark.parametrize("tls", ["files", "acme"])


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    """A directory that nginx's workers can reach."""
    with public_directory() as directory:
        yield directory


def _filled(value: str) -> str:
    """Put Compose's defaults in."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def _compose(project: Path) -> dict[str, Any]:
    text = (project / "compose.yaml").read_text(encoding="utf-8")
    services: dict[str, Any] = yaml.safe_load(_filled(text))["services"]
    return services


def _certificate(project: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", project / "ops" / "certificate", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)


def _first_start(project: Path) -> None:
    """Do what Compose's service ``certificate`` does."""
    service = _compose(project)["certificate"]
    assert service["entrypoint"] == ["sh", "/certificate", "/tls"]
    assert "./tls:/tls" in service["volumes"]
    done = _certificate(project, project / "tls", *service["command"])
    assert done.returncode == 0, done.stderr


class _Container:
    """nginx with the files where compose.yaml mounts them, its templates rendered as the image renders them."""

    def __init__(self, project: Path, root: Path, upstream: str) -> None:
        service = _compose(project)["nginx"]
        self.port, self.tls_port = free_port(), free_port()
        self._etc = root / "etc" / "nginx"
        for volume in sorted(service["volumes"], key=lambda line: len(line.split(":")[1])):
            source, target, *_ = volume.split(":")
            inside = root / target.lstrip("/")
            inside.parent.mkdir(parents=True, exist_ok=True)
            if target in {"/etc/nginx/tls", "/var/www/acme"}:  # what changes while it runs
                (project / source).mkdir(exist_ok=True)
                inside.symlink_to((project / source).resolve())
            elif (project / source).is_dir():
                shutil.copytree(project / source, inside, dirs_exist_ok=True)
            else:
                shutil.copy(project / source, inside)
        given = {name: str(value) for name, value in service["environment"].items()}
        environment = {
            **{name: value.replace("/etc/nginx", str(self._etc)) for name, value in given.items()},
            "NGINX_LISTEN": f"127.0.0.1:{self.port}",
            "NGINX_TLS_LISTEN": f"127.0.0.1:{self.tls_port}",
            "NGINX_UPSTREAM": upstream,
            "NGINX_ACCESS_LOG": "/dev/stdout",
            **{name: "4" for name in given if name.startswith("PROXY_")},
        }
        for template in (self._etc / "templates").rglob("*.template"):
            target = self._etc / "conf.d" / template.relative_to(self._etc / "templates").with_suffix("")
            target.parent.mkdir(parents=True, exist_ok=True)
            text = template.read_text(encoding="utf-8")
            target.write_text(re.sub(r"\$\{(\w+)\}", lambda found: environment.get(found[1], found[0]), text))
        (self._etc / "conf.d" / "temporary.conf").write_text(_TEMPORARY)
        for file in (self._etc / "conf.d" / "plain").glob("*.conf"):
            file.write_text(file.read_text(encoding="utf-8").replace("/var/www", f"{root}/var/www"))
        main = f"daemon off; pid {root}/nginx.pid;"
        self.command = [find_nginx(None), "-e", "stderr", "-p", f"{self._etc}/", "-c", "nginx.conf", "-g", main]

    @contextmanager
    def running(self) -> Iterator[Running]:
        """Run it."""
        with Running(self.command) as nginx:
            wait_until(lambda: _plain(self.port, "/") is not None, what="nginx")
            yield nginx


def _plain(port: int, path: str, host: str = HOST) -> httpx.Response | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", headers={"Host": host}, timeout=5)
    except httpx.TransportError:
        return None


def _hook(container: _Container, project: Path) -> str:
    """Return the README's hook, with the test's nginx in the place of Compose's."""
    text = (project / "README.md").read_text(encoding="utf-8")
    hook: str
    [hook] = re.findall(r'--deploy-hook "(env TLS_DIRECTORY=\'\$PWD.*)"$', text, re.MULTILINE)
    [ours] = re.findall(r"NGINX='([^']*)'", hook)
    assert ours == "docker compose --project-directory $PWD exec -T nginx nginx"
    words = " ".join(word if " " not in word else f'"{word}"' for word in container.command)
    script = project.parent / "nginx"
    script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    script.chmod(0o755)
    return hook.replace(ours, str(script)).replace("$PWD", str(project))


def test_without_tls_nothing_of_it_is_there(tmp_path: Path) -> None:
    """The default answer has no port, no folder and no word about certificates of nginx."""
    files = files_in(bake(tmp_path))
    assert [name for name in files if "tls" in name or "certificate" in name] == []
    words = re.compile(rb"HTTPS_PORT|TLS_|nginx/tls|certbot|ops/certificate")
    own = {name: text for name, text in files.items() if not name.startswith(("nginx/", "gunicorn_"))}
    assert [name for name, text in own.items() if words.search(text)] == ["ops/diagnose", "ops/serve.py"]


def test_a_swarm_has_no_acme(tmp_path: Path) -> None:
    """The combination is refused with one line, and nothing is written."""
    done = cookiecutter(tmp_path / "home", "--output-dir", tmp_path, "deploy=swarm", "tls=acme")
    assert done.returncode != 0
    assert "tls='acme': must be none or files with deploy=swarm" in done.stderr
    assert not (tmp_path / "my-service").exists()


@each_source
def test_compose_has_what_tls_needs(tmp_path: Path, tls: str) -> None:
    """Every variable of the templates is set, every mounted file is there, the key is mounted read-only."""
    project = bake(tmp_path, tls=tls)
    services = _compose(project)
    nginx = services["nginx"]
    mounted = [volume.split(":") for volume in nginx["volumes"]]
    missing = [source for source, *_ in mounted if not (project / source).exists()]
    assert missing == (["./tls/acme"] if tls == "acme" else [])  # Docker makes it
    assert {mode for _, _, mode in mounted} == {"ro"}
    templates = [*(project / "nginx" / "templates").rglob("*.template"), *(project / "nginx").glob("variants/*/*")]
    text = "".join(path.read_text(encoding="utf-8") for path in templates)
    assert set(nginx["environment"]) == set(re.findall(r"\$\{(\w+)\}", text))
    assert nginx["ports"] == ["8080:80", "8443:443"]
    assert nginx["healthcheck"]["test"][-1] == "https://localhost/health/live"
    assert nginx["depends_on"]["certificate"] == {"condition": "service_completed_successfully"}
    assert services["certificate"]["read_only"] is True
    assert services["certificate"]["network_mode"] == "none"


@pytest.mark.parametrize("deploy", ["compose", "swarm"])
def test_doctor_reads_the_servers_over_tls_only(tmp_path: Path, deploy: str) -> None:
    """The template that TLS replaces is no second configuration: it is named as included by none."""
    project = bake(tmp_path, deploy=deploy, tls="files")
    command = [sys.executable, "-m", "no502", "doctor", "--fail-on", "warning"]
    done = subprocess.run(
        command,
        cwd=project,
        env=service_environment(tmp_path / "tmp"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "0 errors, 0 warnings, 1 not checked" in done.stdout
    assert "nginx/templates/default.conf.template: no nginx in these files" in done.stdout


@each_source
def test_keys_are_not_for_git(tmp_path: Path, tls: str) -> None:
    """Git takes nothing of the folder but its own file; no image gets it."""
    project = bake(tmp_path, tls=tls)
    _first_start(project)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "tls"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.split() == ["tls/.gitignore"]
    assert "!tls" not in (project / ".dockerignore").read_text(encoding="utf-8")


def test_a_throw_away_certificate_is_made_only_where_there_is_none(tmp_path: Path) -> None:
    """Python's strictest checks accept it for its names; what exists stays; half a pair is refused."""
    project = bake(tmp_path, tls="files")
    directory = tmp_path / "new" / "tls"
    directory.parent.mkdir()
    done = _certificate(project, directory, "a.example.com *.example.org", "127.0.0.1")
    assert done.returncode == 0, done.stderr
    assert "is a throw-away one for a.example.com *.example.org 127.0.0.1" in done.stdout
    assert (directory / "privkey.pem").stat().st_mode & 0o777 == 0o600
    context = ssl.create_default_context(cafile=directory / "fullchain.pem")
    [made] = context.get_ca_certs()
    names = [("DNS", "a.example.com"), ("DNS", "*.example.org"), ("IP Address", "127.0.0.1")]
    assert made["subjectAltName"] == tuple(names)
    before = files_in(directory)
    again = _certificate(project, directory, "b.example.com")
    assert again.returncode == 0
    assert not again.stdout
    assert files_in(directory) == before
    (directory / "privkey.pem").unlink()
    half = _certificate(project, directory, "b.example.com")
    assert half.returncode == 1
    assert "is there, but not the other one" in half.stderr


def test_without_openssl_one_line_says_what_is_missing(tmp_path: Path) -> None:
    """Neither a certificate nor a program to make one."""
    project = bake(tmp_path, tls="files")
    shell = shutil.which("sh")
    assert shell
    command = [shell, str(project / "ops" / "certificate"), str(tmp_path / "tls"), "a.example.com"]
    done = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"certificate: no fullchain.pem and privkey.pem in {tmp_path}/tls, and no openssl to make throw-away ones\n"
    )


@each_source
def test_the_first_start_needs_no_certificate(place: Path, tls: str) -> None:
    """With the throw-away one nginx serves TLS; the application is told https; plain HTTP leads to HTTPS_PORT."""
    project = bake(place / "bake", tls=tls, domain=HOST)
    _first_start(project)
    with Backend() as backend:
        container = _Container(project, place / "root", backend.upstream)
        with container.running():
            context = ssl.create_default_context(cafile=project / "tls" / "fullchain.pem")
            answer = httpx.get(f"https://localhost:{container.tls_port}/there", verify=context)
            redirect = _plain(container.port, "/there?x=1")
            challenge = _plain(container.port, "/.well-known/acme-challenge/none")
    assert answer.status_code == 200
    assert "strict-transport-security" not in answer.headers
    [request] = backend.requests
    assert request.all("x-forwarded-proto") == ["https"]
    assert request.all("x-forwarded-host") == [f"localhost:{container.tls_port}"]
    assert redirect is not None
    assert redirect.status_code == 308
    assert redirect.headers["location"] == f"https://{HOST}:8443/there?x=1"
    assert challenge is not None
    assert challenge.status_code == (404 if tls == "acme" else 308)


def test_the_hook_replaces_the_throw_away_certificate_and_loses_nothing(tmp_path: Path, place: Path) -> None:
    """Under load the README's hook puts each new certificate in place, and no request fails."""
    project = bake(place / "bake", tls="acme", domain=HOST)
    _first_start(project)
    authority, lineage = trustme.CA(), tmp_path / "lineage"
    lineage.mkdir()
    with Backend() as backend:
        container = _Container(project, place / "root", backend.upstream)
        hook = _hook(container, project)
        with container.running():
            load = Load(container.tls_port)
            load.start()
            try:
                for _ in range(3):
                    issued, answered = authority.issue_cert(HOST), load.answered
                    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
                    (lineage / "fullchain.pem").write_bytes(chain)
                    issued.private_key_pem.write_to_path(lineage / "privkey.pem")
                    environment = service_environment(tmp_path / "tmp", RENEWED_LINEAGE=str(lineage))
                    done = subprocess.run(
                        ["sh", "-c", hook], env=environment, capture_output=True, text=True, timeout=60, check=False
                    )
                    assert done.returncode == 0, done.stderr
                    wait_until(lambda: served(container.tls_port) == written(lineage), what="the new certificate")
                    wait_until(lambda seen=answered: load.answered > seen + 20, what="answers")  # type: ignore[misc]
            finally:
                load.stop.set()
                load.join()
    assert load.failures == []


@pytest.mark.skipif(not HAS_ACME, reason="needs Debian's packages certbot and pebble")
def test_certbot_gets_the_first_certificate_as_the_readme_says(tmp_path: Path, place: Path) -> None:
    """From a throw-away certificate to one of an ACME server, with the README's webroot and hook."""
    project = bake(place / "bake", tls="acme", domain=HOST)
    _first_start(project)
    assert '-w "$PWD/tls/acme"' in (project / "README.md").read_text(encoding="utf-8")
    with Backend() as backend:
        container = _Container(project, place / "root", backend.upstream)
        with container.running(), acme_server(tmp_path, container.port) as url:
            before = served(container.tls_port)
            places = [word for name in ("config", "work", "logs") for word in (f"--{name}-dir", str(tmp_path / name))]
            command = ["certbot", "certonly", "--webroot", "-w", str(project / "tls" / "acme"), "-d", HOST]
            command += ["--server", url, *places, *CERTBOT, "--deploy-hook", _hook(container, project)]
            environment = service_environment(tmp_path / "tmp", PYTHONWARNINGS="ignore")
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            wait_until(lambda: served(container.tls_port) == written(project / "tls"), what="the new certificate")
            assert served(container.tls_port) != before


@each_source
def test_make_serve_with_tls(tmp_path: Path, tls: str) -> None:
    """The printed address answers, the printed curl line trusts the certificate, redirects stay on TLS."""
    project = bake(tmp_path, tls=tls)
    port, tls_port = free_port(), free_port()
    environment = service_environment(tmp_path / "tmp", TLS="1", TLS_PORT=str(tls_port), PYTHONUNBUFFERED="1")
    with Running([sys.executable, "-m", "ops.serve", str(port)], env=environment, cwd=project) as serve:
        output = serve.wait_for_output("serve: try: ")
        address = f"https://localhost:{tls_port}/health/ready"
        assert f"serve: ready at {address} " in output
        [line] = re.findall(r"^serve: try: (curl .*)$", serve.output(), re.MULTILINE)
        assert line == f"curl --cacert {project}/tls/fullchain.pem -i {address}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        assert '"status":"ready"' in done.stdout
        context = ssl.create_default_context(cafile=project / "tls" / "fullchain.pem")
        slash = httpx.get(f"https://localhost:{tls_port}/api/greetings/", verify=context)
        assert slash.headers["location"] == f"https://localhost:{tls_port}/api/greetings"
        plain = _plain(port, "/x", host="localhost")
        assert plain is not None
        assert plain.headers["location"] == f"https://localhost:{tls_port}/x"
    assert serve.returncode == 0


def test_make_serve_takes_a_certificate_of_yours(tmp_path: Path) -> None:
    """Files in TLS_DIRECTORY are served and not changed, whatever their folder is called."""
    project, own = bake(tmp_path, tls="files", domain=HOST), tmp_path / "my own; $tls"
    own.mkdir()
    issued = trustme.CA().issue_cert(HOST)
    (own / "fullchain.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(own / "privkey.pem")
    before = files_in(own)
    tls_port = free_port()
    environment = service_environment(
        tmp_path / "tmp", TLS="1", TLS_PORT=str(tls_port), TLS_DIRECTORY=str(own), PYTHONUNBUFFERED="1"
    )
    with Running([sys.executable, "-m", "ops.serve", str(free_port())], env=environment, cwd=project) as serve:
        serve.wait_for_output(f"serve: try: curl -k -i https://localhost:{tls_port}/health/ready")
        assert served(tls_port) == written(own)
    assert files_in(own) == before


def test_make_serve_without_the_answer_says_so(tmp_path: Path) -> None:
    """TLS=1 is not passed over where the service has no files for it."""
    project = bake(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "ops.serve", str(free_port())],
        cwd=project,
        env=service_environment(tmp_path / "tmp", TLS="1", TLS_PORT=str(free_port())),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "serve: TLS=1: this service has no files for TLS; no502 new with tls="
    )


def test_a_swarm_gets_the_certificate_as_secrets(tmp_path: Path) -> None:
    """nginx reads both where Swarm mounts them, and the image has the servers over TLS."""
    swarm = bake(tmp_path, deploy="swarm", tls="files") / "deploy" / "swarm"
    stack = yaml.safe_load(_filled((swarm / "stack.yaml").read_text(encoding="utf-8")))
    nginx = stack["services"]["nginx"]
    files = {nginx["environment"][f"NGINX_TLS_CERTIFICATE{end}"] for end in ("", "_KEY")}
    assert files == {f"/run/secrets/{name}" for name in nginx["secrets"]}
    assert {name: one["name"] for name, one in stack["secrets"].items()} == {
        "fullchain.pem": "my-service-fullchain-1",
        "privkey.pem": "my-service-privkey-1",
    }
    assert [one["target"] for one in nginx["ports"]] == [80, 443]
    line = "COPY nginx/variants/tls/default.conf.template /etc/nginx/templates/default.conf.template\n"
    text = (swarm / "nginx.Dockerfile").read_text(encoding="utf-8")
    assert text.index("COPY nginx/templates") < text.index(line)


@each_source
def test_the_gateway_of_the_readme_fits_the_routes(tmp_path: Path, tls: str) -> None:
    """Its schema accepts it, and the routes name its two listeners: the service's by TLS, the redirect's without."""
    project = bake(tmp_path, deploy="kubernetes", tls=tls)
    [block] = re.findall(r"```yaml\n(apiVersion: gateway.*?)```", (project / "README.md").read_text("utf-8"), re.DOTALL)
    gateway = yaml.safe_load(block)
    assert list(violations(gateway)) == []
    listeners = {listener["name"]: listener["protocol"] for listener in gateway["spec"]["listeners"]}
    assert listeners == {"http": "HTTP", "https": "HTTPS"}
    kubernetes = project / "deploy" / "kubernetes"
    named = {}
    for file in (kubernetes / "base" / "httproute.yaml", *kubernetes.glob("production/*.yaml")):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        if document["kind"] == "HTTPRoute":
            [parent] = document["spec"]["parentRefs"]
            assert parent["name"] == "gateway"
            assert parent["namespace"] == "gateway"
            named[file.name] = parent["sectionName"]
    assert named == {"httproute.yaml": "https", "gateway.yaml": "https", "redirect.yaml": "http"}
    assert ("cert-manager.io/cluster-issuer" in json.dumps(gateway)) is (tls == "acme")
