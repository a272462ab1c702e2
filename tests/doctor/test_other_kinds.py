"""What is not judged has a line of its own; what other forms of a known kind say is read."""

import json
from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

POD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop"},
    "spec": {
        "template": {
            "spec": {"containers": [{"name": "shop", "image": "a", "command": ["gunicorn", "-b", ":7000", "a:app"]}]}
        }
    },
}
UPSTREAM = "events {}\nhttp { server { location / { %s } } }\n"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("nginx.conf", UPSTREAM % "grpc_pass grpc://shop:50051;", "grpc_pass grpc://shop:50051 at /"),
        ("nginx.conf", UPSTREAM % "include uwsgi_params; uwsgi_pass shop:3031;", "uwsgi_pass shop:3031 at /"),
        ("nginx.conf", UPSTREAM % "fastcgi_pass unix:/run/php.sock;", "fastcgi_pass unix:/run/php.sock at /"),
        ("nginx.conf", "events {}\nstream { server { listen 80; proxy_pass shop:8000; } }\n", "stream {} of nginx"),
        ("shop.container", "[Container]\nImage=acme/shop\nExec=gunicorn shop:app\n", "is a Quadlet of Podman"),
        (
            "roles/shop/tasks/main.yml",
            "- name: run\n  command: gunicorn -D shop:app\n",
            "is a list of tasks of Ansible",
        ),
        ("justfile", "serve:\n  gunicorn -b :7000 shop:app\n", "is a list of recipes of just"),
        ("run.bat", "uvicorn shop:app --port 8000\n", "is a script of Windows"),
        (
            "cloudbuild.yaml",
            "steps:\n- args: [run, deploy, shop, --command, gunicorn, '--args=-b,:80,shop:app']\n",
            "is a pipeline that deploys",
        ),
        (
            "azure-pipelines.yml",
            "steps:\n- task: AzureWebApp@1\n  inputs:\n    startUpCommand: gunicorn shop:app\n",
            "is a pipeline that deploys",
        ),
        (
            "docker-compose.yml.j2",
            "services:\n{% if edge %}\n  edge: {image: nginx}\n{% endif %}\n",
            "is a template of a Compose file",
        ),
        (
            "compose.yaml",
            "services: {shop: {image: a, command: granian shop:app}}\n",
            "granian (an application server)",
        ),
        (
            "init.d/shop",
            '#!/sbin/openrc-run\ncommand=/srv/venv/bin/gunicorn\ncommand_args="-b :80 shop:app"\n',
            "is a service of OpenRC",
        ),
        ("shop.conf", "respawn\nexec gunicorn -b :80 shop:app\n", "is a job of Upstart"),
        ("shop.plist", "<array><string>/v/bin/gunicorn</string></array>\n", "is a job of launchd"),
        ("shop.kube", "[Kube]\nYaml=shop.yaml\n", "is a Quadlet of Podman"),
        (
            "run.yaml",
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: shop}\nspec: {}\n",
            "run.yaml is a Knative service",
        ),
        (
            "route.yaml",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: shop}\nspec: {}\n",
            "a gateway is in front of the application: its timeouts are unknown",
        ),
        (
            "route.yaml",
            "apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\nmetadata: {name: shop}\nspec: {}\n",
            "Traefik is in front of the application: checked with its default timeouts",
        ),
        (
            "live/kustomization.yaml",
            "resources: [../base]\npatches: [{path: times.yaml}]\n",
            "run doctor on the output of `kubectl kustomize live`",
        ),
    ],
)
def test_what_is_not_judged_is_named(
    name: str, text: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence would read as a pass."""
    files = {name: text, "Procfile": "web: gunicorn -b :7000 shop:app\n"}
    assert line in judge(tmp_path, files, monkeypatch).gaps()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nginx.conf", UPSTREAM % f"proxy_pass http://127.0.0.1:7000; {HEADERS}"),
        ("live/kustomization.yaml", "resources: [../base]\n"),
        (".github/workflows/test.yml", "jobs: {test: {steps: [{run: gunicorn shop:app}]}}\n"),
        ("azure-pipelines.yml", "steps:\n- script: gunicorn shop:app\n"),
        ("roles/shop/tasks/main.yml", "- name: install\n  command: pip install gunicorn\n"),
        ("justfile", "test:\n  pytest\n"),
        ("docker-compose.yml.example", "services:\n  shop: {image: a}\n"),
        ("service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {ports: [{port: 80}]}\n"),
    ],
)
def test_what_is_judged_has_no_such_line(name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same kinds without anything that is left out."""
    files = {name: text, "Procfile": "web: gunicorn -b :7000 shop:app\n"}
    gaps = judge(tmp_path, files, monkeypatch).gaps()
    words = ("doctor judges proxy_pass", "kustomize", "stands in front", "Knative", "does not read this kind")
    assert not any(word in gaps for word in words)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("all.yaml", json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]})),
        ("shop.json", json.dumps(POD)),
        ("all.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]}, indent=2)),
    ],
)
def test_a_manifest_may_be_a_list_or_json(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kubectl applies all of them."""
    assert judge(tmp_path, {name: text}, monkeypatch).servers() == [("gunicorn", ["*:7000"])]


@pytest.mark.parametrize(
    ("image", "name", "text"),
    [
        (
            "caddy:2",
            "Caddyfile",
            "(to) {\n\treverse_proxy {args[0]}\n}\nshop.example.com {\n\timport to shop:8000\n}\n",
        ),
        ("caddy:2", "Caddyfile", "{$SITE:shop.example.com} {\n\treverse_proxy {$UPSTREAM:shop:8000}\n}\n"),
        ("haproxy:3.0", "haproxy.cfg", "backend shop\n  server-template shop 3 shop:8000 check\n"),
        (
            "traefik:v3.1",
            "dynamic.yml",
            'http: {services: {shop: {loadBalancer: {servers: [{url: "http://shop:8000"}]}}}}\n',
        ),
    ],
)
def test_a_proxys_own_file_says_where_it_connects(
    image: str, name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snippets, variables with a default, templates of servers and YAML on one line are read."""
    compose = (
        f'services: {{proxy: {{image: "{image}"}}, shop: {{image: a, command: "gunicorn -b 0.0.0.0:7000 a:app"}}}}\n'
    )
    report = judge(tmp_path, {"compose.yaml": compose, name: text}, monkeypatch)
    assert "A101" in report.found(name)


@pytest.mark.parametrize(
    ("target", "bind"),
    [("[::1]", "127.0.0.1"), ("[::1]", "0.0.0.0"), ("127.0.0.1", "[::1]"), ("127.0.0.1", "192.0.2.5")],
)
def test_another_loopback_address_is_another_address(
    target: str, bind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port alone is not where a server listens."""
    files = {
        "nginx.conf": UPSTREAM % f"proxy_pass http://{target}:7000; {HEADERS}",
        "Procfile": f"web: gunicorn -b {bind}:7000 shop:app\n",
    }
    assert "A101" in judge(tmp_path, files, monkeypatch).found()


@pytest.mark.parametrize(
    ("target", "bind"),
    [
        ("[::1]", "[::]"),
        ("127.0.0.1", "[::]"),
        ("127.0.0.1", "0.0.0.0"),
        ("localhost", "127.0.0.1"),
        ("[::1]", "[::1]"),
    ],
)
def test_an_address_that_hears_another_is_right(
    target: str, bind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``[::]`` hears IPv4, too, and a name may be either."""
    files = {
        "nginx.conf": UPSTREAM % f"proxy_pass http://{target}:7000; {HEADERS}",
        "Procfile": f"web: gunicorn -b {bind}:7000 shop:app\n",
    }
    assert "A101" not in judge(tmp_path, files, monkeypatch).found()


def test_the_start_command_of_azure_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """App Service runs what startup.txt says."""
    files = {"startup.txt": "gunicorn --bind=0.0.0.0:7000 shop:app\n"}
    assert judge(tmp_path, files, monkeypatch).servers() == [("gunicorn", ["0.0.0.0:7000"])]
