"""Repositories as they are found in the wild: nothing that works may be called wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from no502.doctor.check import findings_of
from no502.doctor.model import Deployment
from no502.doctor.options import Options
from no502.doctor.readers.deployment import read_deployments
from no502.doctor.registry import rules
from no502.doctor.show import show_effective

_CONF = "events {{}}\nhttp {{ server {{ listen 80; location / {{ proxy_pass http://{}; }} }} }}\n"
_FRONT = """
  nginx:
    image: nginx:1.26
    volumes: [./nginx.conf:/etc/nginx/nginx.conf]
"""


def _read(folder: Path, files: dict[str, str]) -> Deployment:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    [deployment] = read_deployments([folder], Options(base=folder))
    return deployment


def _ids(deployment: Deployment) -> set[str]:
    return {finding.rule for finding in findings_of(deployment, rules().values())}


_POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
        - name: app
          image: api:1
          command: [gunicorn, "app:app", -b, "BIND"]
          ports: [{name: http, containerPort: 8000}]
SIDECAR
---
apiVersion: v1
kind: Service
metadata: {name: api-svc, namespace: shop}
spec:
  selector: {app: api}
  ports: [{port: 80, targetPort: TARGET}]
"""
_SIDECAR = "        - {name: proxy, image: 'envoy:1', ports: [{name: web, containerPort: 8080}]}"


def _pod(bind: str, target: str, sidecar: str = "") -> str:
    return _POD.replace("BIND", bind).replace("TARGET", target).replace("SIDECAR", sidecar)


@pytest.mark.parametrize("host", ["api-svc:80", "api-svc", "api-svc.shop.svc.cluster.local", "api-svc.shop:80"])
@pytest.mark.parametrize("target", ["8000", "http"])
def test_a_service_of_kubernetes_maps_its_port(tmp_path: Path, host: str, target: str) -> None:
    """The port of a Service is not the port of its container."""
    files = {"k8s/app.yaml": _pod("0.0.0.0:8000", target), "nginx/nginx.conf": _CONF.format(host)}
    found = _ids(_read(tmp_path, files))
    assert "A101" not in found
    assert "H801" in found, "the location and the server are a pair"


def test_a_service_that_leads_to_no_listener_is_found(tmp_path: Path) -> None:
    """A targetPort where nothing listens is wrong."""
    files = {"k8s/app.yaml": _pod("0.0.0.0:8000", "9000"), "nginx/nginx.conf": _CONF.format("api-svc:80")}
    assert "A101" in _ids(_read(tmp_path, files))


def test_a_service_that_leads_to_a_sidecar_is_right(tmp_path: Path) -> None:
    """The application listens on the pod's loopback, and the Service leads to the proxy beside it."""
    pod = _pod("127.0.0.1:8000", "8080", _SIDECAR)
    found = _ids(_read(tmp_path, {"k8s/app.yaml": pod, "nginx/nginx.conf": _CONF.format("api-svc:80")}))
    assert not found & {"A101", "A102"}


def _shell(script: str, command: str = "") -> dict[str, str]:
    return {
        "compose.yaml": f"services:\n  web:\n    build: .\n{command}{_FRONT}    depends_on: [web]\n",
        "Dockerfile": 'FROM python:3.12-slim\nCOPY start.sh /start.sh\nENTRYPOINT ["/start.sh"]\n'
        'CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "9000"]\n',
        "start.sh": f"#!/bin/sh\nset -e\n{script}\n",
        "nginx.conf": _CONF.format("web:9000"),
    }


_FUNCTIONS = """run() {
  exec uvicorn a:a --host 0.0.0.0 --port 9000
}
case "${1:-web}" in
  web)
    run
    ;;
  dev|local)
    exec uvicorn a:a
    ;;
esac"""
_CASE = """case "$1" in
  web) exec uvicorn a:a --host 0.0.0.0 --port 9000 ;;
  *) exec uvicorn a:a --host 0.0.0.0 ;;
esac"""
_IF = 'if [ "$DEV" ]; then\n  exec uvicorn a:a{}\nelse\n  exec uvicorn a:a --host 0.0.0.0 --port 9000\nfi'


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ('exec "$@"', ""),
        ('exec uvicorn "$@"', '    command: [main:app, --host, 0.0.0.0, --port, "9000"]\n'),
        ('exec uvicorn main:app --host 0.0.0.0 --port "$1"', '    command: ["9000"]\n'),
        (_CASE, "    command: web\n"),
        (_FUNCTIONS, "    command: []\n"),
        (_IF.format(" --reload"), ""),
        (_IF.format(""), ""),
    ],
)
def test_what_a_script_starts_follows_its_arguments(tmp_path: Path, script: str, command: str) -> None:
    """A script that leads to the right address is right, whatever its other branches do."""
    deployment = _read(tmp_path, _shell(script, command))
    found = _ids(deployment)
    assert not found & {"A101", "A102"}
    assert "H801" in found, "nginx and the server are a pair"


def test_the_wrong_arm_of_a_case_is_found(tmp_path: Path) -> None:
    """The arm that the command leads to is the one that counts."""
    assert "A101" in _ids(_read(tmp_path, _shell(_CASE, "    command: api\n")))


@pytest.mark.parametrize("word", ['"$@"', "$UVICORN_OPTIONS main:app"])
def test_unknown_options_decide_nothing(tmp_path: Path, word: str) -> None:
    """A default that an unknown option may replace is not judged."""
    files = _shell(f"exec uvicorn {word}", "    entrypoint: sh -c '/start.sh $$OPTIONS'\n")
    assert not _ids(_read(tmp_path, files)) & {"A101", "A102"}


@pytest.mark.parametrize("first", ["./wait-for-it.sh db:5432 --", "/docker-entrypoint.sh"])
def test_a_command_behind_an_entrypoint_is_found(tmp_path: Path, first: str) -> None:
    """An entrypoint that is not among the files leads to the command behind it."""
    files = {"compose.yaml": f"services:\n  web:\n    image: web\n    command: {first} gunicorn a:a -b 0.0.0.0:8000\n"}
    [server] = _read(tmp_path, files).servers
    assert server.service == "web"


_WEB = "services:\n  web:\n    build: .\n    command: uvicorn a:a --host 0.0.0.0 --port {}\n"
_OVER = "services:\n  web:\n    command: uvicorn a:a --host 0.0.0.0 --port {}\n"


@pytest.mark.parametrize(
    "files",
    [
        {"docker-compose.local.yml": _WEB.format(8000), "docker-compose.production.yml": _WEB.format(9000) + _FRONT},
        {"compose-dev.yml": _WEB.format(8000), "compose-eu.yml": _WEB.format(9000) + _FRONT},
        {"compose.yaml": _WEB.format(8000), "compose.prod.yaml": _OVER.format(9000) + _FRONT},
        {"compose.yaml": _WEB.format(8000), "compose.prod.yaml": _WEB.format(9000) + _FRONT},
        {"compose.yaml": _WEB.format(8000) + _FRONT, "compose.override.yaml": _OVER.format(9000)},
        {
            "compose.yaml": _WEB.format(8000),
            "compose.override.yaml": _OVER.format(8001),
            "compose.prod.yaml": _OVER.format(9000) + _FRONT,
        },
    ],
)
def test_the_files_of_production_count(tmp_path: Path, files: dict[str, str]) -> None:
    """nginx and the application of production are compared, not those of a developer's machine."""
    deployment = _read(tmp_path, {**files, "Dockerfile": "FROM python:3.12\n", "nginx.conf": _CONF.format("web:9000")})
    found = _ids(deployment)
    assert "A101" not in found
    assert "H801" in found, "nginx and the server are a pair"
    assert [one.service for one in deployment.nginx] == ["nginx"]


@pytest.mark.parametrize("line", ["", "include proxy_params;"])
def test_what_a_missing_include_may_say_is_not_judged(tmp_path: Path, line: str) -> None:
    """Debian's proxy_params sets the headers; without that line they are missing."""
    unit = "[Service]\nExecStart=/venv/bin/gunicorn --bind unix:/run/gunicorn.sock a:a\n"
    site = f"server {{\n  location / {{\n    {line}\n    proxy_pass http://unix:/run/gunicorn.sock;\n  }}\n}}\n"
    found = _ids(_read(tmp_path, {"gunicorn.service": unit, "nginx/site.conf": site}))
    assert ("H801" in found) is (line == "")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """A header with a password is named, its value is not printed; a variable of nginx is no secret."""
    site = """server { location / { proxy_pass http://127.0.0.1:8000;
        proxy_set_header Authorization "Basic aHVudGVyMg==";
        proxy_set_header X-Api-Token hunter2;
        proxy_set_header Cookie $http_cookie; } }"""
    text = show_effective(_read(tmp_path, {"nginx/site.conf": site}))
    assert "header authorization" in text
    assert "$http_cookie" in text
    assert not any(word in text for word in ("hunter2", "aHVudGVyMg"))


def test_a_dockerfile_runs_with_the_variables_of_its_service(tmp_path: Path) -> None:
    """A published image is often built from the folder that has its service's name."""
    compose = "services:\n  api:\n    image: shop/api:1\n    environment: {TIMEOUT: 360}\n"
    dockerfile = 'FROM python:3.12\nENV TIMEOUT=100\nCMD ["sh", "-c", "exec gunicorn a:a --timeout $TIMEOUT"]\n'
    deployment = _read(tmp_path, {"compose.yaml": compose, "api/Dockerfile": dockerfile})
    [server] = deployment.servers
    assert server.settings.named()["timeout"].value == 360
    assert [service.name for service in deployment.services] == ["api"]


@pytest.mark.parametrize(
    "manifest",
    [
        "cpu: '${CPU}'",
        "cpu: many",
        "cpu: [1]",
        "memory: lots",
    ],
)
def test_limits_that_are_no_numbers_are_left_alone(tmp_path: Path, manifest: str) -> None:
    """A placeholder of kustomize or envsubst is not a crash."""
    pod = _pod("0.0.0.0:8000", "8000").replace(
        "image: api:1", f"image: api:1\n          resources: {{limits: {{{manifest}}}}}"
    )
    [service] = _read(tmp_path, {"k8s/app.yaml": pod}).services
    assert not {"cpus", "memory"} & set(service.settings.named())


def test_broken_containers_are_no_crash(tmp_path: Path) -> None:
    """Lists and mappings that are something else are read as nothing."""
    broken = ["containers: {a: 1}", "containers: []", "containers: text", "initContainers: [{name: a}]"]
    for number, text in enumerate(broken):
        manifest = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  {text}\n  containers: \n"
        deployment = _read(tmp_path / str(number), {"pod.yaml": manifest, "nginx/nginx.conf": _CONF.format("a:80")})
        assert not deployment.servers


def test_a_location_without_a_path_is_no_crash(tmp_path: Path) -> None:
    """Half a configuration is reported, not fallen over."""
    places = 'location "" { proxy_pass http://a:80; } location ~ ^/b { proxy_pass http://b; }'
    conf = f"events {{}}\nhttp {{ server {{ {places} }} }}\n"
    assert isinstance(_ids(_read(tmp_path, {"nginx/nginx.conf": conf})), set)


def test_a_probe_of_the_sidecar_covers_the_pod(tmp_path: Path) -> None:
    """A pod gets requests only when all of its containers are ready."""
    probe = ", readinessProbe: {httpGet: {path: /, port: 8080}}"
    for text in ("", probe):
        side = f"        - {{name: proxy, image: 'nginx:1.27'{text}}}"
        files = {"k8s/app.yaml": _pod("127.0.0.1:8000", "8080", side), "nginx.conf": _CONF.format("127.0.0.1:8000")}
        assert ("P601" in _ids(_read(tmp_path, files))) is (not text)


def test_a_configuration_of_gunicorn_beside_a_uvicorn_is_no_server(tmp_path: Path) -> None:
    """A file that was left behind does not start anything."""
    files = {
        "Dockerfile": 'FROM python:3.12\nCMD ["uvicorn", "a:a"]\n',
        "gunicorn.conf.py": "bind = '0.0.0.0:9000'\n",
    }
    assert [server.program for server in _read(tmp_path, files).servers] == ["uvicorn"]


def test_an_entrypoint_that_runs_a_script_that_starts_the_server(tmp_path: Path) -> None:
    """cookiecutter-django: /entrypoint execs /start, and gunicorn's file lies beside that."""
    files = {
        "compose.yaml": "services:\n  web:\n    command: /start\n"
        "    build: {context: ., dockerfile: image/Dockerfile}\n",
        "image/Dockerfile": "FROM python:3.12\nCOPY image/entrypoint /entrypoint\nCOPY image/start /start\n"
        'ENTRYPOINT ["/entrypoint"]\n',
        "image/entrypoint": '#!/bin/bash\nexec "$@"\n',
        "image/start": "#!/bin/bash\nexec gunicorn -c config/gunicorn_settings.py a:a\n",
        "image/config/gunicorn_settings.py": "bind = '0.0.0.0:5000'\n",
    }
    [server] = _read(tmp_path, files).servers
    assert server.service == "web"
    assert [address.port for address in server.settings.named()["bind"].value or ()] == [5000]


@pytest.mark.parametrize(("bind", "wrong"), [("unix:/tmp/app.sock", False), ("unix:/run/app.sock", True)])
def test_nginx_and_gunicorn_under_supervisord(tmp_path: Path, bind: str, wrong: bool) -> None:
    """Both run in one container: the programs of supervisord are the servers."""
    programs = (
        "[supervisord]\nnodaemon=true\n[program:nginx]\ncommand=/usr/sbin/nginx -g 'daemon off;'\n"
        f"[program:app]\ncommand = gunicorn a:a -w %(ENV_WORKERS)s\n  --bind {bind} ; the socket\nstopwaitsecs=10\n"
    )
    site = "server { listen 80; location / { proxy_pass http://unix:/tmp/app.sock; } }\n"
    deployment = _read(tmp_path, {"supervisord.conf": programs, "nginx/site.conf": site})
    [server] = deployment.servers
    assert [str(address) for address in server.settings.named()["bind"].value or ()] == [bind]
    assert ("A101" in _ids(deployment)) is wrong
