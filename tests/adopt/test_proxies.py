"""Another proxy than nginx in front: its idle time becomes the variable from which gunicorn's is computed."""

import re
import sys
import venv
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from no502.adopt.diagnosis import diagnose
from no502.cli import app
from no502.ladder.fronts import FRONTS
from tests.adopt.support import adopt, digests, refusal, write_files
from tests.support.commands import clean_environment, no502

DOCKERFILE = 'FROM python:3.12\nWORKDIR /app\nCOPY . .\nCMD ["uvicorn", "main:app", "--host", "0.0.0.0"]\n'
APP = "async def app(scope, receive, send):\n    pass\n"
FILES = {"main.py": APP, "Dockerfile": DOCKERFILE, "requirements.txt": "uvicorn\n"}
TRAEFIK = (
    "services:\n  traefik:\n    image: traefik:v3\n  web:\n    build: .\n    labels:\n"
    "      - traefik.http.services.web.loadbalancer.server.port=8000\n"
)
CADDY = (
    "services:\n  caddy:\n    image: caddy:2\n    volumes: ['./Caddyfile:/etc/caddy/Caddyfile']\n  web:\n    build: .\n"
)
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: CLASS
  rules:
  - http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: acme/web:1
        command: [uvicorn, main:app, --host, 0.0.0.0]
"""
CASES = {
    "traefik": {"compose.yaml": TRAEFIK},
    "caddy": {"compose.yaml": CADDY, "Caddyfile": ":80 {\n\treverse_proxy web:8000\n}\n"},
    "alb": {"k8s.yaml": INGRESS.replace("CLASS", "alb")},
    "ingress-nginx": {"k8s.yaml": INGRESS.replace("CLASS", "nginx")},
    "gcp": {"k8s.yaml": INGRESS.replace("CLASS", "gce")},
}


@pytest.mark.parametrize("name", CASES)
def test_idle_time_of_the_proxy(name: str, tmp_path: Path) -> None:
    """One variable, nothing about nginx in the reasons, and no finding about idle connections is left."""
    project = write_files(tmp_path / "project", {**FILES, **CASES[name]})
    if "compose.yaml" not in CASES[name]:
        (project / "Dockerfile").unlink()
    printed = adopt(project, "--write")
    text = next(project.glob("*.yaml")).read_text(encoding="utf-8")
    idle = FRONTS[name].idle
    assert re.search(rf'PROXY_KEEPALIVE_TIMEOUT\n? *(?:value)?: "{idle:g}"', text) is not None, text
    reasons = printed.partition("\n--- ")[0].replace("ingress-nginx", "")
    assert "nginx" not in reasons
    assert diagnose(project).of("K206", "K201") == []
    assert adopt(project).startswith("nothing to change\n")


def test_idle_time_that_the_ladder_cannot_have(tmp_path: Path) -> None:
    """Envoy's hour is more than the ladder allows: no variable, and what is left to do is said."""
    envoy = (
        "static_resources:\n  clusters:\n  - name: web\n    load_assignment:\n      endpoints:\n      - lb_endpoints:\n"
    )
    envoy += "        - endpoint: {address: {socket_address: {address: web, port_value: 8000}}}\n"
    compose = "services:\n  envoy:\n    image: envoyproxy/envoy:v1.31\n  web:\n    build: .\n"
    project = write_files(tmp_path / "project", {**FILES, "compose.yaml": compose, "envoy.yaml": envoy})
    printed = adopt(project, "--write")
    assert "Envoy keeps idle connections for 3600 s, and the ladder allows at most 600 s" in printed
    assert "PROXY_" not in (project / "compose.yaml").read_text(encoding="utf-8")


def test_own_value(tmp_path: Path) -> None:
    """A longer idle time of the project's own stays; a shorter one is refused with its file and line."""
    long = TRAEFIK + '    environment:\n      PROXY_KEEPALIVE_TIMEOUT: "120"\n'
    project = write_files(tmp_path / "long", {**FILES, "compose.yaml": long})
    adopt(project, "--write")
    assert '      PROXY_KEEPALIVE_TIMEOUT: "120"\n' in (project / "compose.yaml").read_text(encoding="utf-8")
    project = write_files(tmp_path / "short", {**FILES, "compose.yaml": long.replace("120", "20")})
    assert "compose.yaml:9: PROXY_KEEPALIVE_TIMEOUT is 20, and Traefik has 90" in refusal(project)


def test_doctor_advises_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command with the ladder is told the variable, and gets no option; one without it is told the option."""
    project = write_files(tmp_path / "project", {**FILES, "compose.yaml": TRAEFIK})
    monkeypatch.chdir(project)
    assert "--timeout-keep-alive 105" in CliRunner().invoke(app, ["doctor", "."]).stdout
    adopt(project, "--write")
    compose = project / "compose.yaml"
    compose.write_text(compose.read_text(encoding="utf-8").replace('"90"', '"20"'), encoding="utf-8")
    printed = CliRunner().invoke(app, ["doctor", "."]).stdout
    assert "PROXY_KEEPALIVE_TIMEOUT=90" in printed
    assert "--keep-alive" not in printed
    assert CliRunner().invoke(app, ["doctor", "--diff", "."]).stdout == ""


@pytest.mark.parametrize("command", ["-c gunicorn_conf.py", "-c python:gunicorn_conf", "-c python:no502.gunicorn"])
@pytest.mark.parametrize(("bind", "expected"), [("unix:/run/a.sock", 0), ("unix:/run/a.sock --bind 127.0.0.1:1", 1)])
def test_unix_socket_is_trusted(command: str, bind: str, expected: int, tmp_path: Path) -> None:
    """The ladder trusts nginx on a unix socket by itself, however it is loaded; not beside an address."""
    nginx = (
        "server {\n  location / {\n    proxy_pass http://unix:/run/a.sock;\n"
        "    proxy_set_header X-Forwarded-For $remote_addr;\n  }\n}\n"
    )
    unit = f"[Service]\nExecStart=/venv/bin/gunicorn {command} --bind {bind} main:app\n"
    project = write_files(tmp_path / "project", {"app.service": unit, "nginx.conf": nginx})
    assert len(diagnose(project).of("H803")) == expected


@pytest.mark.parametrize(
    "words", ["from no502.gunicorn import *", "from no502 import gunicorn", "import no502.gunicorn as ladder"]
)
def test_installed_module_is_the_ladder(words: str, tmp_path: Path) -> None:
    """A configuration of one's own that imports the installed module has the ladder's numbers."""
    unit = "[Service]\nExecStart=/venv/bin/gunicorn -c conf.py --bind unix:/run/a.sock main:app\n"
    project = write_files(tmp_path / "project", {"app.service": unit, "conf.py": f"{words}\n"})
    (server,) = diagnose(project).deployments[0].servers
    assert server.settings.keepalive is not None
    assert server.settings.keepalive.value == 30


@pytest.mark.parametrize(
    "name",
    ["gunicorn_handover.py", "gunicorn_arbiter.py", "gunicorn_handover/__init__.py", "gunicorn_arbiter/__init__.py"],
)
def test_foreign_file_of_the_same_name(name: str, tmp_path: Path) -> None:
    """A module that gunicorn would import in place of a copy: refused with its name, and nothing is written."""
    project = write_files(tmp_path / "project", {**FILES, "compose.yaml": TRAEFIK, name: "x = 1\n"})
    before = digests(project)
    message = refusal(project, "--write")
    assert f"{name.removesuffix('/__init__.py')}: a file of your own has the name of one that no502 copies" in message
    assert digests(project) == before


def test_older_copies_stay(tmp_path: Path) -> None:
    """Copies of an earlier version are no foreign files."""
    files = {
        "gunicorn_handover.py": "class HandoverWorker: ...\n",
        "gunicorn_arbiter.py": "class HandoverArbiter: ...\n",
    }
    project = write_files(tmp_path / "project", {**FILES, "compose.yaml": TRAEFIK, **files})
    assert "gunicorn_handover.py is there and differs from this version's" in adopt(project, "--write")


def test_check_names_the_proxy_that_was_not_run(tmp_path: Path) -> None:
    """The result is that of nginx with these times: the report says so."""
    answer = '    await send({"type": "http.response.start", "status": 200, "headers": []})\n'
    answer += '    await send({"type": "http.response.body", "body": b"ok"})\n'
    source = APP.replace("    pass\n", f'    if scope["type"] != "http":\n        return\n{answer}')
    project = write_files(tmp_path / "project", {**FILES, "main.py": source, "compose.yaml": TRAEFIK})
    environment = clean_environment(tmp_path / "home")
    done = no502("adopt", project, "--write", "--check", cwd=tmp_path, env=environment, seconds=180)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^lost: 0 of \d+\nbehind nginx with these times; Traefik was not run$", done.stdout, re.MULTILINE)


def test_check_without_the_packages(tmp_path: Path) -> None:
    """One line that names --python, for a package of the application and for gunicorn itself."""
    source = "import there_is_no_such_package\napp = None\n"
    project = write_files(tmp_path / "project", {**FILES, "main.py": source, "compose.yaml": TRAEFIK})
    environment = clean_environment(tmp_path / "home")
    done = no502("adopt", project, "--write", "--check", cwd=tmp_path, env=environment, seconds=60)
    assert done.returncode == 1
    advice = "name the interpreter that has the application's packages with --python\n"
    assert done.stderr == f"no502: there_is_no_such_package is not installed for {sys.executable}: {advice}"
    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    done = no502("adopt", project, "--check", "--python", python, cwd=tmp_path, env=environment, seconds=60)
    assert done.stderr == f"no502: gunicorn is not installed for {python}: {advice}"


def test_container_whose_name_is_not_first(tmp_path: Path) -> None:
    """Lines that are added before the container's name move it: each later change finds it again."""
    manifest = INGRESS.replace("- name: web\n        image: acme/web:1\n", "- image: acme/web:1\n        name: web\n")
    manifest = manifest.replace("CLASS", "alb").replace(
        "        command", "        env:\n        - {name: PROXY_READ_TIMEOUT, value: '60'}\n        command"
    )
    project = write_files(tmp_path / "project", {"main.py": APP, "requirements.txt": "uvicorn\n", "k8s.yaml": manifest})
    adopt(project, "--write")
    *_, deployment = yaml.safe_load_all((project / "k8s.yaml").read_text(encoding="utf-8"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] == 90
    assert container["lifecycle"] == {"preStop": {"exec": {"command": ["sleep", "10"]}}}
    assert {one["name"]: one["value"] for one in container["env"]} == {
        "PROXY_READ_TIMEOUT": "60",
        "PROXY_KEEPALIVE_TIMEOUT": "60",
    }
    assert "readinessProbe" in container
