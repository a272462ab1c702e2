"""What a new rule takes: one module, one page, and the example on that page is its test."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MODULE = '''"""Z: a rule that was not there before."""

from collections.abc import Iterator

from no502.doctor.finding import Finding, Severity
from no502.doctor.model import AppServer, Deployment
from no502.doctor.registry import rule

__all__: list[str] = []


@rule("B799", "many-workers", Severity.WARNING, "a server has a great many workers", source="https://example.com/",
      per=AppServer, once=lambda server: server.origin.file)
def _many_workers(server: AppServer, _: Deployment) -> Iterator[Finding]:
    if "97" in (server.command.value or ()):
        yield _many_workers.finding("97 workers", server.origin, fix="Fewer.")
'''
_PAGE = "# B799: x\n\nx\n\nEach worker takes memory.\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of what the doctor and its index are made from."""
    for name in ("no502", "docs/doctor", "nginx"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in (
        "mkdocs.yml",
        "scripts/doctor_index.py",
        "gunicorn_conf.py",
        "gunicorn_handover.py",
        "gunicorn_arbiter.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the copy before the installed package."""
    command = [sys.executable, *words]
    environment = {"PYTHONPATH": str(project), "PATH": "/usr/bin:/bin", "COLUMNS": "100"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_a_rule_is_one_module_and_one_page(project: Path) -> None:
    """Two files by hand; the index and the navigation follow, and every command knows the rule."""
    before = {path for path in project.rglob("*") if path.is_file()}
    (project / "no502/doctor/rules/many.py").write_text(_MODULE, encoding="utf-8")
    stale = run(project, "scripts/doctor_index.py", "--check")
    assert stale.returncode == 1
    assert "docs/doctor/B799.md is missing" in stale.stderr
    (project / "docs/doctor/B799.md").write_text(_PAGE, encoding="utf-8")
    by_hand = {path for path in project.rglob("*") if path.is_file() and "__pycache__" not in path.parts} - before
    assert len(by_hand) == 2
    assert run(project, "scripts/doctor_index.py").returncode == 0
    assert run(project, "scripts/doctor_index.py", "--check").returncode == 0
    assert "[B799](B799.md) `many-workers`" in (project / "docs/doctor/index.md").read_text(encoding="utf-8")
    page = (project / "docs/doctor/B799.md").read_text(encoding="utf-8")
    assert page.startswith("# B799: a server has a great many workers\n\n- Severity: warning\n")
    assert "or `many-workers`\n\nEach worker takes memory.\n\n## How to verify\n" in page
    assert "doctor/B708.md\n          - doctor/B799.md\n" in (project / "mkdocs.yml").read_text(encoding="utf-8")
    (project / "x").mkdir()
    (project / "x/Procfile").write_text("web: gunicorn -w 97 a:b\nmore: gunicorn -w 97 c:d\n", encoding="utf-8")
    found = run(project, "-m", "no502", "doctor", "x", "--select", "many-workers", "--format", "concise")
    assert found.stdout.count("B799") == 1, found.stderr
    assert "many-workers" in run(project, "-m", "no502", "doctor", "rules").stdout
