"""Places of a template in files of hosts: Jinja, ERB, autoconf."""

from __future__ import annotations

import re

from no502.doctor.readers.shell.expansion import OPEN

__all__ = ["opened"]

_PLACEHOLDER = re.compile(r"\{\{[^{}\n]*\}\}|\{%[^%\n]*%\}|\{#[^#\n]*#\}|<%=?[^%\n]*%>|@[A-Z_]{2,}@")


def opened(text: str) -> str:
    """Return a text in which each value of a template is a variable without a value; statements are taken out."""
    return _PLACEHOLDER.sub(_variable, text)


def _variable(found: re.Match[str]) -> str:
    name = re.sub(r"\W+", "_", found[0]).strip("_")
    return "" if found[0].startswith(("{%", "{#")) else f"{OPEN}{{{name}}}"
