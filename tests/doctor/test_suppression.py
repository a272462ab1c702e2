"""Suppression comments: a reason is mandatory, and one that is not needed is reported."""

import pytest

from no502.doctor.check import Result, check
from no502.doctor.model import Address
from no502.doctor.registry import rules
from tests.doctor.build import app, deployment, nginx

_LINES = [f"# line {number}" for number in range(1, 12)]


def run(comment: str, line: int, file: str = "start.sh") -> Result:
    """Check a deployment with one K201 (at start.sh:1 and nginx.conf:2) and a comment in one of its files."""
    texts = {"start.sh": list(_LINES), "nginx.conf": list(_LINES), "gunicorn.conf.py": list(_LINES)}
    texts[file][line - 1] = comment
    target = deployment(nginx(Address(host="127.0.0.1", port=8000)), app())
    target.looked_at = list(texts)
    selected = [rules()["K201"], rules()["C099"]]
    return check(target, selected, lambda name: "\n".join(texts[name]))


@pytest.mark.parametrize(
    ("comment", "line", "file"),
    [
        ("keepalive = 2  # doctor: ignore[K201] measured, no POST here", 1, "gunicorn.conf.py"),
        ("# doctor: ignore[keepalive-shorter-than-proxy] measured", 1, "nginx.conf"),
        ("server app;  # doctor: ignore[K] measured", 2, "nginx.conf"),
        ("# doctor: ignore-file[K201,R401] measured", 9, "nginx.conf"),
    ],
)
def test_a_comment_with_a_reason_suppresses(comment: str, line: int, file: str) -> None:
    """On the line or the line before, on either side, by id, slug or letter, or for a file."""
    result = run(comment, line, file)
    assert result.findings == []
    assert result.suppressed == 1


@pytest.mark.parametrize(
    ("comment", "line", "says"),
    [
        ("# doctor: ignore[K201]", 1, "it gives no reason"),
        ("# doctor: ignore all of it", 1, "it names no rule"),
        ("# doctor: ignore[K999] because", 1, "no rule is called 'K999'"),
        ("# doctor: ignore[K201] too far away", 5, "no K201 here"),
    ],
)
def test_a_comment_that_does_nothing_is_reported(comment: str, line: int, says: str) -> None:
    """The finding stays, and C099 names the comment and what is wrong with it."""
    result = run(comment, line, "nginx.conf")
    assert [finding.rule for finding in result.findings] == ["K201", "C099"]
    assert says in result.findings[1].message
    assert result.findings[1].where.line == line


def test_a_rule_that_was_not_asked_for_is_not_unused() -> None:
    """``--select K`` says nothing about a comment for R401."""
    result = run("# doctor: ignore[R401] one peer at a time", 3, "nginx.conf")
    assert [finding.rule for finding in result.findings] == ["K201"]
