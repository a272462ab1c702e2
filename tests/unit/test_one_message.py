"""A new log message is one file; everything that shows messages finds it there, the generated service too."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT, clean_environment

_FILE = "no502/messages/server/a-dummy-message-appeared.md"
_DUMMY = """---
id: L699
program: [gunicorn]
level: [ERROR]
severity: error
text: a dummy message appeared
match: {starts: a dummy message appeared}
symptom: [502]
get: 502
source: A test.
service: {cause: dummy-cause}
---

The test has written this line.

## Check

1. Look at the test.

## Permanent fix

- Remove the file.
"""
_LINE = "[2026-11-26 12:00:00 +0000] [1] [ERROR] a dummy message appeared, and more"
_CLASSIFY = """
import sys; from no502.doctor.logs.explain import recognise
found = recognise(sys.argv[1]); print(found.id if found else "nothing")
"""
_PAGES = "import sys; sys.path.insert(0, 'scripts'); import error_pages; print(error_pages.by_symptom())"
_PAGE = """
import sys; sys.path.insert(0, 'scripts'); import error_pages; from no502.messages import by_name
print(error_pages.page(by_name("L699"), []))
"""
_WHY = "import sys; sys.path.insert(0, 'scripts'); import why_page; print(why_page.javascript())"


@pytest.fixture(name="checkout", scope="module")
def _checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one more file, after ``make sync``."""
    copy = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("no502", "scripts", "template", "nginx"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    (copy / "docs" / "lab").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "lab" / "recorded.json", copy / "docs" / "lab")
    for file in ROOT.glob("gunicorn_*.py"):
        shutil.copy(file, copy)
    (copy / _FILE).write_text(_DUMMY, encoding="utf-8")
    _run(copy, "scripts/service_causes.py")
    return copy


def _run(checkout: Path, *arguments: str) -> str:
    environment = {**clean_environment(checkout / "home"), "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["-m", "no502", "doctor", "explain", "L699"], "The test has written this line."),
        (["-m", "no502", "doctor", "explain", "dummy message"], "L699 a-dummy-message-appeared"),
        (["-c", _CLASSIFY, _LINE], "L699"),
        (["-c", _PAGES], "[a dummy message appeared](a-dummy-message-appeared.md)"),
        (["-c", _PAGE], "counts these lines as `dummy-cause`"),
        (["-c", _WHY], "a-dummy-message-appeared"),
    ],
    ids=["explain", "phrase", "classifier", "index", "page", "why"],
)
def test_a_new_message_is_shown_everywhere(checkout: Path, arguments: list[str], shown: str) -> None:
    """The command, the classifier, the index and page of errors and "Why 502?" have the message that was added."""
    assert shown in _run(checkout, *arguments)


def test_the_logs_command_counts_it(checkout: Path) -> None:
    """``no502 doctor logs`` names it in a log."""
    log = checkout / "app.log"
    log.write_text(_LINE + "\n", encoding="utf-8")
    environment = {**clean_environment(checkout / "home"), "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, "-m", "no502", "doctor", "logs", str(log), "--format", "json"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "L699" in json.dumps(json.loads(done.stdout)), done.stderr


def test_the_generated_service_diagnoses_it(checkout: Path) -> None:
    """Its ``ops/diagnose`` counts the line and names the section of the runbook."""
    (ops,) = (checkout / "template").glob("{{*}}/ops")
    log = checkout / "app.log"
    log.write_text(_LINE.replace("2026-11-26 12:00:00 +0000", "") + "\n", encoding="utf-8")
    environment = clean_environment(checkout / "home") | {
        "DIAGNOSE_URL": "http://127.0.0.1:9",
        "DIAGNOSE_BACKEND": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        ["sh", str(ops / "diagnose"), "--app-log", str(log)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 x, first" in done.stdout, done.stdout + done.stderr
    assert "ops/runbook.md#dummy-cause" in done.stdout


def test_the_runbook_explains_it(checkout: Path) -> None:
    """It has a section made from the message, at the end: its place is chosen by hand."""
    (ops,) = (checkout / "template").glob("{{*}}/ops")
    section = (ops / "runbook.md").read_text(encoding="utf-8").partition("## dummy-cause\n\n")[2]
    assert section.splitlines() == [
        "- **Line:** `a dummy message appeared` (L699)",
        "- **Means:** The test has written this line.",
        "- **Do:** Remove the file.",
        "- **Verify:** Look at the test.",
    ]


def test_once_written_nothing_is_stale(checkout: Path) -> None:
    """A second ``make sync`` finds nothing to write."""
    assert _run(checkout, "scripts/service_causes.py", "--check") == ""


def test_a_cause_that_is_gone_leaves_nothing_behind(checkout: Path, tmp_path: Path) -> None:
    """When the message is removed, both files are what they were before."""
    again = tmp_path / "again"
    shutil.copytree(checkout, again)
    (again / _FILE).unlink()
    _run(again, "scripts/service_causes.py")
    for name in ("diagnose", "runbook.md"):
        (made,) = (again / "template").glob(f"{{{{*}}}}/ops/{name}")
        (before,) = (ROOT / "template").glob(f"{{{{*}}}}/ops/{name}")
        assert made.read_text(encoding="utf-8") == before.read_text(encoding="utf-8"), name
