"""Every variant loads in both nginx programs, and the linter finds nothing in it."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from no502.nginx.binary import check_configuration
from no502.nginx.command import render
from no502.nginx.versions import UPSTREAM_RESOLVER
from tests.nginx.proxy import VARIABLES, Nginx, ask_the_machine, command

_UPSTREAMS = {"unix": "unix:/run/app/gunicorn.sock", "address": "127.0.0.1:8000", "name": "app.test:8000"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a certificate."""
    directory = tmp_path_factory.mktemp("tls")
    issued = trustme.CA().issue_cert("app.example.org")
    issued.private_key_and_cert_chain_pem.write_to_path(directory / "both.pem")
    return dict.fromkeys(("NGINX_TLS_CERTIFICATE", "NGINX_TLS_CERTIFICATE_KEY"), str(directory / "both.pem"))


@pytest.mark.parametrize(
    "choice", list(itertools.product(_UPSTREAMS, (False, True), ("", "10.0.0.0/8,fd00::/8"))), ids=str
)
def test_variant(nginx: Nginx, tree: Path, certificate: dict[str, str], choice: tuple[str, bool, str]) -> None:
    """``nginx -t`` accepts it without a warning, and gixy has no finding."""
    out = tree / "nginx"
    upstream, tls, trusted = choice
    variables = {**VARIABLES, **certificate, "NGINX_UPSTREAM": _UPSTREAMS[upstream], "NGINX_TRUSTED_PROXIES": trusted}
    render(out, variables, nginx_version=nginx.version, tls=tls, standalone=True)
    if upstream == "name" and nginx.version < UPSTREAM_RESOLVER:
        ask_the_machine(out, "app.test")
    check_configuration(nginx.path, command(nginx, out)[1:])
    done = subprocess.run([*command(nginx, out), "-t"], capture_output=True, text=True, check=True)
    assert not re.search(r"\[(?:warn|error|emerg)\]", done.stderr), done.stderr
    assert _findings(out) == []


def _findings(tree: Path) -> list[str]:
    gixy = Path(sys.executable).with_name("gixy")
    done = subprocess.run([gixy, "-f", "json", tree / "nginx.conf"], capture_output=True, text=True, check=False)
    return [f"{finding['plugin']}: {finding['reason']}" for finding in json.loads(done.stdout)]


def test_the_linter_finds_something_in_a_bad_file(tree: Path) -> None:
    """The twin: with server_tokens on, gixy reports it."""
    render(tree / "nginx", VARIABLES, nginx_version=(1, 31, 3), standalone=True)
    file = tree / "nginx" / "snippets" / "every-server.conf"
    text = file.read_text(encoding="utf-8")
    assert "server_tokens off;" in text
    file.write_text(text.replace("server_tokens off;", "server_tokens on;"), encoding="utf-8")
    assert [finding for finding in _findings(tree / "nginx") if finding.startswith("version_disclosure")]
