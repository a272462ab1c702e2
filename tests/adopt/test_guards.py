"""Projects in which there is nothing to adopt, or where one file must be left alone."""

from pathlib import Path

import pytest

from no502.new import scaffold
from tests.adopt.support import adopt, digests, write_files

COMPOSE = "services:\n  web:\n    build: .\n    command: uvicorn main:app --host 0.0.0.0{0}\n"
DOCKERFILE = "FROM python:3.12\nWORKDIR /app\nCOPY . .\nRUN pip install fastapi uvicorn\n"
SUPERVISOR = """\
[program:api]
; the API
command=/venv/bin/gunicorn main:app
    -k uvicorn.workers.UvicornWorker
    -w 4 -b 127.0.0.1:8000
directory=/srv/shop
stopwaitsecs=10
"""


@pytest.mark.parametrize("deploy", ["compose", "systemd", "kubernetes", "swarm"])
def test_generated_service_has_nothing_to_change(deploy: str, tmp_path: Path) -> None:
    """What the template makes has the ladder already, for each target."""
    project = scaffold(tmp_path, {"project_name": "shop", "deploy": deploy})
    before = digests(project)
    assert adopt(project, "--write").startswith("nothing to change\n")
    assert digests(project) == before


def test_development_override_is_left_alone(tmp_path: Path) -> None:
    """An override that starts a development server stays; the file that production runs is adopted."""
    files = {
        "main.py": "app = None\n",
        "Dockerfile": DOCKERFILE,
        "compose.yaml": COMPOSE.format(""),
        "compose.override.yaml": "services:\n  web:\n    command: uvicorn main:app --host 0.0.0.0 --reload\n",
    }
    project = write_files(tmp_path / "project", files)
    printed = adopt(project, "--write")
    assert "command: gunicorn -c gunicorn_conf.py main:app --bind 0.0.0.0:8000" in printed
    assert "compose.override.yaml starts a development server" in printed
    assert (project / "compose.override.yaml").read_text(encoding="utf-8") == files["compose.override.yaml"]
    assert adopt(project).startswith("nothing to change\n")


def test_supervisor_program(tmp_path: Path) -> None:
    """A command that goes on over indented lines is changed in place, and its stop time follows."""
    files = {"main.py": "app = None\n", "supervisord.conf": SUPERVISOR, "requirements.txt": "uvicorn\n"}
    project = write_files(tmp_path / "project", files)
    adopt(project, "--write")
    expected = SUPERVISOR.replace(
        "gunicorn main:app\n    -k uvicorn.workers.UvicornWorker", "gunicorn -c gunicorn_conf.py main:app"
    )
    assert (project / "supervisord.conf").read_text(encoding="utf-8") == expected.replace(
        "stopwaitsecs=10", "stopwaitsecs=130"
    )


def test_two_places_of_one_application(tmp_path: Path) -> None:
    """A unit and a Compose service that start the same application both get the ladder, with one set of copies."""
    files = {
        "main.py": "app = None\n",
        "Dockerfile": DOCKERFILE,
        "compose.yaml": COMPOSE.format(" --port 8000"),
        "deploy/main.service": "[Service]\nWorkingDirectory=/srv\nExecStart=/venv/bin/uvicorn main:app --port 9000\n",
    }
    project = write_files(tmp_path / "project", files)
    adopt(project, "--write")
    assert "gunicorn -c gunicorn_conf.py main:app --bind 0.0.0.0:8000" in (project / "compose.yaml").read_text("utf-8")
    unit = (project / "deploy" / "main.service").read_text("utf-8")
    assert "gunicorn -c gunicorn_conf.py main:app --bind 127.0.0.1:9000" in unit
    assert [path.name for path in project.rglob("gunicorn_conf.py")] == ["gunicorn_conf.py"]
    assert adopt(project).startswith("nothing to change\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{A: b}", '{A: b, PROXY_READ_TIMEOUT: "60"}'),
        ("{}", '{PROXY_READ_TIMEOUT: "60"}'),
        ("[A=b]", '[A=b, "PROXY_READ_TIMEOUT=60"]'),
        ("\n      A: b  # why", '\n      A: b  # why\n      PROXY_READ_TIMEOUT: "60"'),
        ("\n    - A=b", "\n    - A=b\n    - PROXY_READ_TIMEOUT=60"),
    ],
)
def test_variables_in_every_form(before: str, after: str, tmp_path: Path) -> None:
    """Variables join the ones of the service in the form that these have."""
    nginx = "server {\n  listen 80;\n  location / {\n    proxy_pass http://web:8000;\n  }\n}\n"
    proxy = "  nginx:\n    image: nginx:1.28\n    volumes: ['./app.conf:/etc/nginx/conf.d/app.conf']\n"
    compose = COMPOSE.format("") + f"    environment: {before}\n" + proxy
    files = {"main.py": "app = None\n", "Dockerfile": DOCKERFILE, "compose.yaml": compose, "app.conf": nginx}
    project = write_files(tmp_path / "project", files)
    adopt(project, "--write")
    assert f"    environment: {after}\n" in (project / "compose.yaml").read_text(encoding="utf-8")


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    """A password beside a change is not part of what is printed."""
    compose = COMPOSE.format("") + "    environment:\n      DATABASE_URL: postgresql://u:hunter22@db/x\n"
    files = {"main.py": "app = None\n", "Dockerfile": DOCKERFILE, "compose.yaml": compose}
    project = write_files(tmp_path / "project", files)
    assert "hunter22" not in adopt(project, "--write")
    assert "hunter22" in (project / "compose.yaml").read_text(encoding="utf-8")
