"""``--fix``: what ``--diff`` prints is written, certain findings only."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from tests.doctor.report import write

COMPOSE = """services:
  shop:
    image: acme/shop:3
    stop_grace_period: 5s
    command: gunicorn shop:app -b 0.0.0.0:8000
"""


def test_certain_findings_are_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number changes on its line, the fixed finding is named, and the report is about the rest."""
    monkeypatch.chdir(write(tmp_path, {"compose.yaml": COMPOSE}))
    done = CliRunner().invoke(app, ["doctor", "--fix", "."])
    assert (tmp_path / "compose.yaml").read_text(encoding="utf-8") == COMPOSE.replace(": 5s", ": 40s")
    assert "fixed: compose.yaml:4: S501" in done.stderr
    assert "S501" not in done.stdout
    assert CliRunner().invoke(app, ["doctor", "--fix", "."]).stderr == ""


def test_likely_findings_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server behind an unknown word is judged, and changed only when that is asked for."""
    text = "web: acme-launcher gunicorn shop:app -w 4 --max-requests 100\n"
    monkeypatch.chdir(write(tmp_path, {"Procfile": text}))
    CliRunner().invoke(app, ["doctor", "--fix", "."])
    assert (tmp_path / "Procfile").read_text(encoding="utf-8") == text
    CliRunner().invoke(app, ["doctor", "--fix", "--unsafe-fixes", "."])
    assert "--max-requests-jitter 20" in (tmp_path / "Procfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [["doctor", "-h"], ["doctor", "check", "-h"], ["doctor", "explain", "-h"]])
def test_a_short_option_for_help(arguments: list[str]) -> None:
    """-h is --help."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert "Usage:" in done.stdout
