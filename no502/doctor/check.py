"""Run the rules over a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from no502.doctor.finding import Finding, Severity
from no502.doctor.links import unlinked
from no502.doctor.model import Deployment, NotChecked
from no502.doctor.registry import AREAS, Rule
from no502.doctor.suppress import apply, read_suppressions
from no502.doctor.unknown import unknown

__all__ = ["Result", "check", "findings_of"]


@dataclass(kw_only=True)
class Result:
    """What a run found out."""

    deployment: Deployment
    findings: list[Finding]
    not_checked: list[NotChecked]
    suppressed: int = 0
    known: int = 0
    """Findings that the baseline holds already."""

    def worst(self) -> Severity | None:
        """Return the most severe outcome."""
        return min((finding.severity for finding in self.findings), key=lambda s: s.rank, default=None)

    def count(self, severity: Severity) -> int:
        """Return how many findings there are of one severity."""
        return sum(finding.severity is severity for finding in self.findings)


def findings_of(deployment: Deployment, selected: Iterable[Rule]) -> list[Finding]:
    """Return what the selected rules find, the readers' own problems included, in the order of the report."""
    chosen = {rule.id: rule for rule in selected}
    found: list[Finding] = []
    for rule in chosen.values():
        if rule.check is not None:
            found += rule.check(deployment)
    for problem in deployment.problems:
        rule_of = chosen.get(problem.rule)
        if rule_of is not None:
            found.append(rule_of.finding(problem.message, problem.origin, fix=problem.fix))
    unique = dict.fromkeys(found)
    areas = list(AREAS)
    return sorted(
        unique,
        key=lambda f: (areas.index(f.rule[0]), f.severity.rank, f.rule, f.where.file, f.where.line or 0, f.message),
    )


def check(
    deployment: Deployment, selected: Sequence[Rule], text_of: Callable[[str], str | None] = lambda _: None
) -> Result:
    """Return the result of the selected rules.

    Args:
        deployment: What the readers found.
        selected: Rules to look for.
        text_of: Gives a file's text by the name that origins use, for suppression comments; None for none.
    """
    found = findings_of(deployment, selected)
    asked = {rule.id for rule in selected}
    comments = []
    for file in deployment.looked_at:
        text = text_of(file)
        if text is not None:
            comments += list(read_suppressions(file, text))
    left, covered = apply(found, comments, asked.__contains__)
    left = [finding for finding in left if finding.rule in asked]
    gaps = dict.fromkeys([*deployment.not_checked, *unlinked(deployment), *unknown(deployment)])
    return Result(deployment=deployment, findings=left, not_checked=list(gaps), suppressed=covered)
