"""Files of which a host or a template takes some: sites that may be enabled, branches, tags that move."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

MAIN = "events {}\nhttp { include /etc/nginx/conf.d/*.conf; include /etc/nginx/sites-enabled/*; }\n"
SITE = f"server {{{{ listen 80; server_name {{name}}; location / {{{{ proxy_pass http://backend; {HEADERS} }}}} }}}}\n"
UNIT = "[Service]\nExecStart=/v/bin/gunicorn -b unix:{bind} shop:app\n"
UPSTREAM = "upstream backend { server unix:/run/shop.sock; }\n"


@pytest.mark.parametrize(("bind", "found"), [("/run/other.sock", True), ("/run/shop.sock", False)])
def test_available_sites_stand_for_enabled_ones(
    bind: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site of sites-available knows the upstreams of conf.d where the repository has no sites-enabled."""
    files = {
        "shop.service": UNIT.format(bind=bind),
        "nginx/nginx.conf": MAIN,
        "nginx/conf.d/upstream.conf": UPSTREAM,
        "nginx/sites-available/shop": SITE.format(name="shop.example.com"),
    }
    report = judge(tmp_path, files, monkeypatch)
    assert ("A101" in report.found()) is found
    assert "the application at backend:80" not in report.gaps()


def test_sites_of_which_only_one_can_be_enabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sites with one upstream are no duplicate: a host enables one of them."""
    site = UPSTREAM + SITE.format(name="shop.example.com")
    files = {
        "shop.service": UNIT.format(bind="/run/shop.sock"),
        "nginx/nginx.conf": MAIN,
        "nginx/sites-available/shop": site,
        "nginx/sites-available/shop-tls": site,
    }
    assert judge(tmp_path, files, monkeypatch).found() == set()


TEMPLATES = {
    "consul": '{{ range service "a" }}  server {{ .Address }}:{{ .Port }};\n{{ else }}server 127.0.0.1:1;{{ end }}\n',
    "jinja": "{% if blue %}\nserver 127.0.0.1:8001;\n{% else %}\nserver 127.0.0.1:8002;\n{% endif %}\n",
    "plain": "server 127.0.0.1:8001;\nserver 127.0.0.1:8002;\n",
}


@pytest.mark.parametrize(("name", "found"), [("consul", False), ("jinja", False), ("plain", True)])
def test_servers_of_a_template(name: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides of a condition are not two peers."""
    text = f"upstream backend {{\n{TEMPLATES[name]}}}\n" + SITE.format(name="shop.example.com")
    report = judge(tmp_path, {"shop.conf.j2": text}, monkeypatch)
    assert ("R401" in report.found()) is found


@pytest.mark.parametrize(
    ("tag", "shown"), [("stable", "nginx 1.30.0"), ("stable-alpine", "nginx 1.30.0"), ("latest", "nginx 1.31.0")]
)
def test_tags_that_move(tag: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """stable and mainline are branches of their own."""
    files = {
        "compose.yaml": f"services: {{a: {{image: 'nginx:{tag}', volumes: ['./nginx.conf:/etc/nginx/nginx.conf']}}}}\n",
        "nginx.conf": f"events {{}}\nhttp {{ {UPSTREAM} {SITE.format(name='a.example.com')} }}\n",
    }
    assert shown in judge(tmp_path, files, monkeypatch).text
