"""SARIF 2.1.0, for code scanning: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from no502 import __version__
from no502.addresses import page_address
from no502.doctor.check import Result
from no502.doctor.finding import Finding, Severity
from no502.doctor.model import Origin
from no502.doctor.pages import page
from no502.doctor.registry import Rule, rules

__all__ = ["to_sarif"]

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def to_sarif(result: Result, name_of: Callable[[str], str]) -> str:
    """Return the report; ``name_of`` gives a file's name relative to the working directory."""
    used = sorted({finding.rule for finding in result.findings})
    driver = {
        "name": "no502 doctor",
        "semanticVersion": __version__,
        "rules": [_rule(rules()[rule]) for rule in used],
    }
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "columnKind": "utf16CodeUnits",
        "results": [_result(finding, used.index(finding.rule), name_of) for finding in result.findings],
    }
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(log, indent=2, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.slug,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.summary},
        "help": {"text": f"no502 doctor explain {rule.id}", "markdown": page(rule)},
        "helpUri": page_address(f"doctor/{rule.id}.md") or rule.source,
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, index: int, name_of: Callable[[str], str]) -> dict[str, Any]:
    parts = [finding.message, finding.consequence and f"Users see: {finding.consequence}", finding.fix]
    found: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": "\n".join(part for part in parts if part)},
        "locations": [_location(finding.where, name_of)],
        "partialFingerprints": {"no502/v1": finding.fingerprint},
        "properties": {"confidence": finding.confidence.value},
    }
    if finding.related:
        found["relatedLocations"] = [
            {"id": number, **_location(origin, name_of), "message": {"text": says}}
            for number, (origin, says) in enumerate(finding.related, 1)
        ]
    return found


def _location(origin: Origin, name_of: Callable[[str], str]) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(name_of(origin.file))}}
    if origin.line is not None:
        physical["region"] = {"startLine": origin.line}
    return {"physicalLocation": physical}
