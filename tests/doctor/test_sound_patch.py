"""A change of doctor after which a file could not be read is not offered, and doctor says so."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.parse import breaks, unreadable
from tests.doctor.report import write

HEAD = "x-app: &app\n  image: acme/shop:3\n  command: gunicorn shop:app -b 0.0.0.0:8000\nservices:\n"


@pytest.mark.parametrize(
    "service",
    [
        "  web: {<<: *app, ports: ['8000:8000']}\n",
        "  web: {<<: *app, ports: ['8000:8000']}   # ours\n",
        "  web: {\n    <<: *app,\n    ports: ['8000:8000'],\n  }\n",
        "  web: *app\n",
    ],
)
def test_service_in_braces(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line behind a mapping in braces would be no YAML: nothing is written or printed, and the reason is."""
    monkeypatch.chdir(write(tmp_path, {"compose.yaml": HEAD + service}))
    done = CliRunner().invoke(app, ["doctor", "--fix", "."])
    assert (tmp_path / "compose.yaml").read_text(encoding="utf-8") == HEAD + service
    assert "S501: no change is offered, because the changed file would not parse (line " in done.stderr
    assert "S501" in done.stdout
    printed = CliRunner().invoke(app, ["doctor", "--diff", "."])
    assert printed.stdout == ""
    assert "no change is offered" in printed.stderr


@pytest.mark.parametrize("service", ["  web:\n    <<: *app\n", "  web:  # {ours}\n    <<: *app\n"])
def test_service_in_blocks(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sound change is offered as before."""
    monkeypatch.chdir(write(tmp_path, {"compose.yaml": HEAD + service}))
    done = CliRunner().invoke(app, ["doctor", "--fix", "."])
    assert "    stop_grace_period: 40s\n    <<: *app\n" in (tmp_path / "compose.yaml").read_text(encoding="utf-8")
    assert "no change is offered" not in done.stderr


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("a.yaml", "a: 1\nb: 2\n", "a: 1\n b: 2\n"),
        ("twice.yml", "a: 1\n", "a: 1\na: 2\n"),
        ("pyproject.toml", "a = 1\n", "a = \n"),
        ("a.json", "{}", "{"),
        ("gunicorn.conf.py", "a = 1\n", "a = (\n"),
        ("nginx.conf", "events {}\n", "events {\n"),
        ("site.conf", "listen 80;\n", "listen 80;\n}\n"),
    ],
)
def test_each_format(name: str, good: str, bad: str) -> None:
    """Each format is read; a file that could not be read before either is no reason."""
    assert unreadable(name, good) is None
    assert unreadable(name, bad) is not None
    assert breaks(name, good, bad) is not None
    assert breaks(name, bad, bad) is None


def test_formats_without_a_parser() -> None:
    """What has no parser here, and a supervisord configuration, count as sound."""
    assert unreadable("Dockerfile", "FROM {") is None
    assert unreadable("supervisord.conf", "[program:web]\ncommand=gunicorn\n") is None
