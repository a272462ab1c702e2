"""Workflow commands that GitHub shows at the line.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-error-message
"""

from __future__ import annotations

from collections.abc import Callable

from no502.doctor.check import Result
from no502.doctor.finding import Finding, Severity
from no502.doctor.registry import rules
from no502.doctor.reports.text import summary
from no502.doctor.secrets import printable

__all__ = ["to_github"]

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def _data(text: str) -> str:
    text = "\n".join(printable(line) for line in text.split("\n"))
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")


def to_github(result: Result, name_of: Callable[[str], str]) -> str:
    """Return one command for each finding and the final line."""
    lines = [_command(finding, name_of) for finding in result.findings]
    return "\n".join([*lines, summary(result)]) + "\n"


def _command(finding: Finding, name_of: Callable[[str], str]) -> str:
    where = finding.where
    parts = [f"file={_property(name_of(where.file))}"]
    if where.line is not None:
        parts.append(f"line={where.line}")
    parts.append(f"title={_property(f'{finding.rule} {rules()[finding.rule].slug}')}")
    says = [finding.message, *(f"{origin}: {text}" for origin, text in finding.related)]
    says += [f"Users see: {finding.consequence}"] if finding.consequence else []
    says += [f"Fix: {finding.fix}"] if finding.fix else []
    return f"::{_COMMANDS[finding.severity]} {','.join(parts)}::{_data(chr(10).join(says))}"
