"""Which Compose files are one deployment: files that add an nginx, change an image, or lend their services."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

APP = """services:
  shop:
    image: acme/shop:1
    command: gunicorn -b 0.0.0.0:8000 shop:app
    stop_grace_period: 60s
"""
EDGE = 'services:\n  edge: {image: "nginx:1.28", volumes: ["./site.conf:/etc/nginx/conf.d/default.conf"]%s}\n'
SITE = f"server {{ listen 80; location / {{ proxy_pass http://shop:%s; {HEADERS} }} }}\n"


@pytest.mark.parametrize("name", ["compose.prod.yaml", "compose.nginx.yaml"])
@pytest.mark.parametrize("more", ["", ", depends_on: [shop]"])
def test_a_file_with_an_nginx_alone_is_put_over_the_usual_one(
    name: str, more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application behind it is the one of the usual file."""
    files = {"compose.yaml": APP, name: EDGE % more, "site.conf": SITE % 8001}
    assert "A101" in judge(tmp_path, files, monkeypatch).found()


def test_a_file_with_an_application_of_its_own_is_judged_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual file's application does not run beside it."""
    whole = EDGE % "" + APP.partition("\n")[2].replace("8000", "7000")
    files = {"compose.yaml": APP, "compose.prod.yaml": whole, "site.conf": SITE % 7000}
    report = judge(tmp_path, files, monkeypatch)
    assert report.servers() == [("gunicorn", ["0.0.0.0:7000"])]
    assert "A101" not in report.found()


def test_a_file_that_builds_another_image_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is in its Dockerfile."""
    files = {
        "docker-compose.yml": "services: {shop: {build: ., command: 'uvicorn shop:app --reload'}}\n",
        "docker-compose.prod.yml": "services: {shop: {build: {context: ., dockerfile: Dockerfile.prod}}}\n",
        "Dockerfile": "FROM python:3.13\n",
        "Dockerfile.prod": 'FROM python:3.13\nCMD ["gunicorn", "--no-such-option", "shop:app"]\n',
    }
    assert "C003" in judge(tmp_path, files, monkeypatch).found("Dockerfile.prod")


def test_files_of_an_nginx_whose_volume_is_not_here_are_judged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sets with the same nginx may have the same files: they are compared in the first one."""
    text = APP + '  edge: {image: "nginx:1.28", volumes: ["./gone:/etc/nginx/conf.d"]}\n'
    files = {
        "docker-compose.yml": text,
        "docker-compose-small.yml": text,
        "site.conf": SITE % 8001,
        "other.conf": SITE % 8002,
    }
    findings = judge(tmp_path, files, monkeypatch).data["findings"]
    assert sorted(one["where"]["file"] for one in findings if one["rule"] == "A101") == ["other.conf", "site.conf"]


@pytest.mark.parametrize(("base", "servers"), [("base.yml", 1), ("docker-compose.yml", 2)])
def test_a_file_that_lends_its_services_is_no_set(
    base: str, servers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others extend them; the usual file serves besides."""
    web = f"services: {{web: {{extends: {{file: {base}, service: shop}}, image: 'acme/shop:2'}}}}\n"
    files = {base: APP, "docker-compose.prod.yml": web}
    assert len(judge(tmp_path, files, monkeypatch).servers()) == servers


@pytest.mark.parametrize(
    ("service", "found"),
    [
        ('image: "tiangolo/uvicorn-gunicorn-fastapi:python3.11"', True),
        ("build: .", True),
        ('image: "tiangolo/uvicorn-gunicorn:latest", environment: {PORT: "8000"}', False),
        ('image: "tiangolo/uvicorn-gunicorn:latest", environment: {PORT: "${ANY_PORT}"}', False),
        ('image: "tiangolo/uvicorn-gunicorn:latest", environment: {GUNICORN_CONF: /conf.py}', False),
        ('image: "acme/uvicorn-gunicorn:latest"', False),
    ],
)
def test_an_image_that_starts_a_server_by_itself(
    service: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens on port 80 unless a variable says otherwise."""
    edge = EDGE.partition("\n")[2] % ""
    files = {
        "compose.yaml": f"services:\n  shop: {{{service}}}\n{edge}",
        "Dockerfile": "FROM tiangolo/uvicorn-gunicorn-fastapi:python3.11\nCOPY app /app/app\n",
        "site.conf": SITE % 8000,
    }
    assert ("A101" in judge(tmp_path, files, monkeypatch).found()) is found
