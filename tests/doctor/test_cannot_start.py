"""Commands that do not start what they name: each kind is a finding, and what looks like one and starts is none."""

from pathlib import Path

import pytest

from tests.doctor.report import Report, judge

COMPOSE = "services:\n  shop:\n    image: acme/shop:1\n    stop_grace_period: 60s\n    command: {}\n"
DOCKERFILE = "FROM python:3.13\nWORKDIR /srv\nCMD {}\n"
UNIT = "[Service]\nTimeoutStopSec=60\nEnvironment=VENV=/srv/venv\nExecStart={}\n"
SUPERVISOR = "[program:shop]\nstopwaitsecs=60\ncommand={}\n"
POD = "apiVersion: v1\nkind: Pod\nmetadata: {{name: shop}}\nspec:\n  containers:\n  - name: shop\n    command: {}\n"
FILES = {
    "compose.yaml": COMPOSE,
    "Dockerfile": DOCKERFILE,
    "shop.service": UNIT,
    "supervisord.conf": SUPERVISOR,
    "pod.yaml": POD,
    "Procfile": "web: {}\n",
}


def started(name: str, command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Return what the doctor says about a file with a command."""
    return judge(folder, {name: FILES[name].format(command)}, monkeypatch)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("compose.yaml", "cd /srv && gunicorn -b 0.0.0.0:8000 shop:app"),
        ("compose.yaml", "python manage.py migrate && gunicorn -b 0.0.0.0:8000 shop:app"),
        ("compose.yaml", ">\n      alembic upgrade head;\n      gunicorn shop:app"),
        ("compose.yaml", "wait-for-it.sh db:5432 -- alembic upgrade head && uvicorn shop:app"),
        ("compose.yaml", "WEB_CONCURRENCY=3 gunicorn shop:app"),
        ("compose.yaml", "sh -c gunicorn -b 0.0.0.0:8000 shop:app"),
        ("compose.yaml", "uvicorn shop:app >> /var/log/shop.log 2>&1"),
        ("Dockerfile", '["alembic", "upgrade", "head", "&&", "uvicorn", "shop:app"]'),
        ("Dockerfile", '["gunicorn", "shop:app", "-b", "0.0.0.0:80", ">>", "/var/log/shop.log", "2>&1"]'),
        ("Dockerfile", '["exec", "gunicorn", "shop:app"]'),
        ("Dockerfile", '["sh", "-c", "gunicorn", "-b", "0.0.0.0:8000", "shop:app"]'),
        ("Dockerfile", '["bash", "-c", "exec", "gunicorn", "shop:app"]'),
        ("Dockerfile", '["sh", "-c", "python", "-m", "uvicorn", "shop:app"]'),
        ("shop.service", "cd /srv && /srv/bin/gunicorn shop:app"),
        ("shop.service", "~/venv/bin/gunicorn shop:app"),
        ("shop.service", "venv/bin/gunicorn shop:app"),
        ("shop.service", "${VENV}/bin/gunicorn shop:app"),
        ("shop.service", "/srv/bin/gunicorn shop:app -b 127.0.0.1:8000 > /var/log/shop.log"),
        ("supervisord.conf", "cd /srv && gunicorn shop:app"),
        ("supervisord.conf", "source /srv/env && gunicorn shop:app"),
        ("pod.yaml", '[cd, /srv, "&&", gunicorn, "shop:app"]'),
        ("pod.yaml", '["alembic upgrade head && gunicorn shop:app"]'),
        ("Procfile", "gunicorn -b 0.0.0.0:8000 -w 4"),
        ("Procfile", "gunicorn -b 0.0.0.0:80000 shop:app"),
        ("Procfile", "gunicorn -w -1 shop:app"),
        ("Procfile", "uvicorn shop:app --port 80000"),
    ],
)
def test_what_only_a_shell_understands_does_not_start(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell reads the command of a unit, a program of supervisord, a list or Compose's string."""
    assert started(name, command, tmp_path, monkeypatch).severity("C003") == "error"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("compose.yaml", 'sh -c "cd /srv && exec gunicorn -b 0.0.0.0:8000 shop:app"'),
        ("compose.yaml", "env WEB_CONCURRENCY=3 gunicorn shop:app"),
        ("compose.yaml", "gunicorn -b 0.0.0.0:8000 shop:app"),
        ("Dockerfile", "alembic upgrade head && exec uvicorn shop:app"),
        ("Dockerfile", '["sh", "-c", "exec gunicorn \\"$@\\"", "--", "-b", "0.0.0.0:80", "shop:app"]'),
        ("Dockerfile", '["sh", "/srv/start.sh", "gunicorn", "shop:app"]'),
        ("Dockerfile", '["tini", "--", "gunicorn", "shop:app"]'),
        ("shop.service", "/bin/bash -c 'cd /srv && exec venv/bin/gunicorn shop:app'"),
        ("shop.service", "gunicorn shop:app"),
        ("shop.service", "${SOMEWHERE}/bin/gunicorn shop:app"),
        ("supervisord.conf", "/srv/bin/gunicorn shop:app"),
        ("supervisord.conf", "venv/bin/gunicorn shop:app"),
        ("pod.yaml", '[sh, -c, "cd /srv && exec gunicorn shop:app"]'),
        ("Procfile", "cd shop && WEB_CONCURRENCY=3 gunicorn app:app > /dev/null"),
        ("Dockerfile", '["gunicorn", "--proxy-protocol", "auto", "-b", ":8000", "shop:app"]'),
        ("Procfile", "gunicorn $GUNICORN_OPTIONS"),
        ("Procfile", 'gunicorn -w 4 "$@"'),
        ("Procfile", "gunicorn --paste shop.ini"),
    ],
)
def test_what_starts_is_no_finding(name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that is there, an init, a script and a variable that holds the rest."""
    assert "C003" not in started(name, command, tmp_path, monkeypatch).found()


@pytest.mark.parametrize(
    ("conf", "found"),
    [
        ("timeout = 'abc'", True),
        ("workers = -1", True),
        ("workers = 2.5", True),
        ("preload_app = 'sometimes'", True),
        ("bind = 8000", True),
        ("timeout = 'abc'\ntimeout = 30", False),
        ("timeout = '30'\nworkers = 3\nbind = ['0.0.0.0:80', 'unix:/run/shop.sock']", False),
        ("import os\nworkers = int(os.environ['CPUS']) * 2.5", False),
    ],
)
def test_a_value_that_gunicorn_refuses(conf: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration file's last value of a setting is what gunicorn itself validates."""
    files = {"Procfile": "web: gunicorn shop:app\n", "gunicorn.conf.py": f"{conf}\n"}
    assert ("C003" in judge(tmp_path, files, monkeypatch).found()) is found


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"gunicorn.conf.py": "wsgi_app = 'shop:app'\n", "Procfile": "web: gunicorn -w 4\n"}, False),
        ({"gunicorn.conf.py": "workers = 4\n", "Procfile": "web: gunicorn\n"}, True),
        ({"gunicorn.conf.py": "from settings import *\n", "Procfile": "web: gunicorn\n"}, False),
        ({"Procfile": "web: gunicorn -c elsewhere.py\n"}, False),
        ({"gunicorn.conf.py": "workers = 4\n"}, False),
        ({"Dockerfile": 'FROM python:3.13\nENTRYPOINT ["gunicorn", "-w", "4"]\n'}, False),
    ],
)
def test_an_application_may_be_named_elsewhere(
    files: dict[str, str], found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the configuration file, in one that is not here, or in what ``docker run`` adds."""
    assert ("C003" in judge(tmp_path, files, monkeypatch).found()) is found


def test_a_redirection_behind_the_application_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn takes it for more arguments and starts: the log goes elsewhere."""
    report = started("shop.service", "/srv/bin/gunicorn -b :8000 shop:app >> /var/log/shop", tmp_path, monkeypatch)
    assert report.found() & {"C003", "C004"} == {"C004"}
