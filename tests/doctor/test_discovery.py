"""Which files of a directory are read, whatever they are called, and which of them belong together."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

UNIT = "[Service]\nExecStart=/srv/venv/bin/gunicorn -b 127.0.0.1:8000 shop:app\n"
SITE = "server { listen 80; location / { proxy_pass http://127.0.0.1:9000; } }\n"
LOOPBACK = """services:
  shop:
    image: acme/shop:3
    command: gunicorn shop:app -b 127.0.0.1:8000
  edge:
    image: nginx:1.26
    volumes: ["./edge.conf:/etc/nginx/conf.d/default.conf"]
"""
EDGE = "server { listen 80; location / { proxy_pass http://shop:8000; } }\n"


@pytest.mark.parametrize(
    "name",
    [
        *("sites-available/shop", "sites-enabled/shop.example.com", "nginx-shop", "deploy/proxy", "shop.vhost"),
        *("build/site.conf", "dist/shop", "ops/10-shop.conf.j2", "nginx.conf.production"),
    ],
)
def test_a_site_is_read_whatever_it_is_called(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text with server{} and nginx's own directives is nginx's."""
    assert "A101" in judge(tmp_path, {"shop.service": UNIT, name: SITE}, monkeypatch).found(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pipeline.conf", 'input {\n  http {\n    port => 8085\n  }\n}\noutput { http { url => "x" } }\n'),
        ("app.conf", "akka {\n  http {\n    server {\n      idle-timeout = 60 s\n    }\n  }\n}\n"),
        ("notes.md", "```\n" + SITE + "```\n"),
        ("page.html", "<pre>" + SITE + "</pre>"),
        ("main.go", "func main() {\nserver {\n}\n"),
        ("Dockerfile.dockerignore", "*\n!app\n"),
    ],
)
def test_files_of_other_programs_are_not_nginx(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks in braces alone make no nginx configuration, and what ignores files is no Dockerfile."""
    report = judge(tmp_path, {"shop.service": UNIT, name: text}, monkeypatch)
    assert name not in report.data["inputs"]
    assert report.found() == set()


@pytest.mark.parametrize(
    "name",
    [
        *("stack.yml", "swarm.yaml", "production.yml", "podman-compose.yml", "docker_compose.yml", "live.yaml"),
        *("docker-compose_live.yml", "compose.prod.yaml", "ops/services.yml"),
    ],
)
def test_a_compose_file_is_known_by_its_services(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its name is: top-level services with an image or a build."""
    up = "../" * name.count("/") or "./"
    files = {name: LOOPBACK.replace("./edge.conf", f"{up}edge.conf"), "edge.conf": EDGE}
    assert "A102" in judge(tmp_path, files, monkeypatch).found(name)


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  App\\Command:\n    arguments: ['@x']\n",
        "jobs:\n  test:\n    services:\n      db:\n        image: postgres\n",
        "services:\n  - type: redis\n    name: cache\n",
    ],
)
def test_other_yaml_is_no_compose_file(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of that name alone makes none."""
    report = judge(tmp_path, {"shop.service": UNIT, "config.yaml": text}, monkeypatch)
    assert "config.yaml" not in report.data["inputs"]


def test_a_production_file_is_judged_beside_the_usual_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over it where it changes it; files for development are named and not judged."""
    files = {
        "compose.yaml": LOOPBACK.replace("127.0.0.1", "0.0.0.0"),
        "compose.prod.yaml": "services:\n  shop:\n    command: gunicorn shop:app -b 127.0.0.1:8000\n",
        "compose.dev.yaml": "services:\n  shop:\n    command: gunicorn shop:app -b 127.0.0.1:1\n",
        "edge.conf": EDGE,
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "A102" in report.found("compose.prod.yaml")
    assert not report.found("compose.dev.yaml")
    assert "compose.dev.yaml beside compose.yaml" in report.gaps()


def test_what_a_named_compose_file_mounts_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its Dockerfile is."""
    report = judge(tmp_path, {"compose.yaml": LOOPBACK, "edge.conf": EDGE}, monkeypatch, "compose.yaml")
    assert {"A102", "A103"} <= report.found()


def test_a_readme_in_a_mounted_folder_is_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is nginx's own is read from a folder that a container mounts."""
    compose = LOOPBACK.replace("./edge.conf:/etc/nginx/conf.d/default.conf", "./conf.d:/etc/nginx/conf.d")
    files = {"compose.yaml": compose, "conf.d/edge.conf": EDGE, "conf.d/README.md": f"Write\n\n{EDGE}"}
    report = judge(tmp_path, files, monkeypatch)
    assert "README" not in report.gaps() + " ".join(report.data["inputs"])


def test_the_hosts_nginx_is_read_beside_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that no container has is the host's where something on the host serves."""
    files = {
        "compose.yaml": "services:\n  pages:\n    build: ./pages\n",
        "pages/Dockerfile": "FROM nginx:1.28.0\nCOPY pages.conf /etc/nginx/conf.d/default.conf\n",
        "pages/pages.conf": "server { listen 80; root /srv; location /x { proxy_pass http://192.0.2.7; } }\n",
        "deploy/shop.service": UNIT,
        "deploy/shop.conf": SITE,
    }
    assert "A101" in judge(tmp_path, files, monkeypatch).found("deploy/shop.conf")


def test_a_site_that_nothing_has_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only containers serve, a file that none of them mounts is not judged and said to be so."""
    report = judge(tmp_path, {"compose.yaml": LOOPBACK, "edge.conf": EDGE, "left.conf": SITE}, monkeypatch)
    assert "left.conf: no nginx in these files includes it" in report.gaps()
    assert not report.found("left.conf")


def test_tests_of_a_project_are_no_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands below tests/ is passed over with a word."""
    report = judge(tmp_path, {"shop.service": UNIT, "tests/data/site.conf": SITE}, monkeypatch)
    assert report.found() == set()
    assert "tests/: test files are not judged" in report.gaps()


@pytest.mark.parametrize(
    ("image", "judged"),
    [
        ("registry.example.com/ubi9/nginx-122:1", True),
        ("bitnami/nginx:1.27", True),
        ("registry.example.com/acme/edge:7", True),
        ("nginx/nginx-prometheus-exporter:1", False),
    ],
)
def test_nginx_is_known_by_its_files(image: str, judged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the words of an image's name, or by what is mounted below /etc/nginx."""
    target = "/etc/nginx/conf.d/default.conf" if judged else "/config"
    compose = LOOPBACK.replace("nginx:1.26", image).replace("127.0.0.1:8000", "0.0.0.0:8000")
    files = {"compose.yaml": compose.replace("/etc/nginx/conf.d/default.conf", target), "edge.conf": EDGE}
    assert ("S507" in judge(tmp_path, files, monkeypatch).found("compose.yaml")) is judged


def test_published_ports_are_what_a_hosts_nginx_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number on the left is the host's; the right one is only the container's."""
    compose = (
        "services:\n  shop:\n    image: acme/shop:3\n    command: gunicorn shop:app -b 0.0.0.0:8000\n    "
        "ports: ['{}:8000']\n"
    )
    site = f"server {{ listen 80; location / {{ proxy_pass http://127.0.0.1:8100; {HEADERS} }} }}\n"
    wrong = judge(tmp_path / "wrong", {"compose.yaml": compose.format(8200), "sites-available/shop": site}, monkeypatch)
    assert "A101" in wrong.found("sites-available/shop")
    right = judge(tmp_path / "right", {"compose.yaml": compose.format(8100), "sites-available/shop": site}, monkeypatch)
    assert "A101" not in right.found()
