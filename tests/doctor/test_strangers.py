"""Repositories that were not written for the doctor: each kind of wrong finding that they gave stays away."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

MAIN = "events {}\nhttp { include /etc/nginx/sites-enabled/*; }\n"
SITE = f"server {{ listen 80; location / {{ proxy_pass http://%s; {HEADERS} }} }}\n"
COMPOSE = """services:
  web: {image: "nginx:1.28", volumes: ["./nginx/nginx.conf:/etc/nginx/nginx.conf"]}
  shop: {image: "acme/shop:1", command: "npm start"}
"""


def test_a_folder_of_anything_is_no_folder_of_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sites-enabled is not here, the README and the scripts beside nginx.conf are not its sites."""
    files = {
        "deploy/nginx.conf": MAIN,
        "deploy/shop-site.conf": SITE % "127.0.0.1:8000",
        "deploy/README.md": "See: the wiki { for more }\n",
        "deploy/start.sh": "if true; then\n  exec gunicorn -b 127.0.0.1:8000 shop:app\nfi\n",
        "deploy/settings.py": "CACHES = {'a': {'b': 'c'}}\n",
        "deploy/policy.xml": "<policy domain='x' rights='{none}'/>\n",
        "Dockerfile": "FROM python:3.13\nCOPY deploy/policy.xml /etc/magick/policy.xml\nCMD deploy/start.sh\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "C001" not in report.found()


def test_the_containers_of_one_set_do_not_run_beside_those_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nginx of compose.yaml is not compared with the image that compose.monitoring.yaml has to do with."""
    files = {
        "compose.yaml": COMPOSE,
        "compose.monitoring.yaml": "services: {probe: {image: 'acme/probe:2', command: 'probe --all'}}\n",
        "nginx/nginx.conf": f"events {{}}\nhttp {{ {SITE % 'shop:7001'} }}\n",
        "probe/Dockerfile": 'FROM python:3.13\nCMD ["uvicorn", "probe:app", "--host", "0.0.0.0", "--port", "8001"]\n',
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "A101" not in report.found()
    assert "the application at shop:7001" in report.gaps()


def test_a_variant_for_the_container_is_not_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An nginx file that names Compose's services is not read a second time as the host's."""
    files = {
        "compose.yaml": """services:
  web: {image: "nginx:1.30.1", volumes: ["./nginx/https.conf:/etc/nginx/conf.d/default.conf"]}
  shop: {image: "acme/shop:1", command: "gunicorn -b 0.0.0.0:8000 --threads 4 shop:app"}
""",
        "nginx/https.conf": f"upstream shop {{ server shop:8000; }}\n{SITE % 'shop'}",
        "nginx/plain.conf": f"upstream shop {{ server shop:8000; }}\n{SITE % 'shop'}",
        "contrib/shop.service": "[Service]\nExecStart=/srv/shop/bin/gunicorn -b 127.0.0.1:8000 shop:app\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "K201" in report.found()
    assert "K202" not in report.found()


@pytest.mark.parametrize("module", ["services.analytics.main", "services.analytics"])
def test_a_module_is_not_the_file_of_that_name_elsewhere(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``python -m services.analytics.main`` is not services/admin/main.py, which every service has one of."""
    files = {
        "compose.yaml": f"services: {{analytics: {{build: ., command: python -m {module}}}}}\n",
        "Dockerfile": "FROM python:3.13\nWORKDIR /app\nCOPY services ./services\n"
        "HEALTHCHECK CMD curl -f http://localhost:8000/\n",
        "services/admin/main.py": "import uvicorn\nuvicorn.run('admin:app', port=8001)\n",
        "services/admin/__main__.py": "import uvicorn\nuvicorn.run('admin:app', port=8001)\n",
    }
    assert "P603" not in judge(tmp_path, files, monkeypatch).found()


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn --access-logformat='%(h)s %(l)s \"%(r)s\"' shop:app",
        'gunicorn --access-logformat="${FORMAT:-%(h)s %(l)s "%(r)s"}" shop:app',
    ],
)
def test_a_value_behind_an_equals_sign_may_have_blanks(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """argparse splits at the sign first."""
    assert "C004" not in judge(tmp_path, {"run.sh": f"#!/bin/sh\nexec {command}\n"}, monkeypatch).found()


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_around_a_default_are_the_shells(quote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``${ADDRESS:-"0.0.0.0:8000"}`` is an address."""
    text = f"#!/bin/sh\nexport ADDRESS=${{ADDRESS:-{quote}0.0.0.0:8000{quote}}}\nexec gunicorn -b $ADDRESS shop:app\n"
    assert judge(tmp_path, {"start.sh": text}, monkeypatch).servers() == [("gunicorn", ["0.0.0.0:8000"])]


@pytest.mark.parametrize("module", ["gunicorn.app.wsgiapp", "gunicorn", "uvicorn.main", "uvicorn"])
def test_the_modules_of_the_servers(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m`` runs the package or the module with its ``main()``."""
    files = {"Procfile": f"web: ddtrace-run python -m {module} shop:app\n"}
    assert [name for name, _ in judge(tmp_path, files, monkeypatch).servers()] == [module.partition(".")[0]]


@pytest.mark.parametrize(
    ("command", "makefile"),
    [
        ("make serve", "serve: migrate\n\tgunicorn -b 0.0.0.0:9000 shop:app\nmigrate:\n\techo gunicorn\n"),
        (
            "make",
            "ADDRESS ?= 0.0.0.0:9000\nrun:\n\t@exec gunicorn \\\n\t  -b $(ADDRESS) shop:app\ntest:\n\tgunicorn x:y\n",
        ),
        ("make -C ops up", "up: ; \nup:\n\t-gunicorn -b 0.0.0.0:9000 shop:app\n"),
    ],
)
def test_make_starts_what_its_recipe_says(
    command: str, makefile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target's recipe is followed like a script, the prerequisites first."""
    name = "ops/Makefile" if "-C" in command else "Makefile"
    files = {
        "compose.yaml": f"services: {{shop: {{build: ., command: {command}}}}}\n",
        "Dockerfile": "FROM python:3.13\nWORKDIR /app\nCOPY . /app\nCMD uvicorn other:app\n",
        name: makefile,
    }
    report = judge(tmp_path, files, monkeypatch)
    assert report.servers() == [("gunicorn", ["0.0.0.0:9000"])]
    assert "S502" not in report.found()


def test_make_that_builds_something_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Makefile with a recipe that serves does not run it for another target."""
    files = {"Procfile": "web: make docs\n", "Makefile": "docs:\n\tmkdocs build\nserve:\n\tgunicorn shop:app\n"}
    assert judge(tmp_path, files, monkeypatch).servers() == []


def test_the_platform_says_how_many_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heroku sets WEB_CONCURRENCY: a Procfile without a number does not mean one worker."""
    report = judge(tmp_path, {"Procfile": "web: gunicorn --max-requests 500 shop:app\n"}, monkeypatch)
    assert "S506" not in report.found()
    assert "WEB_CONCURRENCY" in report.gaps()


@pytest.mark.parametrize(
    ("files", "fix"),
    [
        ({"app.conf": "[program:shop]\ncommand=gunicorn shop:app\n"}, "stopwaitsecs=40, "),
        ({"shop.service": "[Service]\nTimeoutStopSec=5\nExecStart=/bin/gunicorn shop:app\n"}, "TimeoutStopSec=40s, "),
        (
            {
                "pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: shop}\nspec:\n"
                "  terminationGracePeriodSeconds: 20\n"
                "  containers: [{name: shop, image: a, command: [gunicorn, x:y]}]\n"
            },
            "terminationGracePeriodSeconds: 40, ",
        ),
    ],
)
def test_a_time_to_stop_is_proposed_as_its_file_takes_it(
    files: dict[str, str], fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """supervisord and Kubernetes take whole seconds without a unit."""
    report = judge(tmp_path, files, monkeypatch)
    assert [one["fix"] for one in report.data["findings"] if one["fix"].startswith(f"Set {fix}")]


def test_a_chart_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The templates of a chart are named by their chart, and a pipeline of a CI is no template of a cluster."""
    template = "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Values.name }}}\n"
    files = {
        "chart/Chart.yaml": "name: shop\n",
        "chart/templates/service.yaml": template,
        "chart/templates/web/pod.yaml": template,
        ".github/workflows/e2e.yml": "jobs: ${{ x }}\nrun: |\n  apiVersion: v1\n  kind: Pod\n",
    }
    gaps = judge(tmp_path, files, monkeypatch).gaps().split("\n")
    assert [gap.partition(":")[0] for gap in gaps] == ["the Helm chart in chart"]


def test_files_of_one_kind_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight task definitions are named together, and a hook of Beanstalk that has nothing to do with nginx is not."""
    task = '{"containerDefinitions": [{"command": ["gunicorn", "shop:app"]}]}\n'
    files = {f"ecs/task-{number}.json": task for number in range(8)}
    files[".ebextensions/packages.config"] = "packages: {yum: {gcc: []}}\n"
    gaps = judge(tmp_path, files, monkeypatch).gaps()
    assert gaps.count("ECS task definition") == 1
    assert "and 2 more" in gaps
    assert "Beanstalk" not in gaps


def test_nothing_that_serves_is_said_beside_other_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files without a server have that line, whatever else was not looked at."""
    files = {
        "compose.yaml": "services: {db: {image: postgres}}\n",
        "compose.dev.yaml": "services: {db: {image: postgres}}\n",
    }
    assert "the application server" in judge(tmp_path, files, monkeypatch).gaps()


def test_a_pod_gets_what_its_image_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that Compose gives the same image for developers is not the pod's."""
    files = {
        "compose.yaml": "services: {shop: {build: ., command: uvicorn shop:app --reload}}\n",
        "Dockerfile": 'FROM python:3.13\nCMD ["gunicorn", "--graceful-timeout", "60", "shop:app"]\n',
        "pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: shop}\nspec: {containers: [{name: a, image: shop}]}\n",
    }
    found = judge(tmp_path, files, monkeypatch).data["findings"]
    stops = [one for one in found if one["rule"] == "S505"]
    assert {place["where"]["file"] for one in stops for place in one["related"]} == {"Dockerfile"}


@pytest.mark.parametrize(
    "command",
    ["gunicorn --version", "gunicorn -v", "gunicorn --check-config shop:app", "python -m uvicorn --help"],
)
def test_a_server_that_says_something_and_ends(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--check-config`` starts nothing."""
    assert judge(tmp_path, {"check.sh": f"#!/bin/sh\n{command}\n"}, monkeypatch).servers() == []


@pytest.mark.parametrize("wrapper", ["nix-shell --run", "su - shop --command", "acme-init --exec"])
def test_a_command_in_one_word_of_a_wrapper(wrapper: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option of an unknown wrapper holds a whole command."""
    files = {"Procfile": f"web: {wrapper} 'gunicorn -b 0.0.0.0:9000 shop:app'\n"}
    assert judge(tmp_path, files, monkeypatch).servers() == [("gunicorn", ["0.0.0.0:9000"])]


def test_an_nginx_configuration_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is called nginx.conf is read however its blocks are broken into lines."""
    text = f"events {{}} http {{ {SITE.strip() % '127.0.0.1:8001'} }}\n"
    files = {"nginx.conf": text, "shop.service": "[Service]\nExecStart=/bin/gunicorn -b 127.0.0.1:8000 shop:app\n"}
    assert "A101" in judge(tmp_path, files, monkeypatch).found("nginx.conf")
