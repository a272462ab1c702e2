"""Every nginx file that a rule's page says passes is accepted by two real versions of nginx."""

import re
import subprocess
from pathlib import Path

import pytest

from no502.doctor.registry import rules
from no502.nginx.versions import UPSTREAM_RESOLVER
from tests.doctor.page_examples import examples
from tests.nginx.conftest import nginx, tree
from tests.nginx.proxy import Nginx
from tests.support.ports import free_port

__all__ = ["nginx", "tree"]

_NEWER = {
    UPSTREAM_RESOLVER: re.compile(r" +resolver [^;]*;\n(?=(?: +\w[^;{}]*;\n)* +server \S+ resolve;)| resolve(?=;)")
}
"""Version -> what older ones do not have. Everything else on the pages has to work on the oldest that is tried."""
_PAGES = [(rule, name) for rule in rules() for name in examples(rule, "Passes") if name.endswith(".conf")]


def accepted(nginx: Nginx, directory: Path, text: str) -> str:
    """Return what nginx says about a file, whose names stand for addresses: empty if it accepts it."""
    for version, words in _NEWER.items():
        if nginx.version < version:
            text = words.sub("", text)
    text = re.sub(r"\b(server|proxy_pass)( +(?:http://)?)app:8000(?! resolve)", r"\1\g<2>127.0.0.1:8000", text)
    text = re.sub(r"\blisten 80;", f"listen 127.0.0.1:{free_port()};", text)
    if "events" not in text:
        text = f"events {{}}\nhttp {{\n{text}}}\n"
    file = directory / "nginx.conf"
    file.write_text(f"pid {directory}/nginx.pid;\nerror_log stderr;\n{text}", encoding="utf-8")
    command = [nginx.path, "-t", "-q", "-p", str(directory), "-c", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize(("rule", "name"), _PAGES, ids=[f"{rule}-{name}" for rule, name in _PAGES])
def test_passing_nginx_file_is_accepted(nginx: Nginx, tree: Path, rule: str, name: str) -> None:
    """Advice that an nginx refuses would stop it at its next start."""
    text = examples(rule, "Passes")[name]
    if re.search(r"\bserver\b|\bupstream\b", text):
        assert not accepted(nginx, tree, text)


def test_keepalive_0_is_refused_by_older_versions(nginx: Nginx, tree: Path) -> None:
    """The guard of the test above: a line that only newer versions have does not slip through beside ``resolve``."""
    text = (
        "upstream app {\n    zone app 64k;\n    resolver 127.0.0.11 valid=1s;\n    server app:8000 resolve;\n"
        "    keepalive 0;\n}\n"
    )
    said = accepted(nginx, tree, text)
    assert ('invalid value "0" in "keepalive" directive' in said) is (nginx.version < (1, 29, 7))
