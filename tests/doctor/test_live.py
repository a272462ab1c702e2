"""The live probes against a real uvicorn behind a real nginx, and against the ways in which they fail."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from typer.testing import CliRunner

from no502 import __version__
from no502.cli import app
from no502.doctor.live import Probed, probe
from no502.errors import UserError
from no502.nginx.binary import find_nginx
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running

_APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = {key.decode(): value.decode() for key, value in scope["headers"]}
    status = {"/ready": 503, "/": 200}.get(scope["path"], 404)
    body = headers.get("x-forwarded-for", "nobody").encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
_NGINX = """
daemon off; pid nginx.pid; error_log stderr; events {{}}
http {{
    access_log off;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
    server {{
        listen 127.0.0.1:{port}{ssl};
        {tls}
        client_max_body_size {limit};
        location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_set_header X-Forwarded-For {forwarded}; }}
    }}
}}
"""


def _listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


@pytest.fixture(name="stack")
def _stack() -> Iterator[ExitStack]:
    """Ends what a test has started."""
    with ExitStack() as stack:
        yield stack


def serve_app(stack: ExitStack, directory: Path, keep_alive: int = 2) -> int:
    """Start uvicorn and return its port."""
    (directory / "live_app.py").write_text(_APP, encoding="utf-8")
    port = free_port()
    options = ["--port", str(port), "--timeout-keep-alive", str(keep_alive), "--no-proxy-headers"]
    running = Running(
        [sys.executable, "-m", "uvicorn", "live_app:app", *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
    )
    stack.enter_context(running)
    wait_until(lambda: _listening(port), seconds=60, what="uvicorn")
    return port


def serve_nginx(stack: ExitStack, directory: Path, upstream: int, *, tls: bool = False, **words: str) -> int:
    """Start nginx before a port and return its own."""
    port = free_port()
    values: Mapping[str, str] = {"limit": "1m", "forwarded": "$remote_addr", **words}
    certificate = "ssl_certificate c.pem; ssl_certificate_key k.pem;" if tls else ""
    text = _NGINX.format(port=port, upstream=upstream, ssl=" ssl" if tls else "", tls=certificate, **values)
    (directory / "nginx.conf").write_text(text, encoding="utf-8")
    running = Running([find_nginx(None), "-p", str(directory), "-c", "nginx.conf", "-e", "stderr"], cwd=directory)
    stack.enter_context(running)
    wait_until(lambda: _listening(port), seconds=60, what="nginx")
    return port


def ids(result: Probed) -> set[str]:
    """Return the ids of what was found."""
    return {finding.rule for finding in result.problems}


def test_both_sides_answer(stack: ExitStack, tmp_path: Path) -> None:
    """Times side by side; an idle connection that closes early, the error of readiness, nginx's own body limit."""
    upstream = serve_app(stack, tmp_path)
    port = serve_nginx(stack, tmp_path, upstream)
    result = probe(f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{upstream}/", pool_idle=20)
    assert ids(result) == {"E903", "E905", "E906"}
    rows = {row[0]: row[1:] for row in result.rows}
    assert rows["GET /"][0].startswith("200 in ")
    assert rows["GET /"][1].startswith("200 in ")
    assert rows["GET /ready"][0].startswith("503 in ")
    assert rows["largest body"][0] == "up to 1 MiB"
    (early,) = [finding for finding in result.problems if finding.rule == "E903"]
    assert "nginx keeps them for 20 s" in early.message


def test_what_the_probes_leave_in_the_logs(stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of level error is announced, and said word for word afterwards; requests name the doctor."""
    port, log = free_port(), tmp_path / "error.log"
    text = _NGINX.format(port=port, upstream=serve_app(stack, tmp_path), ssl="", tls="", limit="5m", forwarded="x")
    text = text.replace("error_log stderr", f"error_log {log}").replace("access_log off", f"access_log {log}.access")
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    stack.enter_context(Running([find_nginx(None), "-p", str(tmp_path), "-c", "nginx.conf", "-e", str(log)]))
    wait_until(lambda: _listening(port), seconds=60, what="nginx")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["doctor", "nginx.conf", "--live", f"http://127.0.0.1:{port}/"])
    errors = [line for line in log.read_text(encoding="utf-8").splitlines() if "[error]" in line]
    assert len(errors) == 1
    before, _, after = done.stderr.partition("lines in nginx's error log")
    assert "client intended to send too large body" in before
    line = "client intended to send too large body: 10485761 bytes"
    assert line in errors[0]
    assert line in after
    accesses = Path(f"{log}.access").read_text(encoding="utf-8").splitlines()
    assert accesses
    assert all(f'"no502-doctor/{__version__}"' in access for access in accesses)


def test_nothing_is_said_where_all_is_well(stack: ExitStack, tmp_path: Path) -> None:
    """A keep-alive that outlasts nginx's, a larger limit."""
    upstream = serve_app(stack, tmp_path, keep_alive=300)
    port = serve_nginx(stack, tmp_path, upstream, limit="20m")
    result = probe(f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{upstream}/", pool_idle=2)
    assert ids(result) == {"E905"}
    assert result.left == ["client intended to send too large body: 104857601 bytes"]


def test_an_application_that_is_gone(stack: ExitStack, tmp_path: Path) -> None:
    """502 through nginx, and the reason at the application itself."""
    gone = free_port()
    port = serve_nginx(stack, tmp_path, gone)
    result = probe(f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{gone}/")
    assert {"E901", "E902"} <= ids(result)
    assert "502" in next(finding.message for finding in result.problems if finding.rule == "E901")


def test_nginx_points_elsewhere(stack: ExitStack, tmp_path: Path) -> None:
    """502 through nginx while the application answers: the path between both is named."""
    upstream = serve_app(stack, tmp_path)
    port = serve_nginx(stack, tmp_path, free_port())
    result = probe(f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{upstream}/", pool_idle=0)
    (finding,) = [finding for finding in result.problems if finding.rule == "E901"]
    assert "the application itself answers" in finding.message
    assert "E902" not in ids(result)


def test_a_client_that_lies_about_its_address(stack: ExitStack, tmp_path: Path) -> None:
    """What nginx appends to, the client has chosen; what it replaces, not."""
    upstream = serve_app(stack, tmp_path)
    port = serve_nginx(stack, tmp_path, upstream, forwarded="$proxy_add_x_forwarded_for")
    result = probe(f"http://127.0.0.1:{port}/", None)
    assert "E904" in ids(result)
    assert "203.0.113.77" in next(f.message for f in result.problems if f.rule == "E904")


def test_a_certificate_of_no_known_authority(stack: ExitStack, tmp_path: Path) -> None:
    """Reported, and the other probes go on."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "k.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(tmp_path / "c.pem", append=True)
    port = serve_nginx(stack, tmp_path, serve_app(stack, tmp_path), tls=True)
    result = probe(f"https://127.0.0.1:{port}/", None)
    assert "E907" in ids(result)
    assert "E906" in ids(result)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1/", "http://", "http://a:b/", "http://a/\r\nX: y"])
def test_what_is_no_url(url: str) -> None:
    """Nothing is sent; the message names the option."""
    with pytest.raises(UserError, match="--live"):
        probe(url, None)
