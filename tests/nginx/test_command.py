"""``no502 nginx``."""

import subprocess
from pathlib import Path

import pytest

from tests.support.commands import clean_environment, no502


def _run(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(directory.with_name("home"), **variables)
    return no502("nginx", *arguments, cwd=directory, env=environment)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty working directory."""
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


def _text(directory: Path, name: str) -> str:
    return (directory / "out" / "conf.d" / name).read_text(encoding="utf-8")


def test_numbers_come_from_the_same_env_file_as_gunicorns(here: Path) -> None:
    """Times, address and names come from .env; the upstream is where gunicorn binds."""
    (here / ".env").write_text(
        "PROXY_READ_TIMEOUT=66\nGUNICORN_BIND=unix:/run/app/gunicorn.sock\nNGINX_SERVER_NAME=a.example b.example\n"
    )
    done = _run(here, "--out", "out", PROXY_CONNECT_TIMEOUT="3")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "out/nginx.conf" in done.stdout
    assert "proxy_read_timeout 66s;" in _text(here, "app/numbers.conf")
    assert "proxy_connect_timeout 3s;" in _text(here, "app/numbers.conf")
    assert "server unix:/run/app/gunicorn.sock max_fails=1 fail_timeout=1s;" in _text(here, "upstream.conf")
    assert "server_name a.example b.example;" in _text(here, "default.conf")


@pytest.mark.parametrize(
    ("variables", "server"),
    [({}, "127.0.0.1:8000"), ({"PORT": "9000"}, "127.0.0.1:9000"), ({"NGINX_UPSTREAM": "10.0.0.5:80"}, "10.0.0.5:80")],
)
def test_default_upstream(here: Path, variables: dict[str, str], server: str) -> None:
    """Without --upstream it is NGINX_UPSTREAM, else gunicorn's address as it is reached from here."""
    assert _run(here, "--out", "out", **variables).returncode == 0
    assert f"server {server} max_fails=1 fail_timeout=1s;" in _text(here, "upstream.conf")


def test_options_win(here: Path) -> None:
    """Options replace variables and choose the variants."""
    options = "--upstream app:8000 --server-name c.example --listen 8080 --tls c.pem k.pem --trusted-proxies 10.0.0.0/8"
    done = _run(
        here, "--out", "out", "--nginx-version", "1.22", *options.split(), NGINX_LISTEN="1", NGINX_UPSTREAM="x:1"
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert "server app:8000 max_fails=1 fail_timeout=1s;" in _text(here, "upstream.conf")
    app = _text(here, "default.conf")
    assert "listen 443 http2 ssl;" in app
    assert "listen 8080;" in app
    assert f"ssl_certificate {here}/c.pem;" in app
    assert f"ssl_certificate_key {here}/k.pem;" in app
    assert "set_real_ip_from 10.0.0.0/8;" in _text(here, "trusted-proxies.conf")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trusted-proxies", "10.0.0.0/99"], "NGINX_TRUSTED_PROXIES=10.0.0.0/99: not allowed"),
        (["--upstream", "http://x"], "NGINX_UPSTREAM=http://x: not allowed"),
        (["--nginx-version", "1.20"], "nginx 1.20.0: too old"),
        (["--nginx-version", "new"], "--nginx-version new: not a version"),
    ],
)
def test_mistakes(here: Path, arguments: list[str], message: str) -> None:
    """A mistake is a message on stderr and exit code 2; nothing is written."""
    done = _run(here, "--out", "out", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(here.iterdir()) == []


def test_unknown_variable(here: Path) -> None:
    """A misspelt NGINX_ variable is named with the closest known one."""
    done = _run(here, "--out", "out", NGINX_SERVERNAME="x")
    assert done.returncode == 2
    assert "NGINX_SERVERNAME: unknown variable; did you mean NGINX_SERVER_NAME?" in done.stderr


def test_default_version_is_the_installed_nginxs(here: Path, tmp_path: Path) -> None:
    """Without --nginx-version the files are for the nginx on PATH, which is named; they are what it can read."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for version, knows in (("1.22.1", False), ("1.30.2", True)):
        fake = programs / "nginx"
        fake.write_text(f"#!/bin/sh\necho 'nginx version: nginx/{version}' >&2\n")
        fake.chmod(0o755)
        done = _run(here, "--out", "out", "--upstream", "127.0.0.1:1", PATH=f"{programs}:/usr/bin:/bin")
        assert f"for nginx {version} ({fake}" in done.stdout
        assert ("\nkeepalive_min_timeout" in _text(here, "app/numbers.conf")) == knows


def test_a_name_that_no_client_will_ask_for_is_told(here: Path) -> None:
    """The example's server name answers here only, and the command says so."""
    assert "answers to localhost only" in _run(here, "--out", "out").stdout
    assert "answers to" not in _run(here, "--out", "out", "--server-name", "a.example").stdout
