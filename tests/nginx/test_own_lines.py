"""Lines of the deployment's own in the server block, and the recipes for them."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from no502.data import data_path
from no502.nginx.command import render
from tests.nginx.proxy import HOST, VARIABLES, Answer, Proxy, ProxyFactory
from tests.support.backend import Backend, Request, response
from tests.support.template import PROJECT

_RECIPES = PROJECT / "nginx.d" / "README.md"


def _recipe(beginning: str) -> str:
    """Return the lines of the recipe whose comment begins so."""
    text = _RECIPES.read_text(encoding="utf-8")
    (block,) = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    (found,) = [part for part in block.split("\n\n") if part.startswith(f"# {beginning}")]
    return f"{found.strip()}\n"


def _add(proxy: Proxy, lines: str) -> None:
    own = proxy.directory / "conf.d" / "server"
    own.mkdir(exist_ok=True)
    (own / "own.conf").write_text(lines, encoding="utf-8")
    proxy.reload()


def _echo(request: Request, _connection: socket.socket) -> bytes:
    known = bool(request.all("X-Request-ID"))
    return response("200 OK", f"{request.target} {len(request.body)} {known}".encode())


def _body(answer: Answer) -> str:
    return answer.body.decode()


def test_nginx_readme_lists_every_recipe() -> None:
    """nginx/README.md names the recipes that a generated service has, in their order."""
    (block,) = re.findall(r"```nginx\n(.*?)```", _RECIPES.read_text(encoding="utf-8"), re.DOTALL)
    names = [re.split(r"[.,;:(]", part.removeprefix("# "))[0] for part in block.split("\n\n")]
    text = (data_path("nginx") / "README.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Your own lines\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert re.findall(r"^- (.+)$", section, re.MULTILINE) == names


def _doctor(directory: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "no502", "doctor", "--format", "concise", "--fail-on", "never", *options]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=True)
    return [line for line in done.stdout.splitlines() if "import.conf" in line]


def test_doctor_accepts_the_longer_timeout(tmp_path: Path) -> None:
    """doctor reads the recipe's location and reports it only where a load balancer in front gives up first."""
    render(tmp_path / "nginx", VARIABLES, nginx_version=(1, 28, 0))
    own = tmp_path / "nginx" / "conf.d" / "server"
    own.mkdir(parents=True)
    (own / "import.conf").write_text(_recipe("A larger body"), encoding="utf-8")
    start = "/srv/venv/bin/gunicorn -b 127.0.0.1:8000 -k uvicorn_worker.UvicornWorker --keep-alive 30 app:app"
    (tmp_path / "app.service").write_text(f"[Service]\nExecStart={start}\n", encoding="utf-8")
    assert _doctor(tmp_path) == []
    (finding,) = _doctor(tmp_path, "--front", "alb")
    assert "T304" in finding


def test_a_larger_body_for_one_path(start: ProxyFactory) -> None:
    """The path takes what others refuse, and the application gets the headers of every request."""
    with Backend(_echo) as backend:
        proxy = start(backend.upstream, NGINX_CLIENT_MAX_BODY_SIZE="1k")
        _add(proxy, _recipe("A larger body"))
        assert _body(proxy.ask("POST", "/api/import", body=b"x" * 5000)) == "/api/import 5000 True"
        assert proxy.ask("POST", "/api/other", body=b"x" * 5000).status == 413


def test_a_single_page_application(start: ProxyFactory, tree: Path) -> None:
    """Every address but those of the API is the page."""
    site = tree / "www"
    site.mkdir()
    (site / "index.html").write_text("<p>page", encoding="utf-8")
    with Backend(_echo) as backend:
        proxy = start(backend.upstream)
        _add(proxy, _recipe("A single-page").replace("/srv/www", str(site)))
        assert _body(proxy.ask(path="/some/where")) == "<p>page"
        assert _body(proxy.ask(path="/api/x")) == "/api/x 0 True"
        assert proxy.ask(path="/metrics").status == 404


def test_static_files(start: ProxyFactory, tree: Path) -> None:
    """Files come from the directory, with their lifetime."""
    static = tree / "static"
    static.mkdir()
    (static / "a.css").write_text("a", encoding="utf-8")
    with Backend(_echo) as backend:
        proxy = start(backend.upstream)
        _add(proxy, _recipe("Static files").replace("/srv/static/", f"{static}/"))
        answer = proxy.ask(path="/static/a.css")
        assert answer.headers["Cache-Control"] == "max-age=3600"
        assert _body(answer) == "a"
        assert _body(proxy.ask(path="/other")) == "/other 0 True"


def test_underscores(start: ProxyFactory) -> None:
    """A header with an underscore is dropped without the line and passes with it."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        proxy.ask(headers={"api_key": "x"})
        _add(proxy, _recipe("Headers with an underscore"))
        proxy.ask(headers={"api_key": "x"})
        assert [request.all("api_key") for request in backend.requests] == [[], ["x"]]


def test_a_second_application(start: ProxyFactory) -> None:
    """One path goes to another address."""
    with Backend(_echo) as backend, Backend(_echo) as other:
        proxy = start(backend.upstream)
        _add(proxy, _recipe("A second application").replace("127.0.0.1:9000", other.upstream))
        assert _body(proxy.ask(path="/billing/x")) == "/billing/x 0 True"
        assert len(other.requests) == 1
        proxy.ask(path="/x")
        assert len(backend.requests) == 1


def test_behind_a_load_balancer(start: ProxyFactory) -> None:
    """The client's address comes from the load balancer's header."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        _add(proxy, _recipe("Behind a load balancer").replace("10.0.0.0/8", "127.0.0.0/8"))
        proxy.ask(headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"})
        assert backend.requests[0].all("X-Forwarded-For") == ["203.0.113.9"]
        assert backend.requests[0].all("X-Forwarded-Proto") == ["https"]


def test_behind_an_authenticating_proxy(start: ProxyFactory) -> None:
    """The header that it sets passes; the others are removed as before."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        _add(proxy, _recipe("Behind an authenticating proxy"))
        proxy.ask(headers={"X-Forwarded-User": "ann", "X-Forwarded-Email": "ann@example.org"})
        assert backend.requests[0].all("X-Forwarded-User") == ["ann"]
        assert backend.requests[0].all("X-Forwarded-Email") == []


@pytest.mark.parametrize("seconds", ["75", "3620"])
def test_idle_clients_are_kept_as_long_as_the_variable_says(start: ProxyFactory, seconds: str) -> None:
    """NGINX_KEEPALIVE_TIMEOUT reaches the directive."""
    with Backend() as backend:
        proxy = start(backend.upstream, NGINX_KEEPALIVE_TIMEOUT=seconds)
        text = (proxy.directory / "conf.d" / "app" / "numbers.conf").read_text(encoding="utf-8")
        assert f"\nkeepalive_timeout {seconds}s;\n" in text
        assert proxy.ask(headers={"Host": HOST}).status == 200
