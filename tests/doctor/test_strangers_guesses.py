"""Guesses at what belongs together: what only looks like one deployment is not judged as one."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

SITE = f"server {{ listen 80; location / {{ proxy_pass http://shop:8000; {HEADERS} }} }}\n"
APP = "services:\n  shop: {image: acme/shop:1, command: gunicorn -b 0.0.0.0:8000 shop:app, stop_grace_period: 60s}\n"
DOCKERFILE = 'FROM python:3.13\nCMD ["gunicorn", "-b", "0.0.0.0:5000", "shop:app"]\n'
POD = """apiVersion: apps/v1
kind: Deployment
metadata: {name: one}
spec:
  template:
    metadata: {labels: {app: one}}
    spec:
      containers:
        - {name: one, image: "%s", ports: [{containerPort: 6379}], readinessProbe: {tcpSocket: {port: 6379}}}
"""


@pytest.mark.parametrize(
    "image",
    ["redis:6.2-alpine", "postgres:13", "docker.io/library/mongo:latest", "bitnami/rabbitmq", "quay.io/minio/minio:1"],
)
def test_a_pod_of_a_database_does_not_run_the_image_of_the_project(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a program is called says that no Dockerfile of the project made it."""
    found = judge(tmp_path, {"Dockerfile": DOCKERFILE, "k8s/one.yaml": POD % image}, monkeypatch)
    assert "P603" not in found.found()


@pytest.mark.parametrize("image", ["shop", "acme/shop:1", "registry.example/redis-shop:2"])
def test_a_pod_of_another_image_runs_the_image_of_the_project(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only image of the project is what a pod without a command runs: its probe asks the wrong port."""
    found = judge(tmp_path, {"Dockerfile": DOCKERFILE, "k8s/one.yaml": POD % image}, monkeypatch)
    assert "P603" in found.found()


INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: edge, annotations: {kubernetes.io/ingress.class: nginx}}
spec:
  rules:
    - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 8000}}}}]}
"""
SERVICE = """---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 8000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers: [{name: shop, image: "acme/shop:1", args: [gunicorn, -k, gthread, -b, "0.0.0.0:8000", "shop:app"]}]
"""


def test_an_ingress_is_not_in_front_of_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of Compose with the name of a cluster's Service is reached by no Ingress."""
    found = judge(tmp_path, {"compose.yaml": APP, "k8s/edge.yaml": INGRESS}, monkeypatch)
    assert "K206" not in found.found()


def test_an_ingress_is_in_front_of_its_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a container of Compose of the same name, the pod is what it reaches."""
    files = {"compose.yaml": APP, "k8s/edge.yaml": INGRESS + SERVICE}
    findings = judge(tmp_path, files, monkeypatch).data["findings"]
    assert [one["where"]["file"] for one in findings if one["rule"] == "K206"] == ["k8s/edge.yaml"]


PAGES = '  pages: {image: "nginx:1.28", volumes: ["./%s:%s"]}\n'


@pytest.mark.parametrize("mounted", ["/usr/share/nginx/html", "/srv/www"])
def test_an_nginx_with_pages_alone_has_no_other_site(
    mounted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official image with nothing but pages serves those: a site in another folder is not its own."""
    found = judge(tmp_path, {"compose.yaml": APP + PAGES % ("pages", mounted), "spare/site.conf": SITE}, monkeypatch)
    assert "A103" not in found.found()
    assert "no nginx in these files includes it" in found.gaps()


@pytest.mark.parametrize("mounted", ["/etc/nginx/conf.d", "/etc/nginx/nginx.conf"])
def test_an_nginx_whose_files_are_made_elsewhere_may_have_the_site(
    mounted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is not among the files, and the only site is."""
    found = judge(tmp_path, {"compose.yaml": APP + PAGES % ("made", mounted), "spare/site.conf": SITE}, monkeypatch)
    assert "A103" in found.found()


PARTS = "server { listen 81; include /etc/nginx/parts.d/*.conf; location / { return 204; } }\n"


def test_a_pattern_inside_a_server_means_no_other_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not here is not guessed to hold the whole site beside the file."""
    files = {"nginx/pages.conf": PARTS, "nginx/site.conf": "upstream other { server shop:8000; }\n" + SITE}
    assert "C001" not in judge(tmp_path, files, monkeypatch).found()


def test_a_pattern_inside_a_server_means_the_part_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a server of its own may be one of that folder: it is judged there."""
    files = {"nginx/pages.conf": PARTS, "nginx/part.conf": "location /a/ { proxy_pas http://shop:8000; }\n"}
    assert "C001" in judge(tmp_path, files, monkeypatch).found()


EDGE = '  edge: {image: "nginx:1.28", volumes: ["./site.conf:/etc/nginx/conf.d/default.conf"]}\n'


def test_a_name_in_braces_is_a_place_to_fill_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example with {name} in it is read as a template, and the rest of it is judged."""
    text = SITE.replace("listen 80;", "listen 80; server_name www.{name}.com; access_log /var/log/{name}.log;")
    found = judge(tmp_path, {"compose.yaml": APP + EDGE, "site.conf": text}, monkeypatch)
    assert "C001" not in found.found()
    assert "A103" in found.found()


def test_a_block_without_its_end_is_no_place_to_fill_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directive in braces that has no semicolon is what nginx refuses."""
    files = {
        "nginx.conf": "events {}\nhttp { server { listen 80 } server { location / { proxy_pass http://a:1; } } }\n"
    }
    assert "C001" in judge(tmp_path, files, monkeypatch).found()


TESTED = "services:\n  shop: {image: acme/shop:1, command: gunicorn -b 0.0.0.0:8000 shop:app}\n"


@pytest.mark.parametrize("folder", ["contrib/playwright", "e2e", "ops/tests/load"])
def test_compose_files_of_tests_are_not_judged(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not deployed; the folder is named."""
    found = judge(tmp_path, {"compose.yaml": APP, f"{folder}/compose.yaml": TESTED}, monkeypatch)
    assert "S501" not in found.found()
    assert "test files are not judged" in found.gaps()


@pytest.mark.parametrize("folder", ["contrib/latest", "ops/contest"])
def test_other_folders_are_judged(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that only ends like one of tests is that of a deployment."""
    assert "S501" in judge(tmp_path, {"compose.yaml": APP, f"{folder}/compose.yaml": TESTED}, monkeypatch).found()


VARIABLE = """server {{
    listen 80; resolver 127.0.0.11;
    location {path} {{ set $to http://shop:8000{uri}; proxy_pass $to; }}
}}
"""


@pytest.mark.parametrize(
    ("path", "uri", "severity"),
    [("/api/docs", "/api/docs", "warning"), ("/api/", "/", "error"), ("/api", "/v1", "error")],
)
def test_a_location_that_becomes_itself_is_a_warning(
    path: str, uri: str, severity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page itself works; only what is below it does not."""
    found = judge(tmp_path, {"site.conf": VARIABLE.format(path=path, uri=uri)}, monkeypatch)
    assert found.severity("A105") == severity


WITH_CADDY = "FROM python:3.13\nCOPY Caddyfile /etc/caddy/Caddyfile\nCMD gunicorn -k gthread -b :8000 shop:app\n"


def test_a_proxy_with_two_programs_reaches_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caddy beside gunicorn in one image: the other port is that of another program."""
    files = {
        "Dockerfile": WITH_CADDY,
        "compose.yaml": "services: {shop: {build: .}}\n",
        "Caddyfile": ":80 {\n  reverse_proxy /api/* localhost:8000\n  reverse_proxy localhost:3000\n}\n",
    }
    found = judge(tmp_path, files, monkeypatch).found()
    assert "A101" not in found
    assert "K206" in found


def test_a_proxy_with_one_program_has_its_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no address of Caddy is gunicorn's, the port is wrong."""
    files = {
        "Dockerfile": WITH_CADDY,
        "compose.yaml": "services: {shop: {build: .}}\n",
        "Caddyfile": ":80 {\n  reverse_proxy localhost:8001\n}\n",
    }
    assert "A101" in judge(tmp_path, files, monkeypatch).found()


@pytest.mark.parametrize(("host", "found"), [("edge", True), ("shop", False)])
def test_an_nginx_that_names_itself(host: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own container has no gunicorn: the name is not that of the application."""
    files = {"compose.yaml": APP + EDGE, "site.conf": SITE.replace("shop", host)}
    assert ("A101" in judge(tmp_path, files, monkeypatch).found()) is found


@pytest.mark.parametrize("rest", ["$request_uri", "$uri$is_args$args"])
def test_the_path_in_a_variable_is_no_part_of_the_name(
    rest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upstream of that name is looked up once, when nginx starts."""
    site = "upstream api { server shop:8000; }\n" + SITE.replace("http://shop:8000", f"http://api{rest}")
    assert "A103" in judge(tmp_path, {"compose.yaml": APP + EDGE, "site.conf": site}, monkeypatch).found()


def test_a_host_in_a_variable_is_looked_up_for_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is looked up when nginx starts."""
    site = SITE.replace("http://shop:8000", "http://$upstream_name$request_uri")
    assert "A103" not in judge(tmp_path, {"compose.yaml": APP + EDGE, "site.conf": site}, monkeypatch).found()


SUPERVISED = """[program:shop]
command=gunicorn -b 127.0.0.1:8000 shop:app
"""
IMAGE = "FROM debian\nRUN apt-get install -y nginx supervisor\nCOPY . /opt\nRUN cp /opt/nginx.conf /etc/nginx/\n"
MAIN = "events {}\nhttp { %s }\n"


@pytest.mark.parametrize(("port", "said"), [(8000, False), (8001, True)])
def test_supervisord_in_the_image_of_nginx(
    port: int, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that no container is seen to start runs beside the nginx of the only image."""
    site = MAIN % SITE.replace("shop:8000", f"127.0.0.1:{port}")
    files = {"Dockerfile": IMAGE, "nginx.conf": site, "supervisord.conf": SUPERVISED}
    assert ("no gunicorn or uvicorn in these files listens there" in judge(tmp_path, files, monkeypatch).gaps()) is said


RUN = 'FROM python:3.13\nCOPY run.sh /run.sh\nENTRYPOINT ["/run.sh"]\n'


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("gunicorn -b :8000 shop:app 2>&1 | tee /log", "Replace the pipe"),
        ("gunicorn -b :8000 shop:app --daemon\nnginx", "in its own container"),
        ("gunicorn -b :8000 shop:app", "Write `exec gunicorn ...`"),
    ],
)
def test_what_to_write_for_a_shell_that_is_process_1(
    line: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe cannot be replaced by exec, and a daemon must not be."""
    files = {"compose.yaml": "services: {shop: {build: .}}\n", "Dockerfile": RUN, "run.sh": f"#!/bin/sh\n{line}\n"}
    findings = judge(tmp_path, files, monkeypatch).data["findings"]
    assert [fix in one["fix"] for one in findings if one["rule"] == "S502"] == [True]


@pytest.mark.parametrize(
    ("site", "fix"),
    [
        (SITE, "add `upstream shop {"),
        ("upstream app { server shop:8000; }\n" + SITE.replace("shop:8000", "app"), "set `zone app 64k;`"),
    ],
)
def test_where_a_name_is_looked_up_again(site: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy_pass that names the container needs an upstream first."""
    findings = judge(tmp_path, {"compose.yaml": APP + EDGE, "site.conf": site}, monkeypatch).data["findings"]
    assert [fix in one["fix"] for one in findings if one["rule"] == "A103"] == [True]
