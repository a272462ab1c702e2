"""What belongs to one nginx: includes wherever they lead, fragments, templates; and what nginx really does."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

UNIT = "[Service]\nExecStart=/srv/venv/bin/gunicorn -b {bind} -k {kind} {more} shop:app\n"
ASYNC = UNIT.format(bind="127.0.0.1:8000", kind="uvicorn_worker.UvicornWorker", more="")


def test_debians_proxy_params_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``include proxy_params;`` sets the headers, and nothing is missing."""
    locations = "".join(f" location /{n} {{ proxy_pass http://shop; include proxy_params; }}\n" for n in range(5))
    files = {
        "shop.service": ASYNC,
        "site.conf": f"upstream shop {{ server 127.0.0.1:8000; }}\nserver {{\n{locations}}}\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "proxy_params" not in report.gaps()
    assert "H801" not in report.found()
    assert "K202" in report.found()


@pytest.mark.parametrize(
    ("name", "include"),
    [
        ("nginx/snippets/pass.conf", "/etc/nginx/snippets/pass.conf"),
        ("deploy/pass.inc", "/opt/acme/pass.inc"),
        ("nginx/templates/parts/pass.conf.template", "conf.d/parts/pass.conf"),
    ],
)
def test_an_include_is_found_by_its_place_or_name(
    name: str, include: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its path is not mapped, the only file of that name is it; read once, with the names of the whole."""
    files = {
        "shop.service": ASYNC,
        "nginx/templates/default.conf.template" if "templates" in name else "nginx/site.conf": (
            f"upstream shop {{ server 127.0.0.1:8000; }}\nserver {{ listen 80; include {include}; }}\n"
        ),
        name: f"location / {{ proxy_pass http://shop; {HEADERS} }}\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "include" not in report.gaps()
    assert report.data["inputs"].count(name) == 1
    assert not report.found() & {"A101", "A103", "C001"}


def test_copies_of_an_image_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """COPY tells where a file is in the container; nginx and gunicorn of one image share its sockets."""
    files = {
        "Dockerfile": "FROM python:3.13\nRUN apt-get update && apt-get install -y nginx\nCOPY ops/ /etc/nginx/\n"
        'CMD ["sh", "-c", "nginx; exec gunicorn -k gthread -b unix:/run/shop.sock shop:app"]\n',
        "ops/nginx.conf": "events {}\nhttp { upstream shop { server unix:/run/shop.sock; }\n"
        " server { listen 80; location / { include /etc/nginx/pass/on.conf; } } }\n",
        "ops/pass/on.conf": "proxy_pass http://shop;\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert not report.found() & {"A101", "A107", "C001"}
    assert "include" not in report.gaps()


def test_a_fragment_is_no_nginx_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locations without a server are a part of a file that is not here."""
    files = {
        "shop.service": ASYNC,
        "nginx/site.conf": "upstream back { server 127.0.0.1:8000; }\nserver { include /opt/acme/one.inc; }\n",
        "nginx/two.conf": f"location / {{ proxy_pass http://back; {HEADERS} }}\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert not report.found("nginx/two.conf")
    assert "include /opt/acme/one.inc" in report.gaps()


@pytest.mark.parametrize(
    "text",
    [
        (
            "events {}\nhttp "
            "{ server { listen 443 quic; http3 on; http2 on; location / { proxy_pass http://127.0.0.1:1; } } }"
        ),
        "events {}\nhttp { quic_retry on; http3_stream_buffer_size 64k; server { location / { return 204; } } }",
        (
            "{% if a %}\nserver "
            "{\n{% else %}\nserver { listen 81;\n{% endif %}\n location / { proxy_pass http://127.0.0.1:1; }\n}"
        ),
        "events {}\nhttp { more_set_headers 'a: b'; vhost_traffic_status_zone; server { location / { echo hi; } } }",
    ],
)
def test_what_nginx_loads_is_no_mistake(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directives of optional modules, and both branches of a template, are not C001."""
    files = {"shop.service": ASYNC, "nginx/site.conf.j2" if "{%" in text else "nginx.conf": text + "\n"}
    assert "C001" not in judge(tmp_path, files, monkeypatch).found()


@pytest.mark.parametrize("version", ["1.22.1", "1.26.2", "1.31.3"])
@pytest.mark.parametrize(
    ("header", "pools"), [('"upgrade"', True), ('""', True), ("keep-alive", True), ("close", False)]
)
def test_only_close_ends_a_connection(
    version: str, header: str, pools: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keepalive and HTTP/1.1 every other Connection header leaves it in the pool, on every version."""
    site = (
        "upstream shop { server 127.0.0.1:8000; keepalive 8; }\nserver { listen 80; location / { proxy_pass http://shop;\n"
        f" proxy_http_version 1.1; proxy_set_header Connection {header}; }} }}\n"
    )
    files = {"shop.service": ASYNC, "site.conf": site}
    report = judge(tmp_path, files, monkeypatch, "--nginx-version", version, ".")
    assert ("K201" in report.found()) is pools
    assert ("K203" in report.found()) is not pools


@pytest.mark.parametrize(
    ("regex", "found"),
    [("^/(ws|live)", False), ("^/api/(a|b)", True), ("^/(api|ws)/x", True), ("^/other", False), ("^/ap", True)],
)
def test_a_regex_takes_only_what_it_matches(
    regex: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer timeout of a prefix is lost only where both can match."""
    site = (
        "server { location /api { proxy_read_timeout 300s; proxy_pass http://127.0.0.1:8000; }\n"
        f" location ~ {regex} {{ proxy_pass http://127.0.0.1:8000; }} }}\n"
    )
    assert ("T302" in judge(tmp_path, {"site.conf": site}, monkeypatch).found()) is found


COMPOSE = """services:
  shop:
    image: acme/shop:3
    command: gunicorn shop:app -b :8000 -k gevent
    stop_grace_period: 40s
    {deploy}
  edge:
    image: nginx:{version}
    volumes: ["./edge.conf:/etc/nginx/conf.d/default.conf"]
"""


@pytest.mark.parametrize(
    ("target", "more", "found"),
    [
        ("http://$s:8000/v1/", "", True),
        ("http://$s:8000", "", False),
        ("http://$s:8000$request_uri", "", False),
        ("http://$s:8000/v1/$1", "", False),
        ("http://$s:8000/v1/", "rewrite ^/api/(.*)$ /$1 break;", True),
        ("http://$s:8000", "rewrite ^/api/(.*)$ /$1 break;", False),
        ("$u", "set $u http://shop:8000/v1/;", True),
        ("$u", "set $u http://shop:8000;", False),
        ("$u", "set $u http://shop:8000$request_uri;", False),
        ("http://$s:8000/index.html", "", False),
        ("http://shop:8000/v1/", "", False),
    ],
)
def test_a_variable_with_a_uri(
    target: str, more: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URI replaces every path; without a variable, or without a URI, it does not."""
    site = (
        f"server {{ resolver 127.0.0.11; location /api/ {{ set $s shop; {more} proxy_pass {target}; {HEADERS} }} }}\n"
    )
    report = judge(
        tmp_path, {"compose.yaml": COMPOSE.format(deploy="", version="1.28.0"), "edge.conf": site}, monkeypatch
    )
    assert ("A105" in report.found()) is found


@pytest.mark.parametrize(
    ("version", "said", "unsaid"),
    [("1.31.3", "server shop:8000 resolve;", "set $app"), ("1.22.1", "rewrite ^/api/(.*)$ /v1/$1 break;", "1.27.3")],
)
def test_the_advice_for_a_stale_name_keeps_paths_and_fits_the_version(
    version: str, said: str, unsaid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a variable in front of a URI; only what the nginx at hand can do. It is an error."""
    site = f"server {{ location /api/ {{ proxy_pass http://shop:8000/v1/; {HEADERS} }} }}\n"
    files = {"compose.yaml": COMPOSE.format(deploy="", version=version), "edge.conf": site}
    report = judge(tmp_path, files, monkeypatch)
    [finding] = [one for one in report.data["findings"] if one["rule"] == "A103"]
    assert finding["severity"] == "error"
    assert said in finding["fix"]
    assert unsaid not in finding["fix"]


@pytest.mark.parametrize(
    ("deploy", "target", "found"),
    [
        ("deploy: {replicas: 3, update_config: {order: stop-first}}", "http://shop:8000", set()),
        (
            "deploy: {replicas: 3, update_config: {order: stop-first}}",
            "http://tasks.shop:8000",
            {"A103", "R401", "R403"},
        ),
        ("deploy: {replicas: 3, endpoint_mode: dnsrr}", "http://shop:8000", {"A103", "R401", "R403"}),
        ("deploy: {replicas: 3}", "http://shop:8000", {"A103", "R401", "R403"}),
        ("deploy: {replicas: 3}", "http://$s", {"R403"}),
    ],
)
def test_peers_of_a_name(
    deploy: str, target: str, found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swarm gives a service one address and its tasks one each; a variable's peers live for one request."""
    site = f"server {{ resolver 127.0.0.11; location / {{ set $s shop:8000; proxy_pass {target}; {HEADERS} }} }}\n"
    files = {"compose.yaml": COMPOSE.format(deploy=deploy, version="1.28.0"), "edge.conf": site}
    assert judge(tmp_path, files, monkeypatch).found() & {"A103", "R401", "R403"} == found


def test_a_moving_tag_is_what_a_pull_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nginx:alpine pools by default, and a vendor's nginx-122 does not."""
    site = f"upstream s {{ server shop:8000; }}\nserver {{ location / {{ proxy_pass http://s; {HEADERS} }} }}\n"
    moving = {"compose.yaml": COMPOSE.format(deploy="", version="alpine"), "edge.conf": site}
    assert "K201" in judge(tmp_path / "a", moving, monkeypatch).found()
    old = {
        "compose.yaml": COMPOSE.format(deploy="", version="x").replace("nginx:x", "acme/nginx-122:4"),
        "edge.conf": site,
    }
    assert not judge(tmp_path / "b", old, monkeypatch).found() & {"K201", "K202"}


def test_a_pods_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's own name wins over a Service of the same name, which is another container's."""
    text = """apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - name: edge
          image: nginx:1.28.0
          lifecycle: {preStop: {sleep: {seconds: 5}}}
        - name: shop
          image: acme/shop:3
          command: [gunicorn, -b, "127.0.0.1:8000", "shop:app"]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
"""
    report = judge(tmp_path, {"shop.yaml": text}, monkeypatch)
    assert "S505" in report.found()


def test_an_image_without_a_command_is_the_projects_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod's container runs what the only Dockerfile says: likely, and said so."""
    text = """apiVersion: v1
kind: ConfigMap
metadata: {name: edge}
data:
  nginx.conf: |
    events {}
    http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
---
apiVersion: v1
kind: Pod
metadata: {name: shop}
spec:
  containers:
    - {name: shop, image: acme/shop:3}
    - name: edge
      image: nginx:1.28.0
      volumeMounts: [{name: c, mountPath: /etc/nginx}]
  volumes: [{name: c, configMap: {name: edge}}]
"""
    files = {"pod.yaml": text, "Dockerfile": 'FROM python:3.13\nCMD ["gunicorn", "-b", "127.0.0.1:8001", "shop:app"]\n'}
    report = judge(tmp_path, files, monkeypatch)
    assert "A101" in report.found("pod.yaml")
    assert {one["confidence"] for one in report.data["findings"] if one["rule"] == "A101"} == {"likely"}
    assert "image acme/shop:3 is taken to be Dockerfile" in report.text


@pytest.mark.parametrize(
    ("version", "more", "severity"),
    [
        ("2", "", "error"),
        ("2", "--http-protocols h2,h1", "error"),
        ("2", "--http-protocols h2,h1 --http2-cleartext prior-knowledge", "warning"),
        ("1.1", "", ""),
    ],
)
def test_http2_to_the_application(
    version: str, more: str, severity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request fails where the server does not speak it; where it does, a worker that ends costs requests."""
    unit = UNIT.format(bind="127.0.0.1:8000", kind="gthread", more=more)
    site = f"server {{ location / {{ proxy_pass http://127.0.0.1:8000; proxy_http_version {version}; {HEADERS} }} }}\n"
    report = judge(tmp_path, {"shop.service": unit, "site.conf": site}, monkeypatch)
    assert [one["severity"] for one in report.data["findings"] if one["rule"] == "K207"] == [severity][: bool(severity)]
