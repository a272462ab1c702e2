"""Whether the patch leaves files that can be read: one that does not is never written."""

from __future__ import annotations

import re

from no502.adopt.diagnosis import Diagnosis
from no502.adopt.workspace import Workspace
from no502.doctor.finding import Finding
from no502.doctor.parse import breaks, unreadable

__all__ = ["unsound"]


def unsound(space: Workspace, first: Diagnosis, last: Diagnosis) -> list[str]:
    """Return what the patch would break, one line each with file and line: nothing where it is sound.

    Args:
        space: The project with the patch.
        first: What doctor found before it.
        last: What doctor finds with it.
    """
    found = []
    for name, old, new in space.changed():
        if name not in space.copies:
            after = _text(new)
            problem = unreadable(name, after) if old is None else breaks(name, _text(old), after)
            if problem is not None:
                place = f"{name}:{problem.line}" if problem.line is not None else name
                found.append(f"{place}: the patch would leave what cannot be read: {problem.why}")
    known = {_key(one) for one in first.findings}
    return found + [
        f"{one.where}: the patch would bring {one.rule}: {one.message}"
        for one in last.findings
        if one.rule.startswith("C0") and _key(one) not in known
    ]


def _key(finding: Finding) -> tuple[str, str, str]:
    """Return what a finding is known by: its lines may have moved."""
    return finding.rule, finding.where.file, re.sub(r"\d+", "0", finding.message)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
