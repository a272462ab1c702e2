"""The table of nginx's defaults and versions, and the comments of the files that ship."""

import re

import pytest

from no502.nginx import versions
from tests.support.commands import ROOT

_DEFAULT = re.compile(r" *# Default: (.*)")
_LINK = re.compile(r" *# https://nginx\.org/en/docs/(?:\S+/)?(ngx_\w+)\.html#(\w+)")
_SINCE = re.compile(r"^ *(\w+) .*;\s+# since (\d+\.\d+\.\d+)$", re.MULTILINE)

_OTHERWISE = {
    "client_body_temp_path": "a path that distributions build in",
    "keepalive": "32 local since 1.29.7, none before",
    "listen": "*:8000 is for an nginx that is not root",
    "log_format": "the whole format",
    "pid": "a path that distributions build in",
}
"""Defaults that the comment says in other words than the documentation, and why."""


def _files() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "nginx").rglob("*.conf*"))


def _commented(name: str) -> list[tuple[str, str, str]]:
    """Return module, directive and default of each comment in a file."""
    found, text = [], ""
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if match := _DEFAULT.match(line):
            text = match[1]
        elif text and (match := _LINK.match(line)):
            found.append((match[1], match[2], text))
            text = ""
    return found


@pytest.mark.parametrize("name", _files())
def test_comments_have_the_documented_defaults(name: str) -> None:
    """What a comment calls the default is what nginx's documentation says, where that says one."""
    documented = {(one.module, one.name): one.default for one in versions.directives()}
    wrong = [
        (directive, text, documented[module, directive])
        for module, directive, text in _commented(name)
        if directive not in _OTHERWISE and documented[module, directive] not in text
    ]
    assert wrong == []


def test_the_exceptions_are_needed() -> None:
    """Each directive of the list of exceptions is in a file, and its comment is not the documentation's text."""
    documented = {(one.module, one.name): one.default for one in versions.directives()}
    different = {
        directive
        for name in _files()
        for module, directive, text in _commented(name)
        if documented[module, directive] not in text
    }
    assert different == set(_OTHERWISE)


def test_many_comments_were_compared() -> None:
    """The files have dozens of such comments."""
    assert sum(len(_commented(name)) for name in _files()) > 50


@pytest.mark.parametrize("name", _files())
def test_lines_for_newer_versions_have_the_documented_one(name: str) -> None:
    """``; # since 1.27.4`` at the end of a line is the first version of its directive."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for directive, since in _SINCE.findall(text):
        version = versions.directive(directive, "server").since
        assert version is not None
        assert versions.dotted(version) == since


@pytest.mark.parametrize(
    ("constant", "name", "context"),
    [
        (versions.HTTP2_DIRECTIVE, "http2", "server"),
        (versions.UPSTREAM_RESOLVER, "resolver", "upstream"),
        (versions.KEEPALIVE_MIN_TIMEOUT, "keepalive_min_timeout", "server"),
    ],
)
def test_constants_are_the_documented_versions(constant: versions.Version, name: str, context: str) -> None:
    """A constant that the documentation has as a field is that field."""
    assert versions.directive(name, context).since == constant


@pytest.mark.parametrize(
    ("name", "context", "seconds"),
    [("keepalive_timeout", "server", 75), ("keepalive_timeout", "upstream", 60), ("keepalive_time", "upstream", 3600)],
)
def test_times_are_seconds(name: str, context: str, seconds: float) -> None:
    """One name has a default of its own in each context."""
    assert versions.default_seconds(name, context) == seconds


@pytest.mark.parametrize(
    ("name", "context"),
    [("proxy_read_timout", "location"), ("proxy_pass", "location"), ("proxy_read_timeout", "events")],
)
def test_what_has_no_default_time_is_an_error(name: str, context: str) -> None:
    """A misspelt name, a directive without a default and a context where it cannot stand are told apart from zero."""
    with pytest.raises(KeyError, match=name):
        versions.default_seconds(name, context)
