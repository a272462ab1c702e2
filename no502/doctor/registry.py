"""Every rule there is: its id, never used for anything else, and the function that looks for it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from no502.doctor.finding import Confidence, Edit, Finding, Severity
from no502.doctor.model import Deployment, Origin

__all__ = ["AREAS", "Rule", "find_rules", "rules"]

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

_FAMILIES = ("address", "keepalive", "timeouts", "retries", "stop", "probes", "buffers", "headers", "config", "live")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of the doctor."""

    id: str
    """Letter of the area and three digits."""
    slug: str
    """The same as words; accepted wherever an id is."""
    severity: Severity
    summary: str
    """One line."""
    source: str
    """Link to the documentation of the setting, the RFC or the issue."""
    check: Callable[[Deployment], Iterable[Finding]] | None = None
    """Pure function; None where something else reports it: readers, the suppression comments, the live probes."""

    def finding(  # noqa: PLR0913 a finding has that many parts
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


@cache
def rules() -> dict[str, Rule]:
    """Return every rule by id, in order of area and number."""
    found: list[Rule] = [rule for family in _FAMILIES for rule in import_module(f"no502.doctor.rules.{family}").RULES]
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
            close = difflib.get_close_matches(word, names, 1, 0.6)
            hint = f"; did you mean {close[0]}?" if close else ""
            message = f"no rule is called {word!r}{hint} (`no502 doctor rules` lists them)"
            raise ValueError(message)
        yield from found
