"""What is generated."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from gunicorn_conf import ServerSettings
from tests.support.commands import ROOT
from tests.support.template import PROJECT, TEMPLATE, bake, files_in
from tests.template.conftest import UNUSUAL

sys.path.append(str(ROOT / "scripts"))
from sync import vendored

VENDORED = ("gunicorn_", "nginx/", "app/asgi/")
OURS = {"ops/deploy", "ops/diagnose", "ops/healthcheck.py", "ops/rolling-restart", "ops/runbook.md", "ops/serve.py"}
YOURS = {
    ".dockerignore",
    ".env",
    ".env.example",
    ".github/workflows/ci.yml",
    ".gitignore",
    "Dockerfile",
    "Makefile",
    "README.md",
    "app/__init__.py",
    "app/example.py",
    "app/main.py",
    "app/server.py",
    "app/settings.py",
    "compose.yaml",
    "nginx.d/README.md",
    "pyproject.toml",
}
TESTS = {"tests/conftest.py", "tests/test_example.py", "tests/test_service.py"}
ANSWERS = pytest.mark.parametrize("answers", [{}, UNUSUAL], ids=["defaults", "unusual"])


def _own(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out the vendored files and the tests."""
    return {name: content for name, content in files.items() if not name.startswith((*VENDORED, "tests/"))}


@ANSWERS
def test_the_files_are_complete(tmp_path: Path, answers: dict[str, str]) -> None:
    """A service has the files that the template promises, hidden ones included, and no others."""
    assert set(_own(files_in(bake(tmp_path, **answers)))) == YOURS | OURS


def test_a_service_is_small(tmp_path: Path) -> None:
    """At most fifty files, of which twenty are the developer's own."""
    files = files_in(bake(tmp_path))
    assert len(files) <= 50
    own = {name for name in files if not name.startswith(VENDORED)} - OURS
    assert own == YOURS | TESTS
    assert len(own) <= 20


def _belongs() -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    """Return the lists of the hook that removes what was not chosen."""
    tree = ast.parse((TEMPLATE / "hooks" / "post_gen_project.py").read_text(encoding="utf-8"))
    found = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id.isupper()
        and node.targets[0].id != "ANSWERS"
    }
    return found["BELONGS"], found["NEVER"]


def test_what_is_removed_exists() -> None:
    """Each path of the hook is one of the template's, and each of its answers one of the questions'."""
    belongs, never = _belongs()
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    assert [
        path
        for path in [*(path for paths in belongs.values() for path in paths), *never]
        if not (PROJECT / path).exists()
    ] == []
    assert [answer for question, answer in belongs if answer not in questions[question]] == []


@pytest.mark.parametrize("deploy", ["compose", "systemd", "kubernetes"])
@pytest.mark.parametrize("database", ["none", "postgresql"])
def test_nothing_of_what_was_not_chosen_is_left(tmp_path: Path, deploy: str, database: str) -> None:
    """A service has all paths of its answers and no others of the hook's list."""
    project = bake(tmp_path, deploy=deploy, database=database)
    belongs, never = _belongs()
    chosen = {("deploy", deploy), ("database", database)}
    unwanted = {path for answer, paths in belongs.items() if answer not in chosen for path in paths} | set(never)
    assert [path for path in unwanted if (project / path).exists()] == []
    wanted = {path for answer, paths in belongs.items() if answer in chosen for path in paths}
    wanted = {path for path in wanted if not any(path.startswith(other) for other in unwanted)}
    assert [path for path in wanted if not (project / path).exists()] == []


def test_the_templates_names_are_plain() -> None:
    """Files and folders are called as in a service; only names that hold the service's own have a variable."""
    names = [str(path.relative_to(PROJECT)) for path in PROJECT.rglob("*")]
    assert [name for name in names if "{%" in name] == []
    assert {Path(name).suffix for name in names if "{{" in name} == {".service", ".socket"}


@ANSWERS
def test_no_template_syntax_is_left(tmp_path: Path, answers: dict[str, str]) -> None:
    """Neither names nor contents hold a tag of the template language."""
    project = bake(tmp_path, **answers)
    own = {name: text for name, text in _own(files_in(project)).items() if name not in OURS}
    for name, content in {**own, str(project.relative_to(tmp_path)): b""}.items():
        assert not re.search(r"cookiecutter\.|\{%|\{#|(?<!\$)\{\{", f"{name}\n{content.decode()}"), name


def test_vendored_files_are_those_of_the_root() -> None:
    """What the template holds are the repository's files, byte for byte."""
    for source, copy in vendored():
        if source.is_dir():
            ours = {name: text for name, text in files_in(source).items() if "__pycache__" not in name}
            assert files_in(copy) == ours, f"{copy} differs from {source}: run make sync"
        else:
            assert copy.read_bytes() == source.read_bytes(), f"{copy} differs from {source}: run make sync"


def test_a_service_gets_the_vendored_files(tmp_path: Path) -> None:
    """Nothing is rendered in them."""
    project = bake(tmp_path, **UNUSUAL)
    files = {name: text for name, text in files_in(project).items() if name.startswith((*VENDORED, "ops/"))}
    assert files
    assert [name for name, text in files.items() if (PROJECT / name).read_bytes() != text] == []


def test_there_are_few_questions_and_each_is_explained() -> None:
    """At most eight questions, each with a text for people; everything else is derived."""
    context = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    questions = [name for name in context if not name.startswith("_")]
    assert len(questions) <= 8
    assert list(context["__prompts__"]) == questions


def test_the_answers_arrive(tmp_path: Path) -> None:
    """Names, versions, host and the one number are where they belong."""
    project = bake(tmp_path, **UNUSUAL)
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project.name == metadata["name"] == "zurich-s-uberprufung-the-long-winded-billing-of-servis-24"
    assert metadata["description"] == UNUSUAL["description"]
    assert metadata["authors"] == [{"name": UNUSUAL["author"]}]
    assert f'TITLE = "{UNUSUAL["project_name"]}"' in (project / "app" / "__init__.py").read_text(encoding="utf-8")
    assert "python:3.11-slim" in (project / "Dockerfile").read_text(encoding="utf-8")
    assert 'python-version: "3.11"' in (project / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    environment = (project / ".env").read_text(encoding="utf-8").splitlines()
    assert f"APP_ALLOWED_HOSTS={UNUSUAL['domain']}" in environment
    assert "PROXY_READ_TIMEOUT=10" in environment


def test_the_local_settings_are_a_copy_of_the_example(tmp_path: Path) -> None:
    """``.env`` starts as ``.env.example``, and git does not take it."""
    project = bake(tmp_path)
    assert (project / ".env").read_bytes() == (project / ".env.example").read_bytes()
    assert ".env" in (project / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("seconds", [10, 11, 37, 38, 60, 180, 3599, 86400])
def test_written_numbers_are_those_of_the_ladder(tmp_path: Path, seconds: int) -> None:
    """Compose's stop_grace_period and the README's table are what ServerSettings computes."""
    project = bake(tmp_path, proxy_read_timeout=str(seconds))
    ladder = ServerSettings(
        proxy_read_timeout=seconds, worker_class_override="gunicorn_handover.HandoverWorker", web_concurrency=1
    )
    services = yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert {service["stop_grace_period"] for service in services.values()} == {f"{ladder.stop_grace}s"}
    rows = re.findall(r"^\| (\d+) \|", (project / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert list(map(int, rows)) == [
        ladder.statement_timeout,
        ladder.request_deadline,
        ladder.timeout,
        ladder.proxy_read_timeout,
        ladder.drain_timeout,
        ladder.graceful_timeout,
        ladder.stop_grace,
    ]


def test_the_port_of_make_dev_can_be_chosen(tmp_path: Path) -> None:
    """DEV_PORT is the port that uvicorn listens on and that is printed, 8000 without it."""
    project = bake(tmp_path)
    for arguments, port in (([], "8000"), (["DEV_PORT=8001"], "8001")):
        command = ["make", "--dry-run", "dev", *arguments]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
        assert f"uvicorn app.main:app --reload --port {port}\n" in done.stdout
        assert f"http://127.0.0.1:{port}/docs" in done.stdout


def test_compose_is_locked_down(tmp_path: Path) -> None:
    """Both containers run read-only without privileges, the service starts first and publishes nothing."""
    compose = yaml.safe_load((bake(tmp_path) / "compose.yaml").read_text(encoding="utf-8"))
    assert "version" not in compose
    backend, nginx = compose["services"]["backend"], compose["services"]["nginx"]
    assert "ports" not in backend
    assert nginx["ports"]
    assert nginx["depends_on"] == {"backend": {"condition": "service_healthy"}}
    assert {"/tmp", "/dev/shm"} <= set(backend["tmpfs"])  # noqa: S108  names in a file under test
    assert backend["init"] is False
    for service in (backend, nginx):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["healthcheck"]["test"][0] == "CMD"
        assert "start_interval" not in service["healthcheck"]
    subnets = {compose["networks"]["default"]["ipam"]["config"][0]["subnet"]}
    assert {backend["environment"]["FORWARDED_ALLOW_IPS"]} == subnets


def test_every_variable_that_nginx_needs_is_set_by_compose(tmp_path: Path) -> None:
    """The names in nginx's templates and those that Compose passes on are the same."""
    project = bake(tmp_path)
    templates = (path.read_text(encoding="utf-8") for path in (project / "nginx" / "templates").rglob("*.template"))
    needed = {name for text in templates for name in re.findall(r"\$\{(\w+)\}", text)}
    compose = yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))
    assert set(compose["services"]["nginx"]["environment"]) == needed


def test_the_image_is_small_and_stops_well(tmp_path: Path) -> None:
    """Two stages, an ordinary user, SIGTERM to gunicorn itself, and nothing that old builders refuse."""
    lines = (bake(tmp_path) / "Dockerfile").read_text(encoding="utf-8").splitlines()
    instructions = [line.split(" ", 1)[0] for line in lines if re.match(r"[A-Z]+ ", line)]
    assert instructions.count("FROM") == 2
    assert instructions.index("USER") < instructions.index("CMD")
    assert "STOPSIGNAL SIGTERM" in lines
    assert 'CMD ["gunicorn", "-c", "app/server.py", "app.main:app"]' in lines
    assert not re.search(r"# *syntax=|--link|--mount|--start-interval|<<", "\n".join(lines))


def test_actions_are_pinned_and_have_no_rights(tmp_path: Path) -> None:
    """Each action is named by its commit; the workflow may only read."""
    text = (bake(tmp_path) / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", line)] == []
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert [job["permissions"] for job in workflow["jobs"].values()] == [{"contents": "read"}]
