"""Run the rules over a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from no502.doctor.coverage import compared, gaps_of_areas
from no502.doctor.finding import Confidence, Finding, Severity
from no502.doctor.links import unlinked
from no502.doctor.model import Deployment, Gap, NotChecked, Origin
from no502.doctor.registry import AREAS, Rule
from no502.doctor.secrets import mask
from no502.doctor.suppress import apply, read_suppressions
from no502.doctor.unknown import unknown

__all__ = ["Result", "check", "findings_of", "merge"]

_SERVES = {Gap.CHART, Gap.COMMAND, Gap.PROGRAM, Gap.SERVER}
"""What may be the application server that was not found."""


@dataclass(kw_only=True)
class Result:
    """What a run found out."""

    deployment: Deployment
    findings: list[Finding]
    not_checked: list[NotChecked]
    compared: frozenset[str] = frozenset()
    """Letters of the areas in which something was compared."""
    without: Mapping[str, str] = field(default_factory=dict)
    """Why nothing was compared, by the letter of the area."""
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
    found = [finding for rule in chosen.values() for finding in rule.run(deployment)]
    likely = {(one.origin.file, one.origin.line) for one in deployment.servers if one.likely}
    return _in_order(_likely(finding, likely) for finding in found)


def _likely(finding: Finding, places: set[tuple[str, int | None]]) -> Finding:
    """Return a finding as likely where it is about a server that is not surely started like that."""
    origins = [finding.where, *(origin for origin, _ in finding.related)]
    if finding.confidence is Confidence.CERTAIN and any((one.file, one.line) in places for one in origins):
        return replace(finding, confidence=Confidence.LIKELY)
    return finding


def _in_order(findings: Iterable[Finding]) -> list[Finding]:
    areas = list(AREAS)
    return sorted(
        dict.fromkeys(findings),
        key=lambda f: (areas.index(f.rule[0]), f.severity.rank, f.rule, f.where.file, f.where.line or 0, f.message),
    )


def merge(results: Sequence[Result]) -> Result:
    """Return the results of several deployments as one."""
    whole = Deployment()
    for result in results:
        part = result.deployment
        whole.nginx += part.nginx
        whole.servers += part.servers
        whole.services += part.services
        whole.proxies += part.proxies
        whole.unreadable += [file for file in part.unreadable if file not in whole.unreadable]
        whole.looked_at += [file for file in part.looked_at if file not in whole.looked_at]
    gaps = list(dict.fromkeys(gap for result in results for gap in result.not_checked))
    if not whole.servers and whole.looked_at and not any(gap.kind in _SERVES for gap in gaps):
        why = "no command in these files starts gunicorn or uvicorn"
        origin = Origin(file=whole.looked_at[0])
        gaps.append(NotChecked(what="the application server", why=why, origin=origin, kind=Gap.SERVER))
    return Result(
        deployment=whole,
        findings=_in_order(finding for result in results for finding in result.findings),
        not_checked=gaps,
        compared=frozenset(letter for result in results for letter in result.compared),
        without={letter: why for result in reversed(results) for letter, why in result.without.items()},
        suppressed=sum(result.suppressed for result in results),
    )


def _one_side(deployment: Deployment) -> list[NotChecked]:
    """Return what is missing where there is only nginx or only an application."""
    proxies = [nginx for nginx in deployment.nginx if nginx.locations]
    if deployment.servers and not proxies and not deployment.proxies and deployment.front is None:
        why = "no nginx configuration in these files has proxy_pass"
        return [NotChecked(what="nginx", why=why, origin=deployment.servers[0].origin)]
    return []


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
    said = {(f.where.file, f.where.line) for f in found if f.rule in {"A101", "A102", "A107"}}
    gaps: dict[tuple[str, int | None, str], NotChecked] = {}
    gaps_of = [*deployment.not_checked, *_one_side(deployment)]
    unserved = [gap for gap in unlinked(deployment) if (gap.origin.file, gap.origin.line) not in said]
    for gap in [*gaps_of, *unserved, *unknown(deployment)]:
        gaps.setdefault((gap.origin.file, gap.origin.line, gap.name if gap.kind is Gap.DIRECTIVE else gap.what), gap)
    return Result(
        deployment=deployment,
        findings=[_clean(finding) for finding in left],
        not_checked=[_clean_gap(gap) for gap in _folded(gaps.values())],
        compared=compared(deployment),
        without=gaps_of_areas(deployment),
        suppressed=covered,
    )


def _folded(gaps: Iterable[NotChecked]) -> list[NotChecked]:
    """Return one line for each cause: what depends on the same thing is named together."""
    groups: dict[tuple[object, ...], list[NotChecked]] = {}
    for gap in gaps:
        alone = (gap.what, gap.why, gap.origin.file, gap.origin.line)
        key = (gap.kind, gap.whose, gap.why, gap.origin.file) if gap.whose or gap.kind is Gap.TARGET else alone
        groups.setdefault(key, []).append(gap)
    found = []
    for same in groups.values():
        first, names = same[0], ", ".join(dict.fromkeys(one.name for one in same))
        if first.kind is Gap.TARGET:
            first = replace(first, what=f"the address to which nginx connects at location {names}")
        elif first.name and first.whose:
            first = replace(first, what=f"{names} of {first.whose}")
        found.append(first)
    return found


def _clean(finding: Finding) -> Finding:
    """Return a finding without the secrets of the files that it quotes."""
    return replace(
        finding,
        message=mask(finding.message),
        where=_clean_origin(finding.where),
        related=tuple((_clean_origin(origin), mask(text)) for origin, text in finding.related),
        consequence=finding.consequence,
        fix=mask(finding.fix),
    )


def _clean_gap(gap: NotChecked) -> NotChecked:
    return replace(gap, what=mask(gap.what), why=mask(gap.why), origin=_clean_origin(gap.origin))


def _clean_origin(origin: Origin) -> Origin:
    return replace(origin, note=mask(origin.note)) if origin.note else origin
