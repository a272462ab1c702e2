"""The check of the project's words: what it must find and what it must leave alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
from check_words import findings

from tests.support.commands import ROOT

_WRONG = {
    "Nobody listens.": "name the actor",
    '"""Nobody listens."""': "name the actor",
    "whoever sends requests": "name the actor",
    "without anybody noticing": "name the actor",
    "Why max_requests makes 502s": "causes 502s",
    "nginx repeats other methods": "nginx retries",
    "never repeats a POST": "retries",
    "Who waits less closes first": "shorter timeout",
    "the application goes on for no client": "disconnected",
    "one that leaves closes the connection": "recycled worker",
    "A client can not know.": "cannot",
    "can\n# not": "cannot",
    "inside of the container": "inside",
    "the timeout of what stands before nginx": "front proxy",
    "the old version serves on, until it is replaced": "keeps serving",
    "after the order to leave": "SIGTERM",
    "it was killed for its memory": "OOM-killed",
    "the control group's quota": "cgroup",
    "a location that passes requests on": "proxies",
    "no second attempts": "retry",
}
_RIGHT = [
    "nginx's workers run as `nobody`",
    "nobody:nogroup",
    'user: "nobody"',
    "it can not only read but write",
    "gunicorn serves on port 8000",
    "inside the container",
    "it cannot know",
    "in order to stop it",
    "the second attempted fix",
]


@pytest.mark.parametrize("text", _WRONG)
def test_a_phrase_is_found(text: str) -> None:
    """Each phrase of the list is found once, with its replacement, across a line break too."""
    [finding] = findings("a.md", text)
    assert _WRONG[text] in str(finding)


@pytest.mark.parametrize("text", _RIGHT)
def test_what_is_right_is_left_alone(text: str) -> None:
    """Names, and words that only look alike, are not found."""
    assert list(findings("a.md", text)) == []


def test_a_finding_has_its_place() -> None:
    """File, line, phrase and replacement are in the message."""
    [finding] = findings("docs/a.md", "one\ntwo inside of three")
    assert str(finding) == "docs/a.md:2: 'inside of': write inside, or in"


def _run(*paths: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "check_words.py"), *paths]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_exit_codes() -> None:
    """0 where nothing is found, 2 for a path that is not there."""
    assert _run("LICENSE").returncode == 0
    assert _run("no/such/place").returncode == 2


def test_the_documentation_is_clean() -> None:
    """The documentation's own pages, the README and the changelog have none of the phrases."""
    how_to = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs" / "how-to").glob("*.md"))
    done = _run(
        *(page for page in how_to if not page.endswith("/doctor.md")),
        *("README.md", "docs/index.md", "docs/tutorial.md", "docs/case-study.md", "docs/glossary.md", "docs/faq.md"),
        *("docs/measurements.md", "docs/upstream.md", "docs/explanation", "docs/platforms"),
        *("docs/reference/front-proxy-codes.md", "docs/lab.md", "CHANGELOG.md"),
    )
    assert done.returncode == 0, done.stdout
