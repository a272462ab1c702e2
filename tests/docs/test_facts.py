"""The fact table: each claim has a source and a date, and generated rows are what the declarations and programs say."""

from __future__ import annotations

import re
from importlib.metadata import version

import fact_table
import pytest

from no502.doctor.readers.gunicorn_defaults import GUNICORN, UVICORN
from tests.support.commands import ROOT

_TEXT = fact_table.PAGE.read_text(encoding="utf-8")
_ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in _TEXT.splitlines()
    if line.startswith("| ") and line != fact_table.HEAD
]
_DATE = re.compile(r"(?:2026-(?:0[1-9]|1[0-2])(?:-[0-3]\d)?|November 2026)")
_SOURCE = re.compile(r"\]\(https://|\.(?:c|py)`|\bruns?\b|nginx|gunicorn|uvicorn|`tests/", re.IGNORECASE)
_LINK = re.compile(r"\]\(([^)#\s]+)")


def test_the_table_is_there() -> None:
    """It has at least a hundred rows, written by hand and generated."""
    assert len(_ROWS) > 100


def test_every_row_has_its_cells() -> None:
    """Claim, page, source and date: none is empty."""
    assert [row for row in _ROWS if len(row) != 4 or not all(row)] == []


def test_every_claim_stands_once() -> None:
    """No claim is in two rows."""
    claims = [row[0] for row in _ROWS]
    assert sorted(claims) == sorted(set(claims))


def test_every_row_has_a_date() -> None:
    """The date is a day, or a month."""
    assert [row for row in _ROWS if not _DATE.fullmatch(row[3])] == []


def test_every_row_has_a_source() -> None:
    """The source is a page, a file of a program, or a run."""
    assert [row for row in _ROWS if not _SOURCE.search(row[2])] == []


def test_every_row_names_a_page_of_this_project() -> None:
    """Where the claim is used is a link to a file that exists."""
    used = {row[1]: _LINK.search(row[1]) for row in _ROWS}
    missing = [
        text
        for text, link in used.items()
        if link is None or not (fact_table.PAGE.parent / link[1]).resolve().is_file()
    ]
    assert missing == []


def test_files_of_this_project_that_a_source_names_exist() -> None:
    """A test that a source names is there."""
    named = {name for row in _ROWS for name in re.findall(r"`((?:tests|benchmarks)/[\w./-]+)`", row[2])}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_generated_rows_are_what_the_declarations_give() -> None:
    """Writing the tables anew changes nothing."""
    assert fact_table.filled(_TEXT) == _TEXT


@pytest.mark.parametrize("name", fact_table.TABLES)
def test_every_generated_table_is_on_the_page(name: str) -> None:
    """The page has a place for each table, and it is not empty."""
    block = _TEXT.split(f"<!-- facts: {name} -->")[1].split("<!-- end of the facts -->")[0]
    assert block.count("\n| ") > 3


def test_a_changed_row_is_noticed() -> None:
    """A generated row that does not say what its declaration says is written anew."""
    changed = _TEXT.replace("gunicorn's `keepalive` is `2`", "gunicorn's `keepalive` is `5`")
    assert changed != _TEXT
    assert fact_table.filled(changed) == _TEXT


@pytest.mark.skipif(not version("gunicorn").startswith("27."), reason="the declared defaults are gunicorn 27's")
def test_gunicorns_defaults_are_its_own() -> None:
    """The declared defaults are those of the installed gunicorn."""
    from gunicorn.config import KNOWN_SETTINGS

    own = {setting.name: setting.default for setting in KNOWN_SETTINGS}
    compared = {name: default for name, default in GUNICORN.items() if name not in {"bind", "certfile", "keyfile"}}
    assert compared == {name: own[name] for name in compared}


@pytest.mark.skipif(not version("uvicorn").startswith("0.54."), reason="the declared defaults are uvicorn 0.54's")
def test_uvicorns_defaults_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The declared defaults are those of the installed uvicorn."""
    from uvicorn import Config
    from uvicorn.main import main

    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    own = {flag: option.default for option in main.params for flag in option.opts}
    own["--forwarded-allow-ips"] = Config("app:app").forwarded_allow_ips
    names = ("--timeout-keep-alive", "--timeout-graceful-shutdown", "--limit-concurrency", "--backlog")
    compared = {name: UVICORN[name][1] for name in (*names, "--forwarded-allow-ips")}
    assert compared == {name: own[name] for name in compared}
