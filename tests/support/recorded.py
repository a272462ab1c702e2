"""What a target has lost, written down for ``scripts/target_results.py``."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["record"]


def record(target: str, case: str, *, sent: int, lost: int, **versions: str) -> None:
    """Add one row to the file that ``NO502_TARGET_RESULTS`` names, where it names one; print it in any case.

    Args:
        target: ``kubernetes``, ``swarm``, ``systemd`` ...
        case: What happened under load.
        sent: Requests with an outcome.
        lost: Those whose outcome was not the application's answer.
        versions: Of the programs that took part.
    """
    row = {"target": target, "case": case, "sent": sent, "lost": lost, "versions": versions}
    sys.stdout.write(f"{target}: {case}: {lost} of {sent} lost\n")
    if path := os.environ.get("NO502_TARGET_RESULTS"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"date": datetime.now(UTC).date().isoformat(), **row}) + "\n")
