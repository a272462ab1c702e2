"""Pages in the output: plain text, with addresses where the distribution names a site."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from no502 import __version__
from no502.doctor.pages import page
from no502.doctor.plain import to_plain
from no502.doctor.registry import rules
from tests.support.commands import ROOT, clean_environment
from tests.support.corpus import CORPUS

_SITE = "https://docs.example.org/no502"
_LINE = (
    "2026/11/30 14:02:11 [error] 29#29: *4122 recv() failed (104: Connection reset by peer) while reading response "
    'header from upstream, client: 10.0.0.7, server: , request: "POST /orders HTTP/1.1", upstream: "http://10.0.0.3/"\n'
)


@pytest.fixture(name="named")
def _named(tmp_path: Path) -> Path:
    """A directory before all others on the path, in which the distribution names its site."""
    information = tmp_path / "named" / f"no502-{__version__}.dist-info"
    information.mkdir(parents=True)
    fields = f"Metadata-Version: 2.4\nName: no502\nVersion: {__version__}\nProject-URL: Documentation, {_SITE}\n"
    (information / "METADATA").write_text(fields, encoding="utf-8")
    return information.parent


def _doctor(home: Path, *arguments: str, path: Path | None = None) -> str:
    environment = {**clean_environment(home), "PYTHONPATH": f"{path or ''}:{ROOT}"}
    command = [sys.executable, "-m", "no502", "doctor", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def test_explain_prints_addresses_where_there_is_a_site(tmp_path: Path, named: Path) -> None:
    """The page of a rule has its own address, and its links lead to the site."""
    shown = _doctor(tmp_path, "explain", "K201", path=named)
    assert shown.endswith(f"\nPage: {_SITE}/doctor/K201.html\n")
    assert f"({_SITE}/explanation/keepalive-race.html)" in " ".join(shown.split())


def test_without_a_site_links_lead_to_files(tmp_path: Path) -> None:
    """As long as the project has no address, a link names the file of the repository."""
    shown = _doctor(tmp_path, "explain", "K201")
    assert "(docs/explanation/keepalive-race.md)" in " ".join(shown.split())
    assert "Page: " not in shown


def test_sarif_leads_to_the_page_of_the_rule(tmp_path: Path, named: Path) -> None:
    """helpUri is the page on the site, else the source of the rule."""
    arguments = ("--format", "sarif", str(CORPUS / "compose-localhost"))
    links = []
    for path in (named, None):
        log = json.loads(_doctor(tmp_path, *arguments, path=path))
        links.append({rule["helpUri"] for rule in log["runs"][0]["tool"]["driver"]["rules"]})
    assert {link for link in links[0] if not link.startswith(f"{_SITE}/doctor/")} == set()
    assert {link for link in links[1] if link.startswith(_SITE)} == set()


def test_logs_name_the_page_of_a_message(tmp_path: Path, named: Path) -> None:
    """The JSON of ``doctor logs`` has the page on the site, else the file of the catalogue."""
    log = tmp_path / "error.log"
    log.write_text(_LINE, encoding="utf-8")
    with_site, without = (_doctor(tmp_path, "logs", "--format", "json", str(log), path=path) for path in (named, None))
    assert f'"{_SITE}/errors/recv-failed-104-reading-response-header.html"' in with_site
    assert "file://" in without


@pytest.mark.parametrize("rule", sorted(rules()))
def test_page_of_a_rule_is_plain_text(rule: str) -> None:
    """No mark of a heading, a fence or a relative link is left, and prose is at most 100 columns wide."""
    shown = to_plain(page(rules()[rule]), "doctor")
    prose = [line for line in shown.splitlines() if not line.startswith(("    ", "|"))]
    assert [line for line in prose if re.search(r"^#|```|\]\(|\.\./", line)] == []
    assert [line for line in prose if len(line) > 100 and " " in line.strip() and "://" not in line] == []


def test_code_keeps_its_lines() -> None:
    """A block has its file's name above it and its lines indented; a comment in it is no heading."""
    shown = to_plain('# T\n\n```ini title="a.service"\n# why\n\nx = [1](2)\n```\nText.\n', "doctor")
    assert shown == "T\n\na.service:\n    # why\n\n    x = [1](2)\n\nText.\n"
