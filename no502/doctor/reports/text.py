"""For people: grouped by area, both sides of each finding, one final line."""

from __future__ import annotations

import textwrap

from no502.doctor.check import Result
from no502.doctor.coverage import NOTHING
from no502.doctor.facts import name_of, seconds, value
from no502.doctor.finding import Confidence, Finding, Severity
from no502.doctor.model import Deployment, Origin, Version
from no502.doctor.registry import AREAS, Rule
from no502.doctor.secrets import printable

__all__ = ["concise", "summary", "text"]

_WIDTH = 110
_NAMED = 8
_MARKS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "i"}


def text(result: Result, selected: list[Rule], *, unicode: bool = True) -> str:
    """Return the report; without ``unicode`` in ASCII only."""
    lines = [*_looked_at(result.deployment), ""]
    for letter, area in AREAS.items():
        findings = [finding for finding in result.findings if finding.rule[0] == letter]
        rules = [rule for rule in selected if rule.id[0] == letter]
        if not rules or (letter == "E" and not findings):
            continue
        mark = min((f.severity for f in findings), key=lambda s: s.rank, default=None)
        if mark is None and letter not in result.compared:
            lines += _wrap(f"[-] {area}: {result.without.get(letter, NOTHING)}", 0)
            continue
        lines.append(f"[{_MARKS[mark] if mark else '✓'}] {area}")
        for finding in findings:
            lines += _block(finding)
    if result.not_checked:
        lines.append("[?] Not checked")
        for gap in result.not_checked:
            lines += _wrap(f"{_at(gap.origin)}: {gap.what}: {gap.why}", 4)
    lines += ["", summary(result)]
    shown = "\n".join(lines) + "\n"
    return shown if unicode else shown.translate({ord("✗"): "x", ord("✓"): "ok"}).encode("ascii", "replace").decode()


def _looked_at(deployment: Deployment) -> list[str]:
    files = deployment.looked_at
    names = ", ".join(files[:_NAMED]) + (f" and {len(files) - _NAMED} more" if len(files) > _NAMED else "")
    lines = _wrap(f"Looked at {_count(len(files), 'file')}: {names}" if files else "Looked at no file", 0)
    for nginx in deployment.nginx:
        versions = " or ".join(_version(version) for version in nginx.versions)
        lines += _wrap(f"nginx {versions}: {_count(len(nginx.locations), 'proxied location')}, {nginx.origin.file}", 2)
    for server in deployment.servers:
        bind = value(server.settings.bind)
        where = f" on {', '.join(map(str, bind))}" if bind else ""
        limits = [
            f"{name} {seconds(number)}"
            for name in ("timeout", "graceful_timeout", "keepalive")
            if isinstance(number := value(server.settings.fact(name)), (int, float))
        ]
        kind = value(server.settings.worker_class)
        details = ", ".join([*([str(kind)] if kind else []), *limits])
        sure = f" (likely: {server.note})" if server.note else " (likely)" if server.likely else ""
        lines += _wrap(f"{name_of(server)}{where}{sure}: {details or 'nothing known'}, {server.origin}", 2)
    return lines


def _version(version: Version) -> str:
    return ".".join(map(str, version))


def _block(finding: Finding) -> list[str]:
    sure = "" if finding.confidence is Confidence.CERTAIN else f" ({finding.confidence})"
    lines = _wrap(f"{_place(finding)}: {finding.rule} {finding.severity}: {finding.message}{sure}", 4)
    for origin, says in finding.related:
        lines += _wrap(f"{origin}: {says}", 8)
    if finding.consequence:
        lines += _wrap(f"users see: {finding.consequence}", 8)
    if finding.fix:
        lines += _wrap(f"fix: {finding.fix}", 8)
    return lines


def _place(finding: Finding) -> str:
    return _at(finding.where)


def _at(where: Origin) -> str:
    return where.file if where.line is None else f"{where.file}:{where.line}"


def _wrap(line: str, indent: int) -> list[str]:
    return textwrap.wrap(
        printable(line),
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summary(result: Result) -> str:
    """Return the final line: ``3 errors, 5 warnings, 2 not checked``."""
    parts = [_count(result.count(Severity.ERROR), "error"), _count(result.count(Severity.WARNING), "warning")]
    if result.count(Severity.INFO):
        parts.append(f"{result.count(Severity.INFO)} info")
    parts.append(f"{len(result.not_checked)} not checked")
    if result.suppressed:
        parts.append(f"{result.suppressed} suppressed")
    if result.known:
        parts.append(f"{result.known} in the baseline")
    return ", ".join(parts)


def concise(result: Result) -> str:
    """Return one line for each finding and the final line."""
    lines = [printable(f"{_place(f)}: {f.rule} {f.severity}: {f.message}") for f in result.findings]
    return "\n".join([*lines, summary(result)]) + "\n"
