"""A directory written from texts, and what the doctor says about it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from no502.cli import app
from tests.support.directories import write_tree as write

__all__ = ["Report", "judge", "write"]

HEADERS = (
    "proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; "
    "proxy_set_header X-Forwarded-Proto $scheme;"
)


class Report(NamedTuple):
    """What one run said."""

    data: dict[str, Any]
    text: str
    code: int

    def found(self, file: str | None = None) -> set[str]:
        """Return the rules that were found, of one file where it is given."""
        findings = self.data["findings"]
        return {one["rule"] for one in findings if file is None or one["where"]["file"] == file}

    def severity(self, rule: str) -> str:
        """Return the severity of the first finding of a rule."""
        return str(next(one["severity"] for one in self.data["findings"] if one["rule"] == rule))

    def gaps(self) -> str:
        """Return what was not checked and why, as one text."""
        return "\n".join(f"{one['what']}: {one['why']}" for one in self.data["not_checked"])

    def servers(self) -> list[tuple[str, Any]]:
        """Return program and addresses of each server."""
        listed = self.data["effective"]["servers"]
        return [(one["program"], (one["settings"].get("bind") or {}).get("value")) for one in listed]


def judge(folder: Path, files: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Report:
    """Write the files and run the doctor over their folder."""
    monkeypatch.chdir(write(folder, files))
    given = arguments or (".",)
    machine = CliRunner().invoke(app, ["doctor", "--format", "json", *given])
    assert machine.exit_code in {0, 1, 2}, machine.exception
    people = CliRunner().invoke(app, ["doctor", *given])
    return Report(json.loads(machine.stdout), " ".join(people.stdout.split()), people.exit_code)
