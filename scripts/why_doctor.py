"""What the page "Why 502?" calls in the browser: doctor and doctor logs over files in a folder of Pyodide's memory."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from no502.doctor.logs.findings import Findings
from no502.doctor.logs.reading import READ_ERRORS, lines, open_log
from no502.doctor.logs.report import to_text
from no502.doctor.options import Options
from no502.doctor.run import judge, proposed, rendered
from no502.errors import UserError

__all__ = ["examine", "explain_logs", "forget"]


def examine(folder: str, front: str) -> str:
    """Check a folder as ``no502 doctor`` does.

    Args:
        folder: Where the files are; the working directory afterwards.
        front: Load balancer or CDN in front of nginx, as for ``--front``; empty: none.

    Returns:
        JSON with ``report`` (the command's), ``text`` (the report for reading) and ``patch``, or with ``error``.
    """
    os.chdir(folder)
    try:
        judged = judge(Options(paths=(Path(),), front=front or None))
    except UserError as error:
        return json.dumps({"error": str(error)})
    patch = proposed(judged).text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    text = rendered(judged, "text").encode("utf-8", "replace").decode()
    return json.dumps({"report": json.loads(rendered(judged, "json")), "text": text, "patch": patch})


def explain_logs(folder: str, names: list[str]) -> str:
    """Return the report of ``no502 doctor logs`` over files of a folder."""
    findings = Findings()
    for name in names:
        findings.next_file()
        try:
            with open_log(str(Path(folder, name))) as file:
                for batch in lines(file):
                    findings.read(batch)
        except READ_ERRORS as error:
            return f"{name}: cannot be read: {error}\n"
    return to_text(findings)


def forget(folder: str) -> None:
    """Remove a folder and make it again, empty."""
    os.chdir("/")
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
