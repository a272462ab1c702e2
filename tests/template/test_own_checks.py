"""A generated service passes its own tests and checks right after it was generated."""

import re

import pytest

from tests.template.conftest import Service


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("check", r"All checks passed!\n(.*\n)*\d+ files already formatted\n(.*\n)*Success: no issues found"),
        ("test", r"\d\d passed in"),
    ],
)
def test_its_own_make_target_passes(service: Service, target: str, expected: str) -> None:
    """``make check`` and ``make test`` succeed; nothing is skipped."""
    done = service.make(target)
    assert done.returncode == 0, done.stdout
    assert re.search(expected, done.stdout), done.stdout
    assert "skipped" not in done.stdout


def test_its_checks_compare_nginx_gunicorn_and_compose(service: Service) -> None:
    """Where no502 is installed, as here, the doctor is part of ``make check``: clean, until a number is wrong."""
    compose = service.directory / "compose.yaml"
    right = compose.read_text(encoding="utf-8")
    try:
        assert "\n0 errors, 0 warnings, 0 not checked\n" in service.make("check").stdout
        compose.write_text(re.sub(r"stop_grace_period: \d+s", "stop_grace_period: 1s", right), encoding="utf-8")
        assert "S501 warning" in service.make("check").stdout
    finally:
        compose.write_text(right, encoding="utf-8")


def test_its_checks_can_fail(service: Service) -> None:
    """A type error, a lint error and a stop_grace_period that is too short are found."""
    module = service.directory / "app" / "wrong.py"
    compose = service.directory / "compose.yaml"
    right = compose.read_text(encoding="utf-8")
    try:
        module.write_text('"""Wrong."""\n\nNUMBER: int = "text"\n', encoding="utf-8")
        assert "Incompatible types in assignment" in service.make("check").stdout
        module.write_text("import os\n", encoding="utf-8")
        assert "F401" in service.make("check").stdout
        compose.write_text(re.sub(r"stop_grace_period: \d+s", "stop_grace_period: 10s", right), encoding="utf-8")
        assert "compose.yaml: set stop_grace_period of backend to" in service.make("test").stdout
    finally:
        module.unlink()
        compose.write_text(right, encoding="utf-8")
