"""Procfiles: a name and a shell line for each process. https://devcenter.heroku.com/articles/procfile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from no502.doctor.model import Deployment, Origin
from no502.doctor.readers.texts import read_text, shown_path

__all__ = ["Process", "read_procfile"]

_LINE = re.compile(r"([A-Za-z0-9_-]+)\s*:\s*(.+)$")


@dataclass(frozen=True, kw_only=True)
class Process:
    """One line of a Procfile."""

    name: str
    text: str
    origin: Origin


def read_procfile(path: Path, *, base: Path, deployment: Deployment) -> Iterator[Process]:
    """Yield the processes of a Procfile."""
    text = read_text(path, base, deployment)
    shown = shown_path(path, base)
    for number, line in enumerate((text or "").splitlines(), start=1):
        found = _LINE.match(line)
        if found is not None:
            yield Process(name=found[1], text=found[2], origin=Origin(file=shown, line=number))
