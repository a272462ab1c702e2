"""Compose files of every order and style: the patch is YAML, and adds only the keys that it says it adds."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from no502.adopt.diagnosis import diagnose
from no502.adopt.plan import Refused, make_plan
from no502.adopt.sound import unsound
from no502.adopt.workspace import Workspace, workspace
from no502.doctor.parse import unreadable
from tests.adopt.support import adopt, digests, refusal, write_files

DOCKERFILE = 'FROM python:3.12\nWORKDIR /app\nCOPY . .\nCMD ["uvicorn", "main:app", "--host", "0.0.0.0"]\n'
NGINX = """\
upstream app { server web:8000; }
server {
  listen 80;
  location / {
    proxy_pass http://app;
  }
}
"""
FILES = {"main.py": "app = None\n", "Dockerfile": DOCKERFILE, "app.conf": NGINX, "requirements.txt": "uvicorn\n"}

NGINX_FORMS = [
    "  nginx:\n    image: nginx:1.28\n    volumes:\n      - ./app.conf:/etc/nginx/conf.d/default.conf\n",
    (
        "  nginx:\n    image: nginx:1.28\n    volumes:\n    - ./app.conf:/etc/nginx/conf.d/default.conf  # ours\n"
        "    depends_on:\n    # first the application\n    - web  # it\n    - db\n"
    ),
    (
        "  nginx:\n    depends_on: [db, web]\n    image: nginx:1.28\n"
        "    volumes: ['./app.conf:/etc/nginx/conf.d/default.conf',]\n"
    ),
    "  nginx: {image: 'nginx:1.28', volumes: ['./app.conf:/etc/nginx/conf.d/default.conf']}  # {front}\n",
    (
        "  nginx:\n    stop_grace_period: 5s\n    image: nginx:1.28\n    volumes:\n"
        "      - ./app.conf:/etc/nginx/conf.d/default.conf\n    depends_on: {db: {condition: service_started}}\n"
    ),
    (
        "  nginx:\n    image: nginx:1.28\n    environment: *env\n    volumes: &conf\n"
        "      - ./app.conf:/etc/nginx/conf.d/default.conf\n    labels: *labels\n"
    ),
    (
        "  nginx:\n    <<: *calm\n    image: nginx:1.28\n    volumes:\n"
        "      - ./app.conf:/etc/nginx/conf.d/default.conf\n    depends_on:\n      db: {condition: service_started}\n"
    ),
]
WEB_FORMS = [
    "  web:\n    build: .\n",
    "  web:  # the application }\n      build: .\n      environment:\n        A: b\n",
    "  web: {build: ., environment: {A: b}}\n",
    "  web: {build: ., ports: ['8000']}   # {ours}\n",
    "  web: {\n    build: .,\n    environment: [A=b],  # why\n  }\n",
    "  web:\n    build: .\n    labels: *labels\n",
    "  web:\n    environment:\n    - A=b\n\n    # where it is built\n    build: .\n",
    "  web: &web\n    build: .\n    logging: *logging\n",
    "  web:\n    <<: *calm\n    build: .\n    labels: &more\n      c: d\n",
    "  web:\n    build: .\n    stop_grace_period: 3s\n    labels:\n      text: |\n        a\n\n        b\n",
]
OTHERS = [
    "  db:\n    image: postgres:17\n",
    "  db: {image: 'postgres:17'}\n",
    "  # data\n  db:\n    image: postgres:17\n    environment: *env\n    labels: *labels\n",
]
WORKERS = ["", "  worker:\n    build: .\n    command: celery -A main worker\n", "  worker: {build: ., command: cron}\n"]
HEAD = (
    "x-env: &env\n  B: c\nx-labels: &labels {a: b}\nx-logging: &logging\n  driver: local\nx-calm: &calm\n  init: true\n"
)
ADDED = {"stop_grace_period", "healthcheck", "depends_on", "environment"}


@st.composite
def compose_files(draw: st.DrawFn) -> str:
    """Return a Compose file with the same services in any order and style."""
    parts = [draw(st.sampled_from(forms)) for forms in (NGINX_FORMS, WEB_FORMS, OTHERS, WORKERS)]
    gap = draw(st.sampled_from(["", "\n", "  # next\n"]))
    text = HEAD + "services:\n" + gap.join(draw(st.permutations(parts)))
    tail = draw(st.sampled_from(["", "volumes:\n  data: {}\n", "\n# the end\n"]))
    return text + tail if draw(st.booleans()) else text.rstrip("\n") + "\n" * bool(tail) + tail


def planned(text: str) -> tuple[str, str]:
    """Return what the patch makes of a Compose file and of the configuration of nginx."""
    with tempfile.TemporaryDirectory() as folder:
        project = write_files(Path(folder) / "project", {**FILES, "compose.yaml": text})
        with workspace(project) as space:
            make_plan(space)
            return space.text("compose.yaml"), space.text("app.conf")


def differences(before: object, after: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each value that differs; a text that ends the file may get a line end."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            yield from differences(before.get(key), after.get(key), (*path, key))
    elif before != after and not (isinstance(before, str) and after == before + "\n"):
        yield path


def assert_only_what_it_says(text: str) -> None:
    """Check one Compose file."""
    after, _ = planned(text)
    assert unreadable("compose.yaml", after) is None, after
    old, new = yaml.safe_load(text), yaml.safe_load(after)
    for path in differences(old, new):
        assert path[:2] in {("services", "nginx"), ("services", "web")}, (path, after)
        assert path[2] in ADDED, (path, after)
    assert new["services"]["web"]["stop_grace_period"] == "50s", after
    assert new["services"]["nginx"]["stop_grace_period"] == "50s", after
    web, was = (one["services"]["web"].get("environment", {}) for one in (new, old))
    pairs = dict(item.split("=") for item in web) if isinstance(web, list) else web
    assert pairs == {
        **(dict(item.split("=") for item in was) if isinstance(was, list) else was),
        "PROXY_READ_TIMEOUT": "60",
        "PROXY_KEEPALIVE_TIMEOUT": "15",
    }
    waits = new["services"]["nginx"]["depends_on"]
    assert waits["web"] == {"condition": "service_healthy"}
    assert set(waits) == {"web", *old["services"]["nginx"].get("depends_on", ())}
    kept = iter(after.split("\n"))
    comments = [line.strip() for line in text.split("\n") if line.strip().startswith("#")]
    assert all(any(line.strip() == comment for line in kept) for comment in comments), after


@settings(max_examples=10, deadline=None)
@given(compose_files())
def test_every_style(text: str) -> None:
    """Whatever the order, the style and the comments: YAML, and nothing but the keys that adopt adds."""
    assert_only_what_it_says(text)


@pytest.mark.parametrize("nginx", range(len(NGINX_FORMS)))
def test_each_nginx_first(nginx: int) -> None:
    """nginx before the application: its lines move those of the application."""
    assert_only_what_it_says(HEAD + "services:\n" + NGINX_FORMS[nginx] + WEB_FORMS[0] + OTHERS[0])


@pytest.mark.parametrize("web", range(len(WEB_FORMS)))
def test_each_application_last(web: int) -> None:
    """The application in each style behind a worker and nginx."""
    assert_only_what_it_says(HEAD + "services:\n" + WORKERS[1] + OTHERS[0] + NGINX_FORMS[0] + WEB_FORMS[web])


def test_merged_environment_is_not_replaced(tmp_path: Path) -> None:
    """Variables that come by << would be lost to ones of the service's own: refused, with their line."""
    text = "x-app: &app\n  environment:\n    A: b\nservices:\n  web:\n    <<: *app\n    build: .\n" + NGINX_FORMS[0]
    project = write_files(tmp_path / "project", {**FILES, "compose.yaml": text})
    before = digests(project)
    message = refusal(project, "--write")
    assert "compose.yaml:3: PROXY_READ_TIMEOUT=60 PROXY_KEEPALIVE_TIMEOUT=15 cannot be set there" in message
    assert digests(project) == before


def test_shared_environment_is_named_where_it_is(tmp_path: Path) -> None:
    """An alias is named with the line of its anchor in the Compose file, not with the line of the command."""
    text = HEAD + "services:\n  web:\n    build: .\n    environment: *env\n" + NGINX_FORMS[0]
    project = write_files(tmp_path / "project", {**FILES, "compose.yaml": text})
    message = refusal(project, "--write")
    assert "compose.yaml:1: PROXY_READ_TIMEOUT=60" in message
    assert "Dockerfile:" not in message


def test_health_check_is_not_handed_on(tmp_path: Path) -> None:
    """A service from which a worker takes its keys gets no health check: the worker would never be healthy."""
    text = "services:\n  web: &web\n    build: .\n  worker:\n    <<: *web\n    command: celery -A main worker\n"
    project = write_files(tmp_path / "project", {**FILES, "compose.yaml": text})
    printed = adopt(project, "--write")
    assert "a health check for web (other services take over its keys)" in printed
    assert "healthcheck" not in (project / "compose.yaml").read_text(encoding="utf-8")


def test_included_location_gets_its_time_once(tmp_path: Path) -> None:
    """A proxy_pass that two locations include is one line: a second proxy_read_timeout would be a duplicate."""
    files = {
        **FILES,
        "nginx.conf": "events {}\nhttp {\n  upstream app { server web:8000; }\n  server {\n"
        "    location / { include pass.conf; }\n    location /api { include pass.conf; }\n  }\n}\n",
        "pass.conf": "proxy_pass http://app;\n",
        "compose.yaml": "services:\n  nginx:\n    image: nginx:1.28\n    volumes:\n"
        "      - ./nginx.conf:/etc/nginx/nginx.conf\n      - ./pass.conf:/etc/nginx/pass.conf\n  web:\n    build: .\n",
    }
    del files["app.conf"]
    project = write_files(tmp_path / "project", files)
    adopt(project, "--write")
    assert (project / "pass.conf").read_text(encoding="utf-8") == "proxy_pass http://app;\nproxy_read_timeout 60s;\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("compose.yaml", "services:\n  web:\n    build: .\n   x: y\n", "compose.yaml:4: the patch would leave"),
        ("app.conf", NGINX + "}\n", "app.conf:8: the patch would leave what cannot be read"),
        ("pyproject.toml", "a = \n", "pyproject.toml: the patch would leave"),
        (
            "app.conf",
            NGINX.replace("listen 80;", "listen 80;\n  proxy_read_timeout 5 6;"),
            "the patch would bring C001",
        ),
    ],
)
def test_patch_that_breaks_a_file(name: str, text: str, said: str, tmp_path: Path) -> None:
    """What doctor could not read after the patch, and could before, is named with its file and line."""
    files = {**FILES, "compose.yaml": "services:\n" + NGINX_FORMS[0] + WEB_FORMS[0], "pyproject.toml": "a = 1\n"}
    with workspace(write_files(tmp_path / "project", files)) as space:
        first = diagnose(space.root)
        assert unsound(space, first, first) == []
        space.put(name, text)
        assert any(said in line for line in unsound(space, first, diagnose(space.root)))


def test_what_was_broken_before_is_no_reason(tmp_path: Path) -> None:
    """A file that could not be read before the patch is left as it is, and the rest is adopted."""
    files = {**FILES, "compose.yaml": "services:\n" + WEB_FORMS[0], "deploy/other.conf": "server {\n"}
    project = write_files(tmp_path / "project", files)
    assert "written:" in adopt(project, "--write")


def test_refused_patch_is_not_written(tmp_path: Path) -> None:
    """The plan itself refuses: a workspace with a broken file has no patch."""
    files = {**FILES, "compose.yaml": "services:\n" + NGINX_FORMS[0] + WEB_FORMS[0]}
    with workspace(write_files(tmp_path / "project", files)) as space:
        broken = Broken(space.project, space.root, before=space.before)
        with pytest.raises(Refused, match=r"app.conf:.*cannot be read"):
            make_plan(broken)


class Broken(Workspace):
    """A workspace that breaks what is written to nginx's configuration."""

    def put(self, name: str, text: str, why: str = "", line: int | None = None) -> None:
        """Add a brace."""
        super().put(name, text + "}\n" if name.endswith(".conf") else text, why, line)
