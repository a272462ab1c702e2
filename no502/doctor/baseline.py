"""Findings that a team knows already: a file of fingerprints, so that only new ones fail."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from no502.doctor.finding import Finding
from no502.errors import USAGE, UserError

__all__ = ["read_baseline", "write_baseline"]

_VERSION = 1


def read_baseline(path: Path) -> frozenset[str]:
    """Return the fingerprints in a baseline file.

    Raises:
        UserError: It cannot be read or is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = frozenset(entry["fingerprint"] for entry in content["findings"])
        version = content["baseline_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path}: not a baseline of no502 doctor ({error}); create one with --write-baseline"
        raise UserError(message, USAGE) from None
    if version != _VERSION:
        message = (
            f"{path}: baseline version {version!r} is not supported ({_VERSION} is); write it again with "
            "--write-baseline"
        )
        raise UserError(message, USAGE)
    return known


def write_baseline(path: Path, findings: Iterable[Finding]) -> int:
    """Write the findings' fingerprints; return how many there are.

    Raises:
        UserError: The file cannot be written.
    """
    entries = {
        f.fingerprint: {"fingerprint": f.fingerprint, "rule": f.rule, "file": f.where.file, "message": f.message}
        for f in findings
    }
    content = {"baseline_version": _VERSION, "findings": sorted(entries.values(), key=lambda e: sorted(e.items()))}
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror}"
        raise UserError(message, USAGE) from None
    return len(entries)
