"""The readers of command lines, configuration files, Compose, Dockerfiles, units and manifests."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from no502.doctor.links import links
from no502.doctor.model import Address, AppServer, Deployment, Origin, Source
from no502.doctor.options import Options
from no502.doctor.readers.deployment import read_deployments
from no502.doctor.readers.dockerfile import read_dockerfile
from no502.doctor.readers.durations import docker_seconds, memory_bytes, systemd_seconds
from no502.doctor.readers.python.conf import read_python_conf
from no502.doctor.readers.shell.commands import follow, follow_text
from no502.doctor.readers.shell.expansion import expand
from no502.doctor.readers.yaml_nodes import YamlProblem, load_all
from tests.support.commands import ROOT
from tests.support.directories import write_tree


def _read(folder: Path, files: dict[str, str]) -> Deployment:
    [deployment] = read_deployments([write_tree(folder, files)], Options(base=folder))
    return deployment


def _values(server: AppServer, *names: str) -> list[Any]:
    return [server.settings.named()[name].value for name in names]


# --- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shell"),
    [
        ("gunicorn app:app", ""),
        ("exec gunicorn app:app", ""),
        ("env A=1 poetry run gunicorn app:app", ""),
        ("python -m gunicorn app:app", ""),
        ("uv run --no-dev gunicorn app:app", ""),
        ("/venv/bin/gunicorn app:app", ""),
        ("sh -c 'gunicorn app:app'", "sh -c without exec"),
        ("/bin/sh -c 'python migrate.py && gunicorn app:app'", "sh -c without exec"),
        ("/bin/sh -c 'python migrate.py && exec gunicorn app:app'", ""),
        ("bash -c 'python migrate.py && gunicorn app:app'", ""),
        ("bash -c 'gunicorn app:app; true'", "bash -c without exec"),
    ],
)
def test_commands_are_found_through_wrappers(text: str, shell: str) -> None:
    """Wrappers are stepped over; a shell stays in front unless exec, or bash at its last command, replaces it."""
    [(command, _)] = follow(shlex.split(text), Origin(file="x")).servers
    assert command.program == "gunicorn"
    assert command.words[-1] == "app:app"
    assert command.shell == shell


def test_other_commands_are_none() -> None:
    """A command line that only mentions a server starts none."""
    for text in ("pip install gunicorn", "python manage.py runserver", "echo gunicorn", "nginx -g 'daemon off;'"):
        assert follow_text(text, Origin(file="x")).servers == [], text


def test_variables_are_filled_in() -> None:
    """Shell defaults count where the variable is not known; what is left stays visible."""
    values = {"PORT": "9000", "EMPTY": ""}
    assert (
        expand("${PORT:-8000} ${OTHER:-8001} ${EMPTY:-x} ${EMPTY-y} $PORT $NONE", values) == "9000 8001 x  9000 $NONE"
    )


# --- gunicorn and uvicorn ------------------------------------------------------------------------------------------


def _server(tmp_path: Path, command: str, **files: str) -> tuple[AppServer, Deployment]:
    deployment = _read(
        tmp_path, {"Procfile": f"web: {command}\n", **{f"{name}.py": text for name, text in files.items()}}
    )
    return deployment.servers[0], deployment


def test_gunicorn_options(tmp_path: Path) -> None:
    """Long, short, glued and abbreviated options are read as gunicorn reads them; the rest are its defaults."""
    server, deployment = _server(
        tmp_path, "gunicorn -w4 -b :9000 --keep 65 --timeout=90 -k uvicorn.workers.UvicornWorker a:b"
    )
    assert _values(server, "workers", "keepalive", "timeout", "graceful_timeout") == [4, 65, 90, 30]
    assert server.settings.named()["bind"].value == (Address(host=None, port=9000),)
    assert server.settings.named()["graceful_timeout"].origin.source is Source.DEFAULT
    assert not deployment.problems


def test_unknown_option_is_named_with_the_closest_one(tmp_path: Path) -> None:
    """``--keepalive`` does not exist: gunicorn ends with exit code 2."""
    _, deployment = _server(tmp_path, "gunicorn --keepalive 75 a:b")
    [problem] = deployment.problems
    assert problem.rule == "C003"
    assert "did you mean --keep-alive?" in problem.message
    _, deployment = _server(tmp_path / "dash", "gunicorn \u2013workers 4 a:b")
    assert "not a hyphen" in deployment.problems[0].message


def test_environment_and_precedence(tmp_path: Path) -> None:
    """Defaults < file < GUNICORN_CMD_ARGS < command line; a value that loses is reported."""
    conf = "timeout = 50\nkeepalive = 5\nworkers = 3\n"
    command = "GUNICORN_CMD_ARGS='--keep-alive 6 --workers 5' gunicorn -c conf.py --workers 7 a:b"
    server, deployment = _server(tmp_path, command, conf=conf)
    assert _values(server, "timeout", "keepalive", "workers") == [50, 6, 7]
    assert [problem.rule for problem in deployment.problems] == ["C006"]


_COMPUTED = "timeout = sum(range(10))\nbind = [f'0.0.0.0:{8000 + n}' for n in range(1)]\nkeepalive = 5\n"


def test_configuration_is_run_only_when_asked(tmp_path: Path) -> None:
    """What only running tells is unknown, and known with ``--exec-config``; what reading tells stays as it was read."""
    folder = write_tree(tmp_path, {"Procfile": "web: gunicorn -c conf.py a:b\n", "conf.py": _COMPUTED})
    [[read], [ran]] = [
        read_deployments([folder], Options(base=folder, exec_config=execute)) for execute in (False, True)
    ]
    assert read.servers[0].settings.named()["timeout"].known is False
    assert read.servers[0].settings.named()["bind"].known is False
    assert ran.servers[0].settings.named()["timeout"].value == 45
    assert ran.servers[0].settings.named()["bind"].value == (Address(host="0.0.0.0", port=8000),)
    assert str(ran.servers[0].settings.named()["keepalive"].origin) == "conf.py:3"


def test_configuration_that_does_not_run_is_not_checked(tmp_path: Path) -> None:
    """An exception in the file is said, and the rest goes on."""
    files = {"Procfile": "web: gunicorn -c conf.py a:b\n", "conf.py": "timeout = open('nothing')\n"}
    folder = write_tree(tmp_path, files)
    [ran] = read_deployments([folder], Options(base=folder, exec_config=True))
    assert "executing it failed" in ran.not_checked[0].why
    assert not ran.servers[0].settings.named()["timeout"].known


def test_own_ladder(tmp_path: Path) -> None:
    """``-c python:gunicorn_conf`` is this project's configuration: its numbers follow from the variables."""
    server, _ = _server(tmp_path, "PROXY_READ_TIMEOUT=60 gunicorn -c python:gunicorn_conf a:b")
    assert _values(server, "timeout", "worker_class") == [40, "gunicorn_handover.HandoverWorker"]
    assert not server.settings.named()["workers"].known
    server, _ = _server(tmp_path / "bad", "PROXY_READ_TIMEOUT=never gunicorn -c python:gunicorn_conf a:b")
    assert not server.settings.named()["timeout"].known


def test_missing_configuration_leaves_everything_open(tmp_path: Path) -> None:
    """A configuration file that is not among the files may set anything."""
    server, _ = _server(tmp_path, "gunicorn -c /etc/gunicorn/prod.py --timeout 60 a:b")
    assert server.settings.named()["timeout"].value == 60
    assert not server.settings.named()["keepalive"].known


def test_uvicorn(tmp_path: Path) -> None:
    """uvicorn's options have gunicorn's names here; its own defaults; ``fastapi run`` binds all addresses."""
    server, _ = _server(tmp_path, "uvicorn a:b --host 0.0.0.0 --port 8001 --timeout-keep-alive 20 --no-proxy-headers")
    assert _values(server, "keepalive", "proxy_headers") == [20, False]
    assert server.settings.named()["bind"].value == (Address(host="0.0.0.0", port=8001),)
    assert server.settings.graceful_timeout is None
    server, deployment = _server(tmp_path / "two", "fastapi run app/main.py --port 80")
    assert server.settings.named()["bind"].value == (Address(host="0.0.0.0", port=80),)
    assert not deployment.problems
    _, deployment = _server(tmp_path / "three", "uvicorn a:b --keep-alive 75")
    assert "--timeout-keep-alive" in deployment.problems[0].message


# --- configuration files -------------------------------------------------------------------------------------------


def test_configuration_is_read_without_running_it(tmp_path: Path) -> None:
    """Constants, arithmetic, f-strings and environment look-ups are followed; nothing is executed."""
    trap = tmp_path / "ran"
    text = (
        "import os, multiprocessing\nfrom pathlib import Path\n"
        f"Path({str(trap)!r}).touch()\n"
        'host = os.getenv("HOST", "0.0.0.0")\nport = os.environ.get("PORT", "8000")\nbind = f"{host}:{port}"\n'
        'timeout = int(os.getenv("TIMEOUT", "60")) * 2\nworkers = multiprocessing.cpu_count() * 2 + 1\n'
        "if os.getenv('DEBUG'):\n    keepalive = 1\ngraceful_timeout = 3 * 10\n"
    )
    found = read_python_conf(text, "conf.py", {"PORT": "9000"}).settings
    assert found["bind"].value == ("0.0.0.0:9000",)
    assert found["timeout"].value == 120
    assert found["graceful_timeout"].value == 30
    assert found["timeout"].origin.line == 7
    assert found["workers"].known is False
    assert "cpu_count" in found["workers"].origin.note
    assert found["keepalive"].known is False
    assert found["keepalive"].origin.note == "inside an if"
    assert not trap.exists()


def test_misspelt_names_are_reported() -> None:
    """gunicorn ignores a name that it does not know; one that looks like a setting is reported, others are not."""
    found = read_python_conf("keep_alive = 65\ngracefull_timeout = 10\nmy_helper = 1\nworkers = 2\n", "conf.py", {})
    assert [problem.origin.line for problem in found.problems] == [1, 2]
    assert "did you mean keepalive?" in found.problems[0].message


def test_broken_configuration_is_a_problem() -> None:
    """A syntax error is reported with its line."""
    found = read_python_conf("workers = 2\ntimeout = = 3\n", "conf.py", {})
    assert found.problems[0].rule == "C003"
    assert found.problems[0].origin == Origin(file="conf.py", line=2)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=120))
def test_any_configuration_is_read_or_refused(text: str) -> None:
    """Whatever the file holds: a result, no exception."""
    read_python_conf(text, "conf.py", {})


# --- Compose and Dockerfiles ---------------------------------------------------------------------------------------

_COMPOSE = """
x-common: &common
  restart: always
services:
  app:
    <<: *common
    build: {context: ., dockerfile: docker/Dockerfile}
    environment:
      WEB_CONCURRENCY: ${WORKERS:-3}
      SECRET: $${kept}
    stop_grace_period: 1m30s
    healthcheck: {test: curl -f http://localhost:8000/, interval: 5s}
    deploy: {resources: {limits: {cpus: "0.5", memory: 256M}}, replicas: 2}
  web:
    image: nginx:1.27.4-alpine
    ports: ["8080:80"]
    volumes: ["./nginx:/etc/nginx/conf.d:ro"]
    depends_on: {app: {condition: service_healthy}}
"""
_DOCKERFILE = """FROM python:3.13-slim AS base
ENV PORT=8000
# the server
FROM base
EXPOSE 8000
RUN <<EOF
CMD nothing
EOF
CMD gunicorn \\
    --bind 0.0.0.0:$PORT \\
    app:app
"""
_NGINX = "upstream app { server app:8000; }\nserver { listen 80; location / { proxy_pass http://app; } }\n"


def test_compose_with_everything(tmp_path: Path) -> None:
    """Anchors, interpolation, the Dockerfile's command, volumes, limits and the image's version come together."""
    files = {
        "compose.yaml": _COMPOSE,
        "docker/Dockerfile": _DOCKERFILE,
        "nginx/app.conf": _NGINX,
        ".env": "WORKERS=4\n",
    }
    deployment = _read(tmp_path, files)
    app = deployment.service("app")
    assert app is not None
    assert app.settings.named()["stop_grace"].value == 90.0
    assert app.settings.named()["cpus"].value == 0.5
    assert app.settings.named()["memory"].value == 256 * 2**20
    assert app.settings.named()["replicas"].value == 2
    assert app.settings.named()["restart"].value == "always"
    assert app.environment["SECRET"].value == "${kept}"
    [check] = app.healthchecks
    assert check.interval.value == 5.0
    assert check.timeout.value == 30.0
    [server] = deployment.servers
    assert server.service == "app"
    assert str(server.origin) == "docker/Dockerfile:9"
    assert server.shell == "sh -c without exec"
    assert server.settings.named()["bind"].value == (Address(host="0.0.0.0", port=8000),)
    assert server.settings.named()["workers"].value == 4
    [nginx] = deployment.nginx
    assert nginx.service == "web"
    assert nginx.versions == ((1, 27, 4),)
    assert nginx.origin.file == "nginx/app.conf"
    web = deployment.service("web")
    assert web is not None
    assert web.depends_on["app"].value == "service_healthy"
    assert web.settings.named()["published"].value == ((8080, 80),)
    assert not deployment.problems


def test_paths_from_volumes_are_the_paths_that_were_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory named relative to the working one: what a volume leads to is not read a second time by itself."""
    text = "http { include snippets/*.conf; }\n"
    volumes = "['./nginx/nginx.conf:/etc/nginx/nginx.conf', './nginx/snippets:/etc/nginx/snippets']"
    files = {
        "site/compose.yaml": f"services:\n  web:\n    image: nginx:1.27.4\n    volumes: {volumes}\n",
        "site/nginx/nginx.conf": text,
        "site/nginx/snippets/a.conf": "server { location / { proxy_pass http://app:8000; } }\n",
    }
    write_tree(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    [deployment] = read_deployments([Path("site")])
    assert [nginx.origin.file for nginx in deployment.nginx] == ["site/nginx/nginx.conf"]
    assert "site/nginx/snippets/a.conf" in deployment.looked_at


def test_fragments_of_one_container_belong_together(tmp_path: Path) -> None:
    """A server of conf.d finds the upstream in a file beside it; what is not mounted is not read."""
    files = {
        "compose.yaml": "services:\n  web:\n    image: nginx:1.27.4\n    volumes: ['./conf.d:/etc/nginx/conf.d']\n",
        "conf.d/a.conf": "upstream app { server app:8000; keepalive 8; }\n",
        "conf.d/b.conf": "server { location / { proxy_pass http://app; } }\n",
        "examples/nginx.conf": "server { location / { proxy_pass http://other:1; } }\n",
    }
    [nginx] = _read(tmp_path, files).nginx
    [location] = nginx.locations
    assert location.upstream is not None
    assert location.upstream.explicit is True
    assert str(location.upstream.origin) == "conf.d/a.conf:1"


def test_override_file_is_merged(tmp_path: Path) -> None:
    """compose.override.yaml changes what it names and keeps the rest; command replaces the image's."""
    own = "    image: a\n    command: gunicorn a:b --timeout 10\n    environment: {A: '1'}\n"
    over = "    command: [gunicorn, 'a:b', --timeout, '20']\n    environment: {B: '2'}\n"
    files = {"compose.yaml": own, "compose.override.yaml": over}
    deployment = _read(tmp_path, {name: f"services:\n  app:\n{text}" for name, text in files.items()})
    [server] = deployment.servers
    assert server.settings.named()["timeout"].value == 20
    assert str(server.origin) == "compose.override.yaml:3"
    [service] = deployment.services
    assert {name: fact.value for name, fact in service.environment.items()} == {"A": "1", "B": "2"}


def test_entrypoint_script_is_followed(tmp_path: Path) -> None:
    """A script that the image starts is read, with its variables; without exec it stays in front of the server."""
    files = {
        "Dockerfile": 'FROM python:3.13\nCOPY . /app\nENTRYPOINT ["/app/start.sh"]\n',
        "compose.yaml": "services:\n  app:\n    build: .\n",
        "start.sh": '#!/bin/sh\n: "${WORKERS:=2}"\nTIMEOUT=45\ngunicorn a:b --workers "$WORKERS" --timeout $TIMEOUT\n',
    }
    [server] = _read(tmp_path, files).servers
    assert _values(server, "workers", "timeout") == [2, 45]
    assert server.shell == "entrypoint script without exec"
    assert server.service == "app"
    assert str(server.origin) == "start.sh:4"


def test_alpine_shell_replaces_itself() -> None:
    """busybox, the shell of alpine images, replaces itself by its last command."""
    image = read_dockerfile("FROM python:3.13-alpine\nCMD gunicorn a:b\n", "Dockerfile")
    assert image.cmd is not None
    [(command, _)] = follow(image.cmd.argv, Origin(file="x")).servers
    assert command.shell == ""


def test_projects_are_not_mixed_up(tmp_path: Path) -> None:
    """Two Compose files in folders of their own are two deployments."""
    files = {
        f"{name}/compose.yaml": f"services:\n  {name}:\n    image: x\n    command: gunicorn a:b\n" for name in "ab"
    }
    found = read_deployments([write_tree(tmp_path, files)], Options(base=tmp_path))
    assert [[server.service for server in one.servers] for one in found] == [["a"], ["b"]]


def test_configuration_that_nothing_loads(tmp_path: Path) -> None:
    """gunicorn loads ./gunicorn.conf.py only; a gunicorn_conf.py that no command names has no effect."""
    files = {"Procfile": "web: gunicorn a:b\n", "gunicorn_conf.py": "timeout = 300\n"}
    deployment = _read(tmp_path, files)
    assert [problem.rule for problem in deployment.problems] == ["C005"]
    loaded = _read(tmp_path / "two", {"Procfile": "web: gunicorn a:b\n", "gunicorn.conf.py": "timeout = 300\n"})
    assert loaded.problems == []
    assert loaded.servers[0].settings.named()["timeout"].value == 300


# --- systemd and Kubernetes ----------------------------------------------------------------------------------------


def test_systemd_unit(tmp_path: Path) -> None:
    """Continuations, drop-ins and environment count; without TimeoutStopSec it is 90 s."""
    unit = (
        "[Unit]\nAfter=network.target\n[Service]\nEnvironment=WEB_CONCURRENCY=3\nPrivateTmp=yes\n"
        "ExecStart=/srv/venv/bin/gunicorn \\\n    --bind unix:/run/app.sock \\\n    app:app\n"
    )
    files = {
        "app.service": unit,
        "app.service.d/override.conf": "[Service]\nTimeoutStopSec=1min 30s\nKillSignal=SIGQUIT\n",
    }
    deployment = _read(tmp_path, files)
    [server], [service] = deployment.servers, deployment.services
    assert server.settings.named()["bind"].value == (Address(socket="/run/app.sock"),)
    assert server.settings.named()["workers"].value == 3
    assert str(server.origin) == "app.service:6"
    assert service.settings.named()["stop_grace"].value == 90.0
    assert service.settings.named()["private_tmp"].value is True
    assert service.settings.named()["stop_signal"].value == "SIGQUIT"


def test_systemd_unit_with_an_example_of_its_environment(tmp_path: Path) -> None:
    """Where the EnvironmentFile is only on the host, the example beside the unit tells its numbers; the file wins."""
    unit = "[Service]\nEnvironmentFile=/etc/nowhere/environment\nExecStart=/x/gunicorn -b 127.0.0.1:1 app:app\n"
    files = {"app.service": unit, "environment.example": "WEB_CONCURRENCY=3\n"}
    [server] = _read(tmp_path, files).servers
    assert server.settings.named()["workers"].value == 3
    files["environment"] = "WEB_CONCURRENCY=5\n"
    [server] = _read(tmp_path, files).servers
    assert server.settings.named()["workers"].value == 5


_MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: api}}
    spec:
      terminationGracePeriodSeconds: 45
      containers:
        - name: app
          image: registry.example/api:1
          command: [gunicorn]
          args: ["app:app", "--bind", "0.0.0.0:8000"]
          env: [{name: WEB_CONCURRENCY, valueFrom: {configMapKeyRef: {name: settings, key: workers}}}]
          ports: [{containerPort: 8000}]
          resources: {limits: {cpu: 500m, memory: 1Gi}}
          readinessProbe: {httpGet: {path: /ready, port: 8000}, periodSeconds: 5}
          lifecycle: {preStop: {exec: {command: [sh, -c, sleep 7]}}}
---
apiVersion: v1
kind: Service
metadata: {name: api-service}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {workers: "2"}
"""


def test_kubernetes_manifest(tmp_path: Path) -> None:
    """Container, probe, preStop, limits, the Service's name and the ConfigMap's value are read."""
    deployment = _read(tmp_path, {"k8s/api.yaml": _MANIFEST})
    [service], [server] = deployment.services, deployment.servers
    assert service.name == "app"
    assert service.aliases[0] == "api-service"
    assert "api-service.default.svc.cluster.local" in service.aliases
    names = ("stop_grace", "pre_stop", "replicas", "cpus", "memory", "controller")
    assert [service.settings.named()[name].value for name in names] == [45.0, 7.0, 3, 0.5, 2**30, "Deployment"]
    [probe] = service.healthchecks
    assert probe.kind == "readinessProbe"
    assert probe.test.value == ("GET", "/ready")
    assert probe.interval.value == 5.0
    assert server.settings.named()["workers"].value == 2
    assert server.settings.named()["bind"].value == (Address(host="0.0.0.0", port=8000),)


_SIDECAR = """
apiVersion: v1
kind: ConfigMap
metadata: {name: proxy}
data:
  note: "nothing"
  default.conf: |
    upstream app {
        server 127.0.0.1:8000;
    }
    server {
        listen 80;
        location / { proxy_pass http://app; }
    }
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      containers:
        - {name: app, image: a, command: [gunicorn, "app:app", --bind, "127.0.0.1:8000"]}
        - {name: nginx, image: "nginx:1.27.4", volumeMounts: [{name: conf, mountPath: /etc/nginx/conf.d}]}
      volumes: [{name: conf, configMap: {name: proxy}}]
"""


def test_nginx_in_a_config_map(tmp_path: Path) -> None:
    """The proxy beside the application in a pod is read from its ConfigMap, with the lines of the manifest."""
    deployment = _read(tmp_path, {"k8s/api.yaml": _SIDECAR})
    [nginx] = deployment.nginx
    [location] = nginx.locations
    assert nginx.service == "nginx"
    assert nginx.versions == ((1, 27, 4),)
    assert nginx.origin.file == "k8s/api.yaml"
    assert location.upstream is not None
    server = location.upstream.servers[0]
    line = server.origin.line
    assert line is not None
    assert _SIDECAR.splitlines()[line - 1].strip() == "server 127.0.0.1:8000;"
    [link] = links(deployment)
    assert link.server.service == "app"


# --- values and hostile input --------------------------------------------------------------------------------------


def test_durations_and_sizes() -> None:
    """Times and sizes of Docker, systemd and Kubernetes."""
    assert [docker_seconds(text) for text in ("1m30s", "500ms", "10", "x")] == [90.0, 0.5, 10.0, None]
    assert [systemd_seconds(text) for text in ("90", "1min 30s", "infinity", "x")] == [90.0, 90.0, float("inf"), None]
    assert [memory_bytes(text) for text in ("512m", "1Gi", "2GB", "x")] == [2**29, 2**30, 2**31, None]


def test_yaml_bomb_and_nesting_end_in_a_message() -> None:
    """Aliases that multiply and lists that nest without end are refused at once."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for text in (bomb, "[" * 5000, "a: [1\nb: }"):
        with pytest.raises(YamlProblem):
            load_all(text)


def test_hostile_files_end_in_problems(tmp_path: Path) -> None:
    """A Compose file that is no YAML and a manifest that nests too deeply are problems, not tracebacks."""
    files = {"compose.yaml": "services: [\n", "k8s/a.yaml": "apiVersion: v1\nkind: X\na: " + "[" * 3000}
    deployment = _read(tmp_path, files)
    assert {problem.rule for problem in deployment.problems} == {"C003"}
    assert len(deployment.problems) == 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(
        alphabet=st.sampled_from("abcdefgs{}[]:-,&*#\"' \n$|>!?%@`0123456789"),
        max_size=200,
    )
)
def test_any_compose_file_is_read_or_refused(tmp_path: Path, text: str) -> None:
    """Whatever stands below services: no exception."""
    read_deployments([write_tree(tmp_path, {"compose.yaml": f"services:\n  a: {text}\n"})])


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=200))
def test_any_dockerfile_is_read(text: str) -> None:
    """Whatever a Dockerfile holds: no exception."""
    read_dockerfile(f"FROM x\n{text}\nCMD {text}", "Dockerfile")


def test_copied_ladder_has_its_numbers(tmp_path: Path) -> None:
    """A copy of ``gunicorn_conf.py`` is known by what it computes, although its statements do not show the values."""
    files = {
        "Procfile": "web: gunicorn -c gunicorn_conf.py main:app\n",
        "gunicorn_conf.py": (ROOT / "gunicorn_conf.py").read_text(encoding="utf-8"),
    }
    [server] = _read(tmp_path, files).servers
    assert _values(server, "timeout", "worker_class") == [120, "gunicorn_handover.HandoverWorker"]
