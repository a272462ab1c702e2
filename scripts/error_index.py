"""Write ``docs/error-index.md`` from the table that ``no502 doctor logs`` uses."""

import sys
from pathlib import Path
from typing import Any

from _recorded import anchor, counted, message_of, recorded

from no502.doctor.logs.message import Message
from no502.doctor.logs.table import MESSAGES

__all__ = ["TARGET", "page"]

TARGET = Path(__file__).resolve().parent.parent / "docs" / "error-index.md"

_HEAD = """\
<!-- Written by scripts/error_index.py from no502/doctor/logs; a test compares. Do not edit. -->

# Error index

Every known message around an upstream: what happened, how to prove it, how to fix it. `no502 doctor logs` finds them in
files. The number in the brackets (errno) and the words after "while" identify a message; the words behind the number
come from the C library and differ. Figures: nginx 1.22.1 and 1.31.3, gunicorn 27.0.1, uvicorn 0.54, loopback, 2 cores.
What is called reproduced is so in `tests/doctor_logs/`, the rest was measured once or read in the source, as it says.
Where [the lab](lab.md) makes a message appear, its recorded lines and what its clients got are shown with it.

A GET stands for GET, HEAD, PUT, DELETE and OPTIONS, a POST for POST, PATCH and LOCK: nginx repeats the first kind after
an error on a connection and never the second.

| message | id |
|---|---|
"""


def page() -> str:
    """Return the whole page."""
    rows = [f"| `{_cell(text)}` | [{m.id}](#{m.id.lower()}) |" for m in MESSAGES for text in m.text]
    results = recorded()["results"]
    return _HEAD + "\n".join(rows) + "\n\n" + "\n".join(_section(message, results) for message in MESSAGES)


def _lab(message: Message, results: list[dict[str, Any]]) -> list[str]:
    """Return the lab's scenarios in which the message appears, each with the recorded lines."""
    lines: list[str] = []
    for result in results:
        wild, fixed = result["wild"], result["no502"]
        own = [line for line in wild["log"] if message_of(line) == message.id]
        if own:
            name = f"[`no502 lab {result['scenario']}`](lab.md#{anchor(result['title'])})"
            got = f"in the wild {counted(wild)}; with no502 {counted(fixed)}"
            lines += [f"{name} recorded, {got}:", "", "```text", *own, "```", ""]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _section(message: Message, results: list[dict[str, Any]]) -> str:
    lines = [
        f"## {message.id} {message.slug} {{#{message.id.lower()}}}",
        "",
        "```text",
        *message.text,
        "```",
        "",
        message.cause,
        "",
        "| | |",
        "|---|---|",
        f"| written by | {message.program}, {message.severity} |",
        f"| GET | {_cell(message.get)} |",
        f"| POST | {_cell(message.post)} |",
        *([f"| versions | {_cell(message.versions)} |"] if message.versions else []),
        *(
            [f"| doctor | {', '.join(f'[{rule}](doctor/{rule}.md)' for rule in message.rules)} |"]
            if message.rules
            else []
        ),
        f"| evidence | {_cell(message.evidence)} |",
        "",
        *_lab(message, results),
        "Prove it:",
        "",
        *(f"{number}. {step}" for number, step in enumerate(message.prove, 1)),
        "",
        "Fix it:",
        "",
        *(f"- {step}" for step in message.fix),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Write the page; with ``--check`` only compare."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(None if TARGET.read_text(encoding="utf-8") == page() else f"{TARGET} is not current: make docs")
    TARGET.write_text(page(), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
