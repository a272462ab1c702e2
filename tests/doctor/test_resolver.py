"""A109: a name that nginx looks up while it runs needs a resolver."""

import subprocess
from pathlib import Path

import pytest

from no502.nginx.versions import UPSTREAM_RESOLVER
from tests.doctor.report import HEADERS, judge
from tests.nginx.conftest import nginx, tree
from tests.nginx.proxy import Nginx
from tests.support.ports import free_port

__all__ = ["nginx", "tree"]

COMPOSE = """services:
  shop:
    image: acme/shop:3
    command: gunicorn shop:app -b 0.0.0.0:8000 -k gthread --keep-alive 75
    stop_grace_period: 60s
  edge:
    image: nginx:1.30.1
    volumes: [./shop.conf:/etc/nginx/conf.d/default.conf]
"""


def _site(line: str, before: str = "", inside: str = "", path: str = "/") -> str:
    return f"{before}\nserver {{ listen 80; {inside} location {path} {{ {HEADERS} {line} }} }}\n"


@pytest.mark.parametrize(
    ("site", "found"),
    [
        (_site("set $app shop; proxy_pass http://$app:8000;"), True),
        (_site("set $app http://shop:8000; proxy_pass $app;"), True),
        (_site("proxy_pass http://shop:8000$request_uri;"), True),
        (_site("proxy_pass http://shop:8000/$1$is_args$args;", path="~ ^/api/(.*)$"), True),
        (_site("proxy_pass http://localhost:8000/$1;", path="~ ^/api/(.*)$"), True),
        (_site("proxy_pass http://shop:8000;"), False),
        (_site("set $app 192.0.2.9; proxy_pass http://$app:8000;"), False),
        (_site("proxy_pass http://[::1]:8000$request_uri;"), False),
        (_site("set $app http://unix:/run/shop.sock; proxy_pass $app;"), False),
        (_site("resolver 127.0.0.11; set $app shop; proxy_pass http://$app:8000;"), False),
        (_site("set $app shop; proxy_pass http://$app:8000;", inside="resolver 127.0.0.11 valid=5s;"), False),
        (_site("set $app shop; proxy_pass http://$app:8000;", before="resolver ${NGINX_LOCAL_RESOLVERS};"), False),
        (_site("set $app shop; proxy_pass http://$app:8000;", inside="include resolvers.conf;"), False),
        (_site("set $app pool; proxy_pass http://$app;", before="upstream pool { server shop:8000; }"), False),
        (
            _site("set $app shop; proxy_pass http://$app:8000;", inside="location /x { proxy_pass http://shop:8000; }"),
            False,
        ),
        (_site("proxy_pass http://pool;", before="upstream pool { zone pool 64k; server shop:8000 resolve; }"), True),
        (
            _site(
                "proxy_pass http://pool;",
                before="upstream pool { zone pool 64k; resolver 127.0.0.11; server shop:8000 resolve; }",
            ),
            False,
        ),
        (
            _site(
                "proxy_pass http://pool;",
                before="resolver 127.0.0.11; upstream pool { zone pool 64k; server shop:8000 resolve; }",
            ),
            False,
        ),
    ],
)
def test_names_of_variables(site: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable anywhere in proxy_pass needs a resolver, unless an address, an upstream or another line gives one."""
    report = judge(tmp_path, {"compose.yaml": COMPOSE, "shop.conf": site}, monkeypatch)
    assert ("A109" in report.found()) is found


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        (_site("set $app shop; proxy_pass http://$app:8000;"), "warning"),
        ("events {}\nhttp {" + _site("set $app shop; proxy_pass http://$app:8000;") + "}\n", "error"),
    ],
)
def test_a_resolver_may_be_in_a_file_that_is_not_here(
    text: str, severity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site of a host is a part of an http{} that is not among the files: it may have a resolver."""
    report = judge(tmp_path, {"shop.conf": text}, monkeypatch)
    assert report.severity("A109") == severity


@pytest.mark.parametrize("resolver", ["", "resolver 127.0.0.1;"])
def test_nginx_refuses_resolve_without_a_resolver(nginx: Nginx, tree: Path, resolver: str) -> None:
    """What the rule says of nginx 1.27.3 and later: it does not load such an upstream."""
    if nginx.version < UPSTREAM_RESOLVER:
        return
    port = free_port()
    upstream = "upstream app { zone app 64k; server localhost:1 resolve; }"
    server = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://app; }} }}"
    file = tree / "nginx.conf"
    file.write_text(
        f"pid {tree}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{ {resolver} {upstream} {server} }}\n"
    )
    command = [nginx.path, "-t", "-q", "-p", str(tree), "-c", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ("no resolver defined to resolve names" in done.stderr) is (not resolver)
