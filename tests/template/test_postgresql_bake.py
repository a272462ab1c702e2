"""What is generated with and without ``database=postgresql``."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from gunicorn_conf import ServerSettings
from tests.support.template import TEMPLATE, bake, files_in
from tests.template.conftest import UNUSUAL

VENDORED = ("gunicorn_", "nginx/", "app/asgi/", "ops/")
ONLY_WITH_DATABASE = {
    "alembic.ini",
    "app/database.py",
    "app/items.py",
    "app/models.py",
    "migrations/env.py",
    "migrations/script.py.mako",
    "migrations/versions/0001_items.py",
    "ops/database.py",
    "tests/__init__.py",
    "tests/test_database.py",
    "tests/test_items.py",
    "tests/test_migrations.py",
}
TRACES = re.compile(r"sqlalchemy|alembic|psycopg|postgres|DATABASE_URL|migrat", re.IGNORECASE)
BAKES = pytest.mark.parametrize(
    ("answers", "has_database"),
    [
        ({}, False),
        ({"database": "none"}, False),
        ({**UNUSUAL, "database": "none"}, False),
        ({"database": "postgresql"}, True),
        ({**UNUSUAL, "database": "postgresql"}, True),
    ],
    ids=["defaults", "none", "none-unusual", "postgresql", "postgresql-unusual"],
)


@BAKES
def test_files_of_the_database_are_there_when_it_was_chosen(
    tmp_path: Path, *, answers: dict[str, str], has_database: bool
) -> None:
    """All of them, or none, and no empty directory."""
    project = bake(tmp_path, **answers)
    assert set(files_in(project)) & ONLY_WITH_DATABASE == (ONLY_WITH_DATABASE if has_database else set())
    assert [path for path in project.rglob("*") if path.is_dir() and not any(path.iterdir())] == []


@BAKES
def test_no_trace_of_a_database_that_was_not_chosen(
    tmp_path: Path, *, answers: dict[str, str], has_database: bool
) -> None:
    """Nothing names what is not there (the copies of gunicorn_conf and nginx are the same for everybody)."""
    files = files_in(bake(tmp_path, **answers))
    traces = [
        name for name, content in files.items() if not name.startswith(VENDORED) and TRACES.search(content.decode())
    ]
    assert bool(traces) == has_database, traces


@BAKES
def test_no_template_syntax_is_left(tmp_path: Path, *, answers: dict[str, str], has_database: bool) -> None:
    """Neither names nor contents hold a tag of the template language, and what is left out leaves no gap."""
    del has_database
    for name, content in files_in(bake(tmp_path, **answers)).items():
        if not name.startswith(VENDORED):
            assert not re.search(r"cookiecutter\.|\{%|\{#|(?<!\$)\{\{", f"{name}\n{content.decode()}"), name
            assert not re.search(r"\n{4}|[ \t]\n|^\n|\n\n\Z|[^\n]\Z", content.decode()), name


def test_every_service_has_a_password_of_its_own(tmp_path: Path) -> None:
    """``.env`` has a random one where the example has a placeholder, and is a copy of it otherwise."""
    found = set()
    for name in ("one", "two"):
        project = bake(tmp_path / name, database="postgresql")
        example = (project / ".env.example").read_text(encoding="utf-8")
        local = (project / ".env").read_text(encoding="utf-8")
        line = r"^DATABASE_URL=postgresql://app:([A-Za-z]{32})@127\.0\.0\.1:5433/app$"
        (password,) = re.findall(line, local, re.MULTILINE)
        assert local.replace(password, "change-me") == example
        found.add(password)
    assert len(found) == 2


def test_make_replaces_the_placeholder_too(tmp_path: Path) -> None:
    """In a fresh clone, without ``.env``, make writes one with a password of its own."""
    project = bake(tmp_path, database="postgresql")
    example = (project / ".env.example").read_text(encoding="utf-8")
    (project / ".env").unlink()
    subprocess.run(["make", ".env"], cwd=project, check=True, capture_output=True, timeout=60)
    local = (project / ".env").read_text(encoding="utf-8")
    (password,) = re.findall(r"://app:([0-9a-f]{32})@", local)
    assert local.replace(password, "change-me") == example


def test_the_choice_is_asked_for_and_none_is_the_default() -> None:
    """The first of the choices is the default."""
    assert json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))["database"] == [
        "none",
        "postgresql",
    ]


def test_compose_migrates_before_the_service_starts_and_keeps_the_password_out(tmp_path: Path) -> None:
    """Database, one-shot migration and service start in this order; nginx cannot reach the database."""
    project = bake(tmp_path, database="postgresql")
    compose = yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    database, migrate, backend = services["database"], services["migrate"], services["backend"]
    assert backend["depends_on"] == {
        "database": {"condition": "service_healthy"},
        "migrate": {"condition": "service_completed_successfully"},
    }
    assert migrate["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert migrate["command"] == ["alembic", "upgrade", "head"]
    assert migrate["restart"] == "no"
    assert migrate["read_only"] is True
    assert compose["networks"]["data"] == {"internal": True}
    assert [name for name in services if "data" in services[name].get("networks", ["default"])] == [
        "backend",
        "database",
        "migrate",
        "dump",
    ]
    assert {name for name, service in services.items() if "ports" in service} == {"nginx"}
    assert all(service["cap_drop"] == ["ALL"] for service in services.values())
    assert services["dump"]["profiles"] == ["tools"]
    assert database["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    for service in (migrate, backend):
        assert service["environment"]["PGPASSWORD"].startswith("${POSTGRES_PASSWORD:?")
        assert ":" not in service["environment"]["DATABASE_URL"].removeprefix("postgresql://").split("@")[0]
    assert "COPY migrations migrations" in (project / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert {"!alembic.ini", "!migrations"} <= set((project / ".dockerignore").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("seconds", [10, 60, 180, 86400])
def test_the_readme_has_the_times_of_the_ladder(tmp_path: Path, seconds: int) -> None:
    """What the README says about statements and about waiting for a connection is what the code computes."""
    project = bake(tmp_path, database="postgresql", proxy_read_timeout=str(seconds))
    ladder = ServerSettings(
        proxy_read_timeout=seconds, worker_class_override="gunicorn_handover.HandoverWorker", web_concurrency=1
    )
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert f"cancels a statement after {ladder.statement_timeout} s:" in readme
    wait = min(5, (ladder.request_deadline - ladder.statement_timeout) / 2)
    assert re.search(rf"no connection within {wait:g}(\.0)? s ", readme)
