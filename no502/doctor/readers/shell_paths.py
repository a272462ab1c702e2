"""Which lines of a shell script its arguments lead to: the arm of ``case "$1"``, and the functions that it calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

__all__ = ["reached"]

_CASE = re.compile(r"\s*case\s+[\"']?\$\{?1(?::?-([^}]*))?\}?[\"']?\s+in\b(.*)$")
_ARM = re.compile(r"\s*\(?\s*([\w*?.|\s\"'/-]+?)\)(.*)$")
_FUNCTION = re.compile(
    r"\s*(?:function\s+)?([A-Za-z_][\w-]*)\s*\(\s*\)\s*\{?\s*$|\s*function\s+([A-Za-z_][\w-]*)\s*\{?\s*$"
)
_Lines = list[tuple[int, str]]


def reached(lines: _Lines, arguments: Sequence[str] | None) -> _Lines:
    """Return the (number, line) pairs that can run; all of them where that cannot be told.

    Args:
        lines: The script.
        arguments: What it is called with; None if that is not known.
    """
    if arguments is None or not any(_CASE.match(line) for _, line in lines):
        return lines
    body, functions = _functions(lines)
    kept = list(_chosen(body, arguments[0] if arguments else ""))
    called = list(kept)
    found: set[str] = set()
    while called:
        text = "\n".join(line for _, line in called)
        names = {name for name in functions if name not in found and re.search(rf"\b{re.escape(name)}\b", text)}
        found |= names
        called = [line for name in names for line in functions[name]]
        kept += called
    return sorted(kept)


def _functions(lines: _Lines) -> tuple[_Lines, dict[str, _Lines]]:
    """Return what stands outside of functions, and the functions; one ends at a brace that begins a line."""
    body: _Lines = []
    functions: dict[str, _Lines] = {}
    inside = ""
    for number, line in lines:
        start = _FUNCTION.match(line)
        if inside:
            functions[inside].append((number, line))
            inside = "" if line.startswith("}") else inside
        elif start is not None:
            inside = start[1] or start[2]
            functions[inside] = []
        else:
            body.append((number, line))
    return body, functions


def _chosen(lines: _Lines, first: str) -> Iterator[tuple[int, str]]:
    """Yield the lines without the arms of ``case "$1"`` that ``first`` does not lead to."""
    value, taken, taking, depth = "", False, True, 0
    for number, line in lines:
        word = line.strip()
        start = _CASE.match(line)
        if depth == 0 and start is not None:
            value, taken, taking, depth = first or start[1] or "", False, False, 1
            continue
        if depth == 0:
            yield number, line
            continue
        depth += len(re.findall(r"(?:^|;)\s*case\s", line)) - bool(re.match(r"esac\b", word))
        if depth == 0:
            continue
        arm = _ARM.match(line) if depth == 1 and not taking else None
        if arm is not None:
            patterns = [pattern.strip().strip("\"'") for pattern in arm[1].split("|")]
            taking = not taken and any(fnmatchcase(value, pattern) for pattern in patterns)
            taken = taken or taking
            word = arm[2].strip()
        skipped = arm is not None and not taking
        if taking and word:
            yield number, word
        if depth == 1 and (taking or skipped) and word.endswith(";;"):
            taking = False
