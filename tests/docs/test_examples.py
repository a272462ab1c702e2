"""Configurations and code on the pages, read by the programs that they are for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from no502.nginx.binary import check_configuration, find_nginx
from tests.support.commands import ROOT, clean_environment

_DOCS = ROOT / "docs"
_PAGES = [*sorted((_DOCS / "how-to").glob("*.md")), *sorted((_DOCS / "platforms").glob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_WHOLE = "events {{}}\nhttp {{\n{http}\n}}\n"
_CONTEXTS = {
    "http": "{block}",
    "server": "upstream backend {{ server 127.0.0.1:1; }} server {{ listen 127.0.0.1:1; {block} }}",
    "location": "server {{ listen 127.0.0.1:1; location / {{ {block} }} }}",
    "upstream": "resolver 127.0.0.1; upstream backend {{ zone backend 64k; server 127.0.0.1:1; {block} }}",
}


def _blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{page.relative_to(_DOCS)}:{text.count(chr(10), 0, found.start()) + 1}", found[3])
        for page in _PAGES
        for text in [page.read_text(encoding="utf-8")]
        for found in _FENCE.finditer(text)
        if found[2] == language
    ]


def _section(title: str) -> str:
    """Return the first block of a section of the page about other proxies."""
    page = (_DOCS / "how-to" / "other-proxies.md").read_text(encoding="utf-8")
    found = _FENCE.search(page, page.index(f"\n## {title}\n"))
    assert found
    return found[3]


@pytest.mark.parametrize(("name", "block"), _blocks("nginx"), ids=lambda value: value if len(value) < 60 else "")
def test_nginx_loads_each_block(name: str, block: str, tmp_path: Path) -> None:
    """nginx accepts each block of nginx lines in one of the places where it may stand."""
    refusals = []
    for place, around in _CONTEXTS.items():
        http = around.format(block=block.replace("backend:8000 resolve", "localhost:8000 resolve"))
        (tmp_path / "nginx.conf").write_text(_WHOLE.format(http=http), encoding="utf-8")
        try:
            arguments = ["-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
            check_configuration(find_nginx(None), arguments)
        except Exception as refusal:  # noqa: BLE001  the next place may fit
            refusals.append(f"{place}: {refusal}")
        else:
            return
    pytest.fail(f"{name}: {refusals}")


def test_nginx_refuses_what_is_wrong(tmp_path: Path) -> None:
    """The check above can fail: a directive that does not exist loads nowhere."""
    with pytest.raises(pytest.fail.Exception, match="proxy_raed_timeout"):
        test_nginx_loads_each_block("a page", "proxy_raed_timeout 180s;", tmp_path)


@pytest.mark.parametrize(("name", "block"), _blocks("python"), ids=lambda value: value if len(value) < 60 else "")
def test_python_compiles(name: str, block: str) -> None:
    """Python on the pages is Python."""
    compile(textwrap.dedent(block), name, "exec")


def test_own_gunicorn_file_gets_the_computed_settings(tmp_path: Path) -> None:
    """The file of the page about existing gunicorn.conf.py files has our worker, our numbers and its own hook."""
    [(_, block)] = [one for one in _blocks("python") if one[0].startswith("how-to/gunicorn-conf.md")]
    (tmp_path / "gunicorn.conf.py").write_text(block, encoding="utf-8")
    (tmp_path / "main.py").write_text("async def app(scope, receive, send):\n    pass\n", encoding="utf-8")
    command = [sys.executable, "-m", "gunicorn", "--print-config", "-c", "gunicorn.conf.py", "main:app"]
    environment = {**clean_environment(tmp_path), "PROXY_READ_TIMEOUT": "60"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = dict(re.findall(r"^(\w+) +(?:= )?(.*)$", done.stdout, re.MULTILINE))
    assert printed["worker_class"] == "gunicorn_handover.HandoverWorker"
    assert printed["timeout"] == "40"
    assert printed["proc_name"] == "orders"
    assert "post_fork" in printed["post_fork"]


def test_tracing_recipes_are_those_that_run() -> None:
    """The blocks of the page about tracing are parts of the application under test, its variables those of the test."""
    page = (_DOCS / "how-to" / "tracing.md").read_text(encoding="utf-8")
    application = (ROOT / "tests" / "e2e" / "apps" / "observed.py").read_text(encoding="utf-8")
    blocks = [found[3] for found in _FENCE.finditer(page) if found[2] == "python"]
    assert len(blocks) == 2
    assert [block for block in blocks if block not in application] == []
    test = (ROOT / "tests" / "e2e" / "test_telemetry.py").read_text(encoding="utf-8")
    variables = re.findall(r"^export (\w+)=", page, re.MULTILINE)
    assert len(variables) == 2
    assert [name for name in variables if f'"{name}"' not in test] == []


def test_settings_tables_are_what_the_ladder_gives() -> None:
    """The computed settings on the pages about platforms are up to date."""
    command = [sys.executable, str(ROOT / "scripts" / "settings_tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs Debian's package haproxy")
def test_haproxy_accepts_its_lines(tmp_path: Path) -> None:
    """HAProxy's own check accepts the page's lines without a warning."""
    (tmp_path / "haproxy.cfg").write_text(_section("HAProxy"), encoding="utf-8")
    command = ["haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr


@pytest.mark.skipif(shutil.which("apache2") is None, reason="needs Debian's package apache2")
def test_apache_accepts_its_lines(tmp_path: Path) -> None:
    """Apache's own check accepts the page's lines."""
    lines = _section("Apache")
    names = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http")
    modules = [f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in names]
    whole = [
        f"ServerRoot {tmp_path}",
        "ServerName localhost",
        "ErrorLog /dev/stderr",
        "Listen 127.0.0.1:1",
        *modules,
        lines,
    ]
    (tmp_path / "apache.conf").write_text("\n".join(whole), encoding="utf-8")
    command = ["apache2", "-t", "-f", str(tmp_path / "apache.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_readme_shows_a_real_finding() -> None:
    """The README's finding is what the doctor reports about docs/examples/mismatch: places and numbers."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"```text\n(.*?)```", readme, re.DOTALL)
    command = [sys.executable, "-m", "no502", "doctor", str(_DOCS / "examples" / "mismatch")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"})
    output = " ".join(done.stdout.split())
    for fact in ("K201 error", "Dockerfile:3", "nginx.conf:3", "after 2 s (default)", "for 60 s (default)"):
        assert fact in " ".join(shown.split()), fact
        assert fact in output, fact


def test_settings_of_the_generated_service_exist() -> None:
    """The APP_ variables on the page are those of the generated service, and none is missing there."""
    page = (_DOCS / "reference" / "generated-service.md").read_text(encoding="utf-8")
    table = page.split("## Settings")[1].split("## Health")[0]
    [example] = (ROOT / "template").glob("{{*/.env.example")
    offered = set(re.findall(r"^#? ?(APP_\w+)=", example.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`(APP_\w+)`", table)) == offered
