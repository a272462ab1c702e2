"""Every rule there is: its declaration above the function that looks for it, and what that function is asked for."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeVar, overload

from no502.doctor import rules as modules
from no502.doctor.finding import Confidence, Edit, Finding, Severity
from no502.doctor.model import Deployment, Origin, Problem
from no502.doctor.scopes import subjects
from no502.near import closest

__all__ = ["AREAS", "Rule", "find_rules", "reported", "rule", "rules"]

S = TypeVar("S")

AREAS = {
    "A": "Address",
    "K": "Keep-alive",
    "T": "Timeouts",
    "R": "Retries",
    "S": "Start and stop",
    "P": "Probes",
    "B": "Limits",
    "H": "Headers",
    "C": "Configuration",
    "E": "Live",
}
"""First letter of an id and what it is about, in the order of the report."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of the doctor."""

    id: str
    """Letter of the area and three digits, never used for anything else."""
    slug: str
    """The same as words; accepted wherever an id is."""
    severity: Severity
    summary: str
    """One line: what is wrong."""
    source: str
    """Link to the documentation of the setting, the RFC or the issue."""
    per: type[Any] = Deployment
    """What its function is asked about, one at a time: see ``scopes``."""
    check: Callable[[Any, Deployment], Iterable[Finding]] | None = None
    """Pure function; None for a rule about the findings of others."""
    once: Callable[[Any], Hashable] | None = None
    """Gives what subjects have in common: the first of them with a finding speaks for all."""

    def run(self, deployment: Deployment) -> Iterator[Finding]:
        """Yield what it finds, subject after subject."""
        if self.check is None:
            return
        spoken: set[Hashable] = set()
        for subject in subjects(deployment, self.per):
            key = self.once(subject) if self.once is not None else None
            if key is not None and key in spoken:
                continue
            for finding in self.check(subject, deployment):
                spoken.add(key)
                yield finding

    def of_problem(self, problem: Problem) -> Iterator[Finding]:
        """Yield the finding about what a reader reports, where it names this rule."""
        if problem.rule == self.id:
            yield self.finding(
                problem.message,
                problem.origin,
                related=problem.related,
                consequence=problem.consequence,
                fix=problem.fix or "Correct the line that the message names.",
            )

    def finding(
        self,
        message: str,
        where: Origin,
        *,
        severity: Severity | None = None,
        confidence: Confidence = Confidence.CERTAIN,
        related: Sequence[tuple[Origin, str]] = (),
        consequence: str = "",
        fix: str = "",
        edits: Sequence[Edit] = (),
    ) -> Finding:
        """Return a finding of this rule, of its own severity unless another is given."""
        return Finding(
            rule=self.id,
            severity=severity or self.severity,
            message=message,
            where=where,
            confidence=confidence,
            related=tuple(related),
            consequence=consequence,
            fix=fix,
            edits=tuple(edits),
        )


_Whole = Callable[[Deployment], Iterable[Finding]]


@overload
def rule(id_: str, slug: str, severity: Severity, summary: str, *, source: str) -> Callable[[_Whole], Rule]: ...


@overload
def rule(
    id_: str,
    slug: str,
    severity: Severity,
    summary: str,
    *,
    source: str,
    per: type[S],
    once: Callable[[S], Hashable] | None = None,
) -> Callable[[Callable[[S, Deployment], Iterable[Finding]]], Rule]: ...


def rule(
    id_: str,
    slug: str,
    severity: Severity,
    summary: str,
    *,
    source: str,
    per: type[Any] | None = None,
    once: Callable[[Any], Hashable] | None = None,
) -> Callable[[Callable[..., Iterable[Finding]]], Rule]:
    """Declare a rule: the function below becomes it, and ``NAME.finding(...)`` in the function makes its findings.

    Args:
        id_: Letter of the area and three digits.
        slug: The same as words.
        severity: Of its findings, unless one says otherwise.
        summary: What is wrong, in one line.
        source: Link to the documentation of the setting, the RFC or the issue.
        per: What the function is asked about, one at a time, with the deployment around it; without it, the function
            gets the whole deployment.
        once: Gives what subjects have in common: only the first of them with a finding is reported.
    """

    def declare(function: Callable[..., Iterable[Finding]]) -> Rule:
        check = function if per is not None else lambda deployment, _: function(deployment)
        return Rule(
            id=id_,
            slug=slug,
            severity=severity,
            summary=summary,
            source=source,
            per=per or Deployment,
            check=check,
            once=once,
        )

    return declare


def reported(id_: str, slug: str, severity: Severity, summary: str, *, source: str) -> Rule:
    """Declare a rule about what a reader reports: each problem that names it is a finding."""
    made = Rule(
        id=id_,
        slug=slug,
        severity=severity,
        summary=summary,
        source=source,
        per=Problem,
        check=lambda problem, _: made.of_problem(problem),
    )
    return made


@cache
def rules() -> dict[str, Rule]:
    """Return every rule by id, in order of area and number: those of every module of ``no502.doctor.rules``."""
    names = [one.name for one in pkgutil.iter_modules(modules.__path__)]
    found = [
        one
        for name in names
        for one in vars(import_module(f"{modules.__name__}.{name}")).values()
        if isinstance(one, Rule)
    ]
    areas = list(AREAS)
    found.sort(key=lambda rule: (areas.index(rule.id[0]), rule.id))
    return {rule.id: rule for rule in found}


def find_rules(words: Iterable[str]) -> Iterator[Rule]:
    """Yield the rules that ids, slugs, letters of areas or ``all`` name.

    Raises:
        ValueError: A word names none; the message says which and what is close to it.
    """
    everything = rules()
    for word in words:
        found = [
            rule
            for rule in everything.values()
            if word.lower() == "all" or word.upper() in {rule.id, rule.id[0]} or word.lower() == rule.slug
        ]
        if not found:
            names = [*everything, *(rule.slug for rule in everything.values())]
            close = closest(word, names)
            hint = f"; did you mean {close}?" if close else ""
            message = f"no rule is called {word!r}{hint} (`no502 doctor rules` lists them)"
            raise ValueError(message)
        yield from found
