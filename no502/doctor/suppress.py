"""Comments that say "this one is meant": ``# doctor: ignore[K201] reason``, on the line or the line before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from no502.doctor.finding import Finding
from no502.doctor.model import Origin
from no502.doctor.registry import find_rules, rules

__all__ = ["Suppression", "apply", "read_suppressions"]

_COMMENT = re.compile(r"[#;]\s*doctor:\s*(ignore-file|ignore)(?:\[([^\]\n]{0,200})\])?[ \t]*([^\n]{0,500})")


@dataclass(kw_only=True)
class Suppression:
    """One comment."""

    origin: Origin
    rules: frozenset[str]
    whole_file: bool
    reason: str
    problem: str = ""
    """What is wrong with the comment itself; it then suppresses nothing."""
    used: set[str] = field(default_factory=set)

    def covers(self, finding: Finding) -> bool:
        """Whether it is about a finding: one of its places is in that file, on the comment's line or the next one."""
        if finding.rule not in self.rules or self.problem:
            return False
        places = [finding.where, *(origin for origin, _ in finding.related)]
        for place in places:
            if place.file != self.origin.file:
                continue
            line = self.origin.line or 0
            if self.whole_file or place.line in {line, line + 1}:
                return True
        return False


def read_suppressions(file: str, text: str) -> Iterator[Suppression]:
    """Yield the comments of a file."""
    for number, line in enumerate(text.split("\n"), 1):
        if "doctor:" not in line:
            continue
        found = _COMMENT.search(line[:10_000])
        if found is None:
            continue
        words = [word.strip() for word in (found[2] or "").split(",") if word.strip()]
        problem = ""
        ids: frozenset[str] = frozenset()
        try:
            ids = frozenset(rule.id for rule in find_rules(words))
        except ValueError as error:
            problem = str(error)
        reason = found[3].strip().removesuffix("*/").strip()
        if not words:
            problem = "it names no rule: write ignore[K201]"
        elif not reason and not problem:
            problem = "it gives no reason"
        yield Suppression(
            origin=Origin(file=file, line=number),
            rules=ids,
            whole_file=found[1] == "ignore-file",
            reason=reason,
            problem=problem,
        )


def apply(
    findings: Sequence[Finding], suppressions: Iterable[Suppression], asked: Callable[[str], bool]
) -> tuple[list[Finding], int]:
    """Return the findings that no comment covers with those about the comments (C099), and how many were covered.

    ``asked`` tells whether a rule was looked for: a comment about one that was not is neither used nor unused.
    """
    comments = list(suppressions)
    left: list[Finding] = []
    for finding in findings:
        covering = [comment for comment in comments if comment.covers(finding)]
        for comment in covering:
            comment.used.add(finding.rule)
        if not covering:
            left.append(finding)
    covered = len(findings) - len(left)
    unused = rules()["C099"]
    for comment in comments:
        idle = sorted(rule for rule in comment.rules - comment.used if asked(rule))
        if comment.problem:
            message = f"this suppression has no effect: {comment.problem}"
        elif idle and not comment.used:
            message = f"this suppression is unused: no {', '.join(idle)} here"
        else:
            continue
        left.append(unused.finding(message, comment.origin, fix="Remove it, or add the reason."))
    return left, covered
