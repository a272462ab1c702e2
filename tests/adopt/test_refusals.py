"""Where ``no502 adopt`` would have to guess, it refuses with every reason, and changes nothing."""

from pathlib import Path

import pytest

from tests.adopt.support import adopt, digests, refusal, write_files

APP = "app = None\n"
UNIT = "[Service]\nWorkingDirectory=/srv/app\nExecStart={0}\n"


def unit(command: str, **more: str) -> dict[str, str]:
    """Return a project with one unit and the application ``main:app``."""
    return {"main.py": APP, "app.service": UNIT.format(command), **more}


CASES: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({"main.py": APP}, "no command that starts gunicorn or uvicorn"),
    "granian": (unit("/venv/bin/granian --interface asgi main:app"), "granian serves the application"),
    "hypercorn": (unit("/venv/bin/hypercorn main:app"), "hypercorn serves the application"),
    "wsgi": (unit("/venv/bin/gunicorn -k gthread --threads 8 main:app"), "worker class gthread serves a WSGI"),
    "sync": (unit("/venv/bin/gunicorn main:app"), "worker class sync serves a WSGI"),
    "own class": (unit("/venv/bin/gunicorn -k main.MyWorker main:app"), "worker class main.MyWorker is not uvicorn's"),
    "reload": (unit("/venv/bin/uvicorn main:app --reload"), "--reload is a development server"),
    "root path": (unit("/venv/bin/uvicorn main:app --root-path /api"), "--root-path /api: gunicorn has no such option"),
    "no module": ({"app.service": UNIT.format("/venv/bin/uvicorn main:app")}, "there is no module main"),
    "uvicorn.run": (
        {"main.py": 'import uvicorn\napp = None\nuvicorn.run("main:app", port=8000)\n'},
        "main.py:3: the file starts uvicorn itself",
    ),
    "lone configuration": ({"gunicorn.conf.py": "workers = 4\n", "main.py": APP}, "no command that loads it"),
    "conditional": (
        unit(
            "/venv/bin/gunicorn -c conf.py main:app",
            **{
                "conf.py": "worker_class = 'uvicorn.workers.UvicornWorker'\n"
                "import os\nif os.getenv('A'):\n    timeout = 9\n"
            },
        ),
        "conf.py:4: timeout is set inside a block",
    ),
    "missing configuration": (
        unit("/venv/bin/gunicorn -k uvicorn.workers.UvicornWorker -c /etc/gunicorn.py main:app"),
        "its configuration /etc/gunicorn.py is no file of this directory",
    ),
    "variables": (
        {
            "main.py": APP,
            "app.service": UNIT.format("/venv/bin/uvicorn main:app") + "Environment=GUNICORN_WORKERS=4\n",
        },
        "GUNICORN_WORKERS (environment): unknown variable; use WEB_CONCURRENCY",
    ),
    "variables in .env": (
        unit("/venv/bin/uvicorn main:app", **{".env": "GUNICORN_TIMEOT=4\nSECRET=x\n"}),
        "GUNICORN_TIMEOT (environment): unknown variable; did you mean GUNICORN_TIMEOUT?",
    ),
    "arguments by variable": (
        {
            "main.py": APP,
            "app.service": UNIT.format("/venv/bin/gunicorn -k uvicorn.workers.UvicornWorker main:app")
            + 'Environment="GUNICORN_CMD_ARGS=--timeout 300"\n',
        },
        "GUNICORN_CMD_ARGS sets timeout",
    ),
    "old Python": (
        {
            "main.py": APP,
            "Dockerfile": "FROM python:3.9-slim\nWORKDIR /app\nCOPY . .\n"
            'CMD ["uvicorn", "main:app", "--host", "0.0.0.0"]\n',
        },
        "Dockerfile: Python 3.9 in python:3.9-slim: the ladder needs Python 3.11",
    ),
    "several applications": (
        {
            "main.py": APP,
            "admin.py": APP,
            "a.service": UNIT.format("/venv/bin/uvicorn main:app --port 1"),
            "b.service": UNIT.format("/venv/bin/uvicorn admin:app --port 2"),
        },
        "several deployments",
    ),
    "several folders": (
        {"a/main.py": APP, "b/main.py": APP, "app.service": UNIT.format("/venv/bin/uvicorn main:app")},
        "main:app is in several folders (a, b)",
    ),
    "Helm": (
        {
            "main.py": APP,
            "chart/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n",
            "chart/templates/app.yaml": "apiVersion: apps/v1\nkind: Deployment\nspec: {{ .Values.spec }}\n",
            "app.service": UNIT.format("/venv/bin/uvicorn main:app"),
        },
        "adopt the rendered manifests",
    ),
    "short wait": (
        {
            **unit("/venv/bin/uvicorn main:app --port 8000"),
            "nginx.conf": "server {\n  location / {\n    proxy_pass http://127.0.0.1:8000;\n"
            "    proxy_read_timeout 5s;\n  }\n}\n",
        },
        "nginx waits 5 s at /: the ladder needs proxy_read_timeout from 10",
    ),
    "image as it is": (
        {
            "main.py": APP,
            "compose.yaml": "services:\n  web:\n    image: tiangolo/uvicorn-gunicorn-fastapi:python3.11\n",
        },
        "runs tiangolo/uvicorn-gunicorn-fastapi:python3.11 as it is",
    ),
    "background": (
        {
            "main.py": APP,
            "Dockerfile": "FROM python:3.12\nWORKDIR /app\nCOPY . .\n"
            "CMD uvicorn main:app --host 0.0.0.0 & nginx -g 'daemon off;'\n",
        },
        "it is started with & beside another program",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_with_the_reason(case: str, tmp_path: Path) -> None:
    """The reason names the place and what to do, and no file changes, with --write as well."""
    files, reason = CASES[case]
    project = write_files(tmp_path / "project", files)
    before = digests(project)
    message = refusal(project, "--write")
    assert message.startswith("this project cannot be adopted:\n")
    assert reason in message
    assert digests(project) == before


def test_every_reason_at_once(tmp_path: Path) -> None:
    """Two commands that cannot be kept are both named."""
    files = {
        "main.py": APP,
        "a.service": UNIT.format("/venv/bin/uvicorn main:app --root-path /api --ssl-keyfile-password x"),
        "b.service": UNIT.format("/venv/bin/uvicorn main:app --header X-A:b"),
    }
    message = refusal(write_files(tmp_path / "project", files))
    assert [word in message for word in ("--root-path", "--ssl-keyfile-password", "--header")] == [True] * 3


def test_adopted_by_installation_is_left_alone(tmp_path: Path) -> None:
    """A project that loads the ladder from the installed package needs no copies."""
    for number, module in enumerate(("gunicorn_conf", "no502.gunicorn")):
        files = unit(f"/venv/bin/gunicorn -c python:{module} main:app")
        project = write_files(tmp_path / str(number), files)
        assert adopt(project).startswith("nothing to change\n")


def test_no_such_directory(tmp_path: Path) -> None:
    """A directory that is not there is a wrong command line."""
    assert "no such directory" in refusal(tmp_path / "missing")
