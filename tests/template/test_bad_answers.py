"""Answers that would give a broken service are refused, all at once, and nothing is left behind."""

from pathlib import Path

import pytest

from tests.support.template import bake, cookiecutter

_TEXT = 'printable characters, no spaces around, none of " \\ ` < >'
_SLUG = "must be a name whose short form has a-z, 0-9 and '-' only, a letter first and at most 60 characters, not"
_DOMAIN = "must be a host name in lower case such as api.example.com: no scheme, port, path or wildcard"
_SECONDS = "must be whole seconds from 10 to 86400"
_PYTHON = "must be one of 3.14, 3.15, 3.13, 3.12, 3.11"


def _refused(tmp_path: Path, answers: dict[str, str]) -> list[str]:
    """Generate with these answers, expect a refusal, and return its lines."""
    out = tmp_path / "out"
    out.mkdir()
    home = tmp_path / "home"
    done = cookiecutter(home, "--output-dir", out, *(f"{key}={value}" for key, value in answers.items()))
    assert done.returncode == 1, done.stdout
    assert list(out.iterdir()) == []
    return [line for line in done.stderr.splitlines() if ": must be " in line]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("project_name", 'Say "hello"', f"must be 1 to 60 {_TEXT}"),
        ("project_name", "back\\slash", f"must be 1 to 60 {_TEXT}"),
        ("project_name", "line\nbreak", f"must be 1 to 60 {_TEXT}"),
        ("project_name", " space", f"must be 1 to 60 {_TEXT}"),
        ("project_name", "", f"must be 1 to 60 {_TEXT}"),
        ("project_name", "n" * 61, f"must be 1 to 60 {_TEXT}"),
        ("project_name", "!!!", f"{_SLUG} '-'"),
        ("project_name", "24 hours", f"{_SLUG} '24-hours'"),
        ("project_name", "FastAPI", "must be a name of its own: 'fastapi' is taken by a part of the service"),
        ("description", "d" * 101, f"must be 1 to 100 {_TEXT}"),
        ("author", "Ada <ada@example.com>", f"must be 1 to 80 {_TEXT}"),
        ("python_version", "3.9", _PYTHON),
        ("python_version", "3", _PYTHON),
        ("domain", "https://example.com", _DOMAIN),
        ("domain", "example.com:443", _DOMAIN),
        ("domain", "*.example.com", _DOMAIN),
        ("domain", "Example.com", _DOMAIN),
        ("domain", "a..b", _DOMAIN),
        ("domain", "-a.example.com", _DOMAIN),
        ("domain", "l" * 64, _DOMAIN),
        ("domain", "", _DOMAIN),
        ("proxy_read_timeout", "9", _SECONDS),
        ("proxy_read_timeout", "86401", _SECONDS),
        ("proxy_read_timeout", "180s", _SECONDS),
        ("proxy_read_timeout", "60.0", _SECONDS),
        ("proxy_read_timeout", "-180", _SECONDS),
        ("proxy_read_timeout", "٦٠", _SECONDS),
        ("proxy_read_timeout", "", _SECONDS),
    ],
)
def test_a_bad_answer_is_named_with_what_is_allowed(tmp_path: Path, name: str, value: str, rule: str) -> None:
    """One bad answer gives one line: name, value, what is allowed."""
    good = {"project_name": "Good", "description": "Good.", "author": "Good"}
    assert _refused(tmp_path, {**good, name: value}) == [f"{name}={value!r}: {rule}"]


def test_all_bad_answers_are_named_at_once(tmp_path: Path) -> None:
    """One try tells every line."""
    answers = {
        "project_name": '"',
        "description": "`",
        "author": "\\",
        "python_version": "2.7",
        "domain": "/",
        "proxy_read_timeout": "soon",
    }
    assert [line.split("=", 1)[0] for line in _refused(tmp_path, answers)] == list(answers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project_name", "n" * 60),
        ("project_name", "x"),
        ("project_name", "Tests of FastAPI"),
        ("description", "d" * 100),
        ("python_version", "3.12"),
        ("domain", "localhost"),
        ("domain", "192.0.2.1"),
        ("domain", "l" * 63),
        ("proxy_read_timeout", "10"),
        ("proxy_read_timeout", "86400"),
    ],
)
def test_answers_at_the_limits_are_accepted(tmp_path: Path, name: str, value: str) -> None:
    """What is just allowed is not refused."""
    assert (bake(tmp_path, **{name: value}) / "app" / "main.py").is_file()
