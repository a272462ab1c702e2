"""The formats: JSON by its schema, SARIF by its required structure, GitHub's escaping, text for people."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from no502.doctor.check import Result, check
from no502.doctor.finding import Finding, Severity
from no502.doctor.model import Address, NotChecked, Origin
from no502.doctor.pages import page
from no502.doctor.registry import rules
from no502.doctor.reports.github import to_github
from no502.doctor.reports.json_report import SCHEMA_VERSION, to_json
from no502.doctor.reports.sarif import to_sarif
from no502.doctor.reports.text import concise, text
from tests.doctor.build import app, deployment, nginx
from tests.support.commands import ROOT


@pytest.fixture(name="result")
def _result() -> Result:
    """A race between nginx and gunicorn, and something that was not checked."""
    target = deployment(nginx(Address(host="127.0.0.1", port=8000)), app())
    result = check(target, [rules()["K201"], rules()["T301"]])
    result.not_checked.append(NotChecked(what="the tea", why="it is hot", origin=Origin(file="pot", line=3)))
    return result


def same(file: str) -> str:
    """Return the name of a file as it is."""
    return file


def test_text_has_both_sides_and_a_last_line(result: Result) -> None:
    """Where, what, the other side, what users see, the fix; areas without findings have a mark of their own."""
    shown = text(result, [rules()["K201"], rules()["T301"]])
    joined = " ".join(shown.split())
    assert "[✗] Keep-alive gunicorn.conf.py:1: K201 error: gunicorn closes idle connections after 2 s" in joined
    assert "nginx.conf:2: upstream app: keepalive_timeout 60 s" in joined
    assert "users see: a POST gets 502" in joined
    assert "fix: Set the application's keep-alive above" in joined
    assert "[✓] Timeouts" in joined
    assert shown.endswith("\n1 error, 0 warnings, 1 not checked\n")


def test_text_for_a_terminal_without_unicode(result: Result) -> None:
    """The marks have an ASCII form."""
    shown = text(result, [rules()["K201"], rules()["T301"]], unicode=False)
    assert shown.isascii()
    assert "[x] Keep-alive" in shown
    assert "[ok] Timeouts" in shown


def test_a_clean_run_says_what_it_looked_at() -> None:
    """Files, nginx with its version, servers with their numbers."""
    target = deployment(nginx(Address(host="127.0.0.1", port=8000)), app(keepalive=75))
    shown = " ".join(text(check(target, [rules()["K201"]]), [rules()["K201"]]).split())
    assert shown.startswith("Looked at 2 files: nginx.conf, gunicorn.conf.py")
    assert "nginx 1.30.0: 1 proxied location" in shown
    assert "keepalive 75 s" in shown
    assert shown.endswith("0 errors, 0 warnings, 0 not checked")


def test_concise_is_one_line_for_each(result: Result) -> None:
    """Editors and grep understand ``file:line: ID severity: message``."""
    first, last = concise(result).splitlines()
    assert first.startswith("gunicorn.conf.py:1: K201 error: ")
    assert last == "1 error, 0 warnings, 1 not checked"


def test_json_is_what_the_schema_says(result: Result) -> None:
    """Validated, with the schema's own check; a report with a wrong severity is not valid."""
    schema = json.loads((ROOT / "docs" / "doctor" / "report.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    report = json.loads(to_json(result))
    Draft202012Validator(schema).validate(report)
    assert report["schema_version"] == SCHEMA_VERSION
    assert report["effective"]["servers"][0]["settings"]["keepalive"]["value"] == 2
    assert report["summary"]["error"] == 1
    report["findings"][0]["severity"] = "fatal"
    assert not Draft202012Validator(schema).is_valid(report)


def test_sarif_has_what_2_1_0_requires(result: Result) -> None:
    """Rule and index agree, level, both files, a link, lines from 1 on."""
    log: dict[str, Any] = json.loads(to_sarif(result, same))
    assert log["version"] == "2.1.0"
    assert len(log["runs"]) == 1
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    (found,) = run["results"]
    rule = driver["rules"][found["ruleIndex"]]
    assert driver["name"]
    assert rule["id"] == found["ruleId"] == "K201"
    assert rule["helpUri"].startswith("https://")
    assert rule["help"]["markdown"] == page(rules()["K201"])
    assert found["level"] == "error"
    assert found["message"]["text"]
    (place,) = found["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "gunicorn.conf.py"},
        "region": {"startLine": 1},
    }
    (other,) = found["relatedLocations"]
    assert other["physicalLocation"]["artifactLocation"]["uri"] == "nginx.conf"
    assert other["message"]["text"]
    assert found["partialFingerprints"]


def test_github_escapes_properties_and_data(result: Result) -> None:
    """Percent signs, line breaks, and in properties colons and commas."""
    odd = Finding(
        rule="K201",
        severity=Severity.INFO,
        message="100 % of\nthem",
        where=Origin(file="a,b:c%.conf", line=7),
        fix="now",
    )
    result.findings = [odd]
    first = to_github(result, same).splitlines()[0]
    expected = "::notice file=a%2Cb%3Ac%25.conf,line=7,title=K201 keepalive-shorter-than-proxy::"
    assert first == expected + "100 %25 of%0Athem%0AFix: now"


@pytest.mark.parametrize("rule", sorted(rules()))
def test_every_rule_has_a_page(rule: str) -> None:
    """With its summary as the title, its slug and its source."""
    shown = page(rules()[rule])
    assert shown.startswith(f"# {rule}: {rules()[rule].summary}\n")
    assert f"`{rules()[rule].slug}`" in shown
    assert rules()[rule].source in shown


def test_no_page_without_a_rule() -> None:
    """Ids are never reused, and pages of none are none."""
    pages = {path.stem for path in Path(ROOT, "docs", "doctor").glob("[A-Z][0-9]*.md")}
    assert {name for name in pages if name[0] != "L"} == set(rules())
