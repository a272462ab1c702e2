"""TLS between nginx and the application: both sides have it or neither, as far as the files tell."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

UNIT = "[Service]\nExecStart=/srv/venv/bin/{}\n"
IMAGE = "FROM python:3.13\nWORKDIR /srv\nCOPY . .\nCMD {}\n"
COMPOSE = (
    "services:\n  shop: {{build: ., environment: {{{}}}}}\n"
    '  web: {{image: "nginx:1.28", volumes: ["./site.conf:/etc/nginx/conf.d/default.conf"]}}\n'
)
GUNICORN = "gunicorn -b 0.0.0.0:8000 -k uvicorn_worker.UvicornWorker"
UVICORN = "uvicorn --host 0.0.0.0"


def _site(scheme: str, host: str = "127.0.0.1") -> str:
    return f"server {{ listen 80; location / {{ proxy_pass {scheme}://{host}:8000; {HEADERS} }} }}\n"


@pytest.mark.parametrize(
    ("command", "conf", "secure"),
    [
        (f"{GUNICORN} a:b", "", False),
        (f"{UVICORN} a:b", "", False),
        (f"{GUNICORN} a:b", "certfile = None\n", False),
        (f"{GUNICORN} --certfile c.pem --keyfile k.pem a:b", "", True),
        (f"{GUNICORN} --certfile=c.pem a:b", "", True),
        (f"{GUNICORN} a:b", "certfile, keyfile = 'c.pem', 'k.pem'\n", True),
        (f"{UVICORN} --ssl-certfile c.pem --ssl-keyfile k.pem a:b", "", True),
        (f"{UVICORN} --ssl-keyfile=k.pem a:b", "", True),
    ],
)
def test_the_scheme_must_be_what_the_server_speaks(
    command: str, conf: str, secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a flag or by the configuration file, in both directions."""
    for scheme in ("http", "https"):
        files = {"site.conf": _site(scheme), "app.service": UNIT.format(command), "gunicorn.conf.py": conf}
        report = judge(tmp_path / scheme, files, monkeypatch)
        assert ("A108" in report.found()) == (secure == (scheme == "http")), scheme


@pytest.mark.parametrize(
    ("start", "variables", "secure"),
    [
        (f"{UVICORN} a:b", "UVICORN_SSL_CERTFILE: c.pem", True),
        (f"{GUNICORN} a:b", "GUNICORN_CMD_ARGS: --certfile c.pem", True),
        (f"{GUNICORN} a:b", "OTHER: x", False),
        ("python start.py", "CERT: c.pem", True),
    ],
)
def test_a_variable_sets_it_too(
    start: str, variables: str, secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Compose, for the server itself or for the file that starts it."""
    code = "import os, uvicorn\nuvicorn.run('a:b', host='0.0.0.0', port=8000, ssl_certfile=os.environ.get('CERT'))\n"
    for scheme in ("http", "https"):
        files = {
            "site.conf": _site(scheme, "shop"),
            "Dockerfile": IMAGE.format(start),
            "compose.yaml": COMPOSE.format(variables),
            "start.py": code,
        }
        report = judge(tmp_path / scheme, files, monkeypatch)
        assert ("A108" in report.found()) == (secure == (scheme == "http")), scheme


@pytest.mark.parametrize(
    ("command", "files"),
    [
        (f"{GUNICORN} --certfile $CERT a:b", {}),
        (f"{GUNICORN} $GUNICORN_OPTIONS a:b", {}),
        (f"{GUNICORN} -c /etc/elsewhere.py a:b", {}),
        (f"{GUNICORN} a:b", {"gunicorn.conf.py": "import os\ncertfile = os.environ.get('CERT')\n"}),
        (f"{GUNICORN} a:b", {"gunicorn.conf.py": "import os\nif os.environ.get('TLS'):\n    certfile = 'c.pem'\n"}),
        (f"{GUNICORN} a:b", {"gunicorn.conf.py": "from settings import *\n"}),
        ("gunicorn -b 0.0.0.0:8000 -k shop.Worker a:b", {}),
        (
            "python start.py",
            {"start.py": "import os, uvicorn\nuvicorn.run('a:b', port=8000, ssl_certfile=os.environ.get('CERT'))\n"},
        ),
        (
            "python start.py",
            {"start.py": "import uvicorn\nfrom x import make\nuvicorn.run('a:b', ssl_context_factory=make)\n"},
        ),
    ],
)
def test_what_the_files_do_not_tell_is_no_finding(
    command: str, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate may come from a variable, a file that is not here or a worker class of the project's own."""
    for scheme in ("http", "https"):
        given = {"site.conf": _site(scheme), "app.service": UNIT.format(command), **files}
        assert "A108" not in judge(tmp_path / scheme, given, monkeypatch).found(), scheme


def test_a_scheme_from_a_variable_is_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nginx decides for each request."""
    files = {"site.conf": _site("$scheme"), "app.service": UNIT.format(f"{GUNICORN} a:b")}
    assert "A108" not in judge(tmp_path, files, monkeypatch).found()


def test_the_fix_writes_the_other_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only proxy_pass changes: return and comments keep theirs."""
    site = f"server {{ listen 80; location / {{\n  proxy_pass https://127.0.0.1:8000; {HEADERS}\n}} }}\n"
    files = {"site.conf": site, "app.service": UNIT.format(f"{GUNICORN} a:b")}
    report = judge(tmp_path, files, monkeypatch, ".", "--fix")
    assert "proxy_pass http://127.0.0.1:8000;" in (tmp_path / "site.conf").read_text()
    assert report is not None
