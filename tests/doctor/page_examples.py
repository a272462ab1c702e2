"""The examples on the rules' pages."""

import re

from no502.doctor.pages import page
from no502.doctor.registry import rules

__all__ = ["examples"]

_BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def examples(rule: str, heading: str) -> dict[str, str]:
    """Return the files below a heading of a rule's page."""
    text = page(rules()[rule])
    _, _, below = text.partition(f"\n## {heading}\n")
    return dict(_BLOCK.findall(below.partition("\n## ")[0]))
