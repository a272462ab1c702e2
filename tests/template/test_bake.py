"""What is generated."""

import ast
import json
import re
import subprocess
import sysconfig
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from sync import instructions, vendored

from gunicorn_conf import ServerSettings
from tests.support.commands import ROOT
from tests.support.template import PROJECT, TEMPLATE, bake, files_in
from tests.template.conftest import UNUSUAL

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
EXTRAS = {
    ".devcontainer/devcontainer.json",
    ".github/dependabot.yml",
    ".github/workflows/image.yml",
    ".pre-commit-config.yaml",
    "AGENTS.md",
}
TESTS = {"tests/conftest.py", "tests/test_example.py", "tests/test_service.py"}
SCRIPTS = sysconfig.get_path("scripts")
ANSWERS = pytest.mark.parametrize(
    "answers", [{}, UNUSUAL, {**UNUSUAL, "extras": "yes"}], ids=["defaults", "unusual", "extras"]
)


def _own(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out the vendored files and the tests."""
    return {name: content for name, content in files.items() if not name.startswith((*VENDORED, "tests/"))}


@ANSWERS
def test_the_files_are_complete(tmp_path: Path, answers: dict[str, str]) -> None:
    """A service has the files that the template promises, hidden ones included, and no others."""
    assert set(_own(files_in(bake(tmp_path, **answers)))) == YOURS | OURS | (
        EXTRAS if answers.get("extras") == "yes" else set()
    )


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"extras": "yes", "database": "postgresql", "worker": "yes", "tls": "acme", "deploy": "systemd"},
        {"deploy": "swarm", "tls": "files"},
        {"deploy": "kubernetes"},
    ],
    ids=["defaults", "everything", "swarm", "kubernetes"],
)
def test_every_file_is_in_a_table_of_the_readme(tmp_path: Path, answers: dict[str, str]) -> None:
    """The first cell of a row names each file of the service, or a folder that it is in."""
    project = bake(tmp_path, **answers)
    rows = re.findall(r"^\| (`[^|]+) \|", (project / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^` ]+)`", row)]
    missing = [
        file
        for file in files_in(project)
        if file not in {".env", "README.md"}
        and not any(file.startswith(name) if name.endswith("/") else fnmatch(file, name) for name in named)
    ]
    assert missing == []


def test_the_copies_say_so(tmp_path: Path) -> None:
    """Each file of app/asgi says in its first line that it is not to be edited."""
    files = {name: text for name, text in files_in(bake(tmp_path)).items() if name.startswith("app/asgi/")}
    assert len(files) > 10
    assert [name for name, text in files.items() if b"do not edit" not in text.splitlines()[0]] == []


def test_the_page_about_updates_names_the_copies(tmp_path: Path) -> None:
    """docs/how-to/update.md has every name in the README's table of copies, or the folder that it is in."""
    readme = (bake(tmp_path) / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\*\*Ours\*\*.*?\n\n(.*?)\n\n", readme, re.DOTALL)
    copies = re.findall(r"`((?:ops|app|nginx)/|gunicorn_)", table)
    page = (ROOT / "docs" / "how-to" / "update.md").read_text(encoding="utf-8")
    assert {"gunicorn_", "app/", "nginx/", "ops/"} == set(copies)
    for name in ("gunicorn_conf.py", "gunicorn_handover.py", "gunicorn_arbiter.py", "app/asgi/", "nginx/", "ops/"):
        assert f"`{name}`" in page


def test_ci_looks_at_its_own_workflows(tmp_path: Path) -> None:
    """The generated CI runs zizmor."""
    text = (bake(tmp_path) / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(text)["jobs"]["check"]["steps"]
    assert any("zizmor --offline" in step.get("run", "") for step in steps)


@ANSWERS
def test_its_workflows_are_secure(tmp_path: Path, answers: dict[str, str]) -> None:
    """zizmor finds nothing in the workflows and in dependabot's file."""
    command = [f"{SCRIPTS}/zizmor", "--offline", "--quiet", "."]
    done = subprocess.run(command, cwd=bake(tmp_path, **answers), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("deploy", ["compose", "swarm"])
def test_its_forge_understands_its_files(tmp_path: Path, deploy: str) -> None:
    """Workflows and dependabot's file follow their schemas, and dependabot is sent to folders that exist."""
    project = bake(tmp_path, extras="yes", deploy=deploy)
    github = project / ".github"
    for schema, files in (
        ("vendor.github-workflows", sorted((github / "workflows").iterdir())),
        ("vendor.dependabot", [github / "dependabot.yml"]),
    ):
        command = [f"{SCRIPTS}/check-jsonschema", "--builtin-schema", schema, *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    updates = yaml.safe_load((github / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "docker", "github-actions"}
    folders = [folder for update in updates for folder in update.get("directories", [update.get("directory")])]
    assert ("/deploy/swarm" in folders) is (deploy == "swarm")
    assert [folder for folder in folders if not (project / folder.removeprefix("/")).is_dir()] == []


def test_a_commit_is_checked_as_make_check_does(tmp_path: Path) -> None:
    """Each command of ``make check`` is a hook, and no502's own hook is the one that the package offers."""
    project = bake(tmp_path, extras="yes")
    (repository,) = yaml.safe_load((project / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    hooks = {hook["id"]: hook for hook in repository["hooks"]}
    assert repository["repo"] == "local"
    commands = {hook["entry"].replace(" --force-exclude", "").replace(".venv/bin/", "") for hook in hooks.values()}
    assert commands == {"ruff check", "ruff format --check", "mypy", "no502 doctor --fail-on warning"}
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    assert [command for command in commands if command not in makefile] == []
    (offered,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hooks["no502-doctor"] | {"entry": 0} == {k: v for k, v in offered.items() if k != "description"} | {
        "entry": 0
    }


@pytest.mark.parametrize("database", ["none", "postgresql"])
def test_the_dev_container_has_the_services_python(tmp_path: Path, database: str) -> None:
    """Its image is that Python, it is installed on creation, and PostgreSQL's programs are there when needed."""
    project = bake(tmp_path, extras="yes", python_version="3.12", database=database)
    container = json.loads((project / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["name"] == project.name
    assert container["image"] == "python:3.12"
    assert "make --always-make install" in container["postCreateCommand"]
    assert ("postgresql" in container.get("onCreateCommand", "")) is (database == "postgresql")
    command = ["make", "--dry-run", "--always-make", "install"]
    assert subprocess.run(command, cwd=project, capture_output=True, check=False).returncode == 0


def test_the_image_is_pushed_with_few_rights(tmp_path: Path) -> None:
    """Only the registry and the provenance can be written, only by that job, never for a pull request."""
    text = (bake(tmp_path, extras="yes") / ".github" / "workflows" / "image.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["image"]["permissions"] == {
        "contents": "read",
        "packages": "write",
        "id-token": "write",
        "attestations": "write",
    }
    assert set(workflow[True]) == {"push"}  # YAML 1.1 reads the key "on" as true


def test_assistants_read_the_skill_file(tmp_path: Path) -> None:
    """AGENTS.md ends with the skill file's text, and its commands are the Makefile's."""
    file, text = instructions()
    assert file.read_text(encoding="utf-8") == text, "AGENTS.md differs from the skill file: run make sync"
    assert "## Prove a deploy" in text
    project = bake(tmp_path, extras="yes", database="postgresql", worker="yes")
    agents = (project / "AGENTS.md").read_text(encoding="utf-8")
    targets = re.findall(r"^(\w+):", (project / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = {word for words in re.findall(r"`make ([a-z ]+)", agents) for word in words.split()}
    assert {"check", "dev", "install", "migrate", "migration", "serve", "test"} <= named
    assert named <= set(targets)
    named = {path for path in re.findall(r"`((?:app|ops|nginx|tests)/[\w/.]*)`", agents) if "*" not in path}
    assert [path for path in named if not (project / path).exists()] == []


def test_a_service_is_small(tmp_path: Path) -> None:
    """At most fifty files that git has (``.env`` is not in it), of which twenty are the developer's own."""
    files = files_in(bake(tmp_path))
    assert len(files.keys() - {".env"}) <= 50
    own = {name for name in files if not name.startswith(VENDORED)} - OURS
    assert own == YOURS | TESTS
    assert len(own) <= 20


def _belongs() -> tuple[dict[tuple[str, ...], list[str]], list[str]]:
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
    assert [one for question, *answers in belongs for one in answers if one not in questions[question]] == []


@pytest.mark.parametrize("deploy", ["compose", "systemd", "swarm", "kubernetes"])
@pytest.mark.parametrize("database", ["none", "postgresql"])
@pytest.mark.parametrize(
    "others",
    [
        {"worker": "none", "extras": "yes", "tls": "none"},
        {"worker": "yes", "extras": "none", "tls": "files"},
        {"worker": "none", "extras": "none", "tls": "acme"},
    ],
)
def test_nothing_of_what_was_not_chosen_is_left(
    tmp_path: Path, deploy: str, database: str, others: dict[str, str]
) -> None:
    """A service has all paths of its answers and no others of the hook's list."""
    if (deploy, others["tls"]) == ("swarm", "acme"):
        others = {**others, "tls": "files"}  # the other one is refused
    chosen = {"deploy": deploy, "database": database, **others}
    project = bake(tmp_path, **chosen)
    belongs, never = _belongs()
    slug = "{{cookiecutter.__project_slug}}"
    belongs = {answer: [path.replace(slug, project.name) for path in paths] for answer, paths in belongs.items()}
    fits = {key: chosen[key[0]] in key[1:] for key in belongs}
    unwanted = {path for key, paths in belongs.items() if not fits[key] for path in paths} | set(never)
    assert [path for path in unwanted if (project / path).exists()] == []
    wanted = {path for key, paths in belongs.items() if fits[key] for path in paths}
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
    """Nothing is rendered in them; of ops/ only the runbook, which has the commands of the chosen target."""
    project = bake(tmp_path, **UNUSUAL)
    files = {name: text for name, text in files_in(project).items() if name.startswith((*VENDORED, "ops/"))}
    assert b"cookiecutter" not in files.pop("ops/runbook.md")
    assert files
    assert [name for name, text in files.items() if (PROJECT / name).read_bytes() != text] == []


def test_there_are_few_questions_and_each_is_explained() -> None:
    """At most eleven questions, each with a text for people; everything else is derived."""
    context = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    questions = [name for name in context if not name.startswith("_")]
    assert len(questions) <= 11
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
    project = bake(tmp_path, proxy_read_timeout=str(seconds), worker="yes")
    ladder = ServerSettings(
        proxy_read_timeout=seconds, worker_class_override="gunicorn_handover.HandoverWorker", web_concurrency=1
    )
    services = yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert services.keys() == {"backend", "worker", "nginx"}
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
    """The names in the templates that Compose gives nginx and those that it passes on are the same."""
    project = bake(tmp_path)
    folders = [project / "nginx" / "templates", project / "nginx" / "variants" / "trusted-proxies"]
    templates = (path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.template"))
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
    workflows = bake(tmp_path, extras="yes") / ".github" / "workflows"
    text = (workflows / "ci.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text + (workflows / "image.yml").read_text(encoding="utf-8"))
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", line)] == []
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert [job["permissions"] for job in workflow["jobs"].values()] == [{"contents": "read"}]
