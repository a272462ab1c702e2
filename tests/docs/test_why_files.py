"""Files that are dropped on the page "Why 502?" are checked by doctor itself, in a real browser, without a network."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_python import NOT_RUN
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.logs.findings import Findings
from no502.doctor.logs.report import to_text
from no502.new import scaffold
from tests.support.browser import Tab
from tests.support.commands import ROOT
from tests.support.corpus import CORPUS, NAMES, expected

_GIVEN = """
    const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const given = (files) => files.map(([path, text]) => [path, bytes(text)]);
"""
_SECONDS = 10
"""From the drop to the first finding: what the page promises on two ordinary cores, as CPU time and on a clock."""


@pytest.fixture(name="python_site", scope="session")
def _python_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with Python for the browser."""
    made = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "browser_python.py")], capture_output=True, text=True, check=False
    )
    if made.returncode == NOT_RUN:
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    target = tmp_path_factory.mktemp("python_site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture(name="page", scope="module")
def _page(python_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """The page, opened from a folder."""
    with Tab(python_site / "why-502.html", profile=tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


def _content(folder: Path) -> list[tuple[str, str]]:
    """Return the files of a folder as the page takes them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), base64.b64encode(path.read_bytes()).decode()) for path in paths]


def _of_the_command(folder: Path, options: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["doctor", "--format", "json", *options])
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _without_values(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report without effective values: a few depend on the CPUs of the machine."""
    return {key: value for key, value in report.items() if key != "effective"}


def test_dropped_folder_is_checked(python_site: Path, tmp_path: Path) -> None:
    """The first finding stands in the page after less than ten seconds, with its place, effect and fix.

    By the clock it may take longer in proportion to the processes that wait for a CPU, as other tests do meanwhile.

    Before the drop nothing of Python is loaded, and nothing at any time from another address than the site's folder.
    """
    with Tab(python_site / "why-502.html", profile=tmp_path / "chromium") as tab:
        assert [one for one in tab.requested if "pyodide" in one or "doctor-packages" in one] == []
        before, began = tab.cpu_seconds(), time.monotonic()
        tab.drop([CORPUS / "compose-localhost"], "why-drop")
        shown = tab.run(
            """
            const found = document.getElementById("why-findings");
            const status = document.getElementById("why-files");
            const until = Date.now() + 100000;
            const ended = () => found.querySelector(".why-message") || status.textContent.startsWith("Failed");
            while (!ended() && Date.now() < until)
                await new Promise((done) => setTimeout(done, 20));
            const links = [...found.querySelectorAll(".why-message h3 a")].map((link) => link.getAttribute("href"));
            return {text: found.innerText, status: status.textContent, links};
            """
        )
        elapsed, used = time.monotonic() - began, tab.cpu_seconds() - before
        crowd = max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))
        requested = list(tab.requested)
    says = expected("compose-localhost")["finding"][0]
    assert shown["links"] == [f"doctor/{says['rule']}.html"], shown
    assert f"{says['file']}:{says['line']}" in shown["text"]
    assert "Users see: " in shown["text"]
    assert "Fix: " in shown["text"]
    assert used < _SECONDS
    assert elapsed < _SECONDS * crowd
    assert any("pyodide.js" in one for one in requested)
    assert [one for one in requested if not one.startswith((python_site.as_uri(), "data:", "blob:"))] == []


def test_findings_are_those_of_the_command(page: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every deployment of the corpus and for a generated service, the page's report is the command's."""
    folders = {name: (CORPUS / name, expected(name).get("options", [])) for name in NAMES}
    folders["a generated service"] = (scaffold(tmp_path / "made", {}), [])
    given = {name: (_content(folder), options[-1] if options else "") for name, (folder, options) in folders.items()}
    answers = page.run(
        f"""{_GIVEN}
        const answers = {{}};
        for (const [name, [files, front]] of Object.entries({json.dumps(given)}))
            answers[name] = (await no502Files.examine(given(files), front)).report;
        return answers;
        """
    )
    assert len(answers) > 60
    assert {options[0] for _, options in folders.values() if options} == {"--front"}
    of_command = {name: _of_the_command(*folder, monkeypatch) for name, folder in folders.items()}
    assert any(report["findings"] for report in of_command.values())
    for name, report in of_command.items():
        assert _without_values(answers[name]) == _without_values(report), name


def test_the_logs_are_joined_as_by_the_command(page: Tab) -> None:
    """The report of dropped logs is the one of ``no502 doctor logs``."""
    nginx = (
        "2026/11/30 14:02:11 [error] 29#29: *4122 recv() failed (104: Connection reset by peer) while reading response "
        'header from upstream, client: 10.0.0.7, server: , request: "POST /orders HTTP/1.1", '
        'upstream: "http://10.0.0.3:8000/orders", host: "example.com"'
    )
    server = "[2026-11-30 14:02:10 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:31)"
    files = [
        (name, base64.b64encode(f"{text}\n".encode()).decode()) for name, text in (("a.log", nginx), ("b", server))
    ]
    findings = Findings()
    for text in (nginx, server):
        findings.read([text.encode()])
    assert page.run(f"{_GIVEN} return await no502Files.explainLogs(given({json.dumps(files)}));") == to_text(findings)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("notes.txt", b"nothing that doctor reads"),
        ("../../packages/why_doctor.py", b"raise SystemExit"),
        ("nginx.conf", b"events {\xff\xfe\x00"),
    ],
)
def test_bad_files_end_nothing(page: Tab, path: str, content: bytes) -> None:
    """What doctor cannot read gives its one line or a finding, and the next files are checked."""
    files = [(path, base64.b64encode(content).decode())]
    answer = page.run(f"{_GIVEN} return await no502Files.examine(given({json.dumps(files)}));")
    assert "error" in answer or answer["report"]["findings"]
    good = _content(CORPUS / "compose-localhost")
    again = page.run(f"{_GIVEN} return await no502Files.examine(given({json.dumps(good)}));")
    assert again["report"]["findings"]


def test_the_page_says_what_it_weighs(python_site: Path) -> None:
    """The size in the page is that of the two scripts."""
    scripts = ("pyodide.js", "doctor-packages.js")
    weight = sum((python_site / "javascripts" / name).stat().st_size for name in scripts) / 1e6
    text = (python_site / "why-502.html").read_text(encoding="utf-8")
    found = re.search(r"loads Python for the browser from this site, ([\d.]+) MB", text)
    assert found
    assert float(found[1]) == round(weight, 1)
    assert weight < 12


def test_a_site_without_python_says_so(site: Path) -> None:
    """Where Pyodide has not been fetched, the page names what is missing; where it has, it says what it loads."""
    text = (site / "why-502.html").read_text(encoding="utf-8")
    has_python = (site / "javascripts" / "pyodide.js").is_file()
    assert ("built without npm" in text) is not has_python
