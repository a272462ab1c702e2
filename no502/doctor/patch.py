"""The findings' edits as one patch for ``patch -p1`` or ``git apply``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from no502.doctor.finding import Edit, Finding
from no502.doctor.parse import breaks
from no502.doctor.secrets import holds_secret, mask, printable

__all__ = ["Patch", "diff_of", "make_patch"]

_CONTEXT = 3
_Opcode = tuple[str, int, int, int, int]


@dataclass
class Patch:
    """A patch and what it is about."""

    text: str = ""
    fixed: list[Finding] = field(default_factory=list)
    """Findings whose edits are in it."""
    left: list[Finding] = field(default_factory=list)
    """Findings that need a person."""
    refused: list[str] = field(default_factory=list)
    """Changes that fit and are not offered: the file could not be read any more; one line each."""
    texts: dict[str, str] = field(default_factory=dict)
    """Changed files, whole, by the names that origins use."""


def make_patch(
    findings: Iterable[Finding],
    text_of: Callable[[str], str | None],
    name_of: Callable[[str], str] = lambda file: file,
) -> Patch:
    """Return the edits of all findings as one patch.

    A finding counts as fixed only if all of its edits fit, and every file can still be read after them.

    Args:
        findings: What was found.
        text_of: Gives a file's text by the name that origins use; None if it cannot be read.
        name_of: Gives the name that the patch uses for a file.
    """
    patch = Patch()
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for finding in findings:
        trial = {file: list(lines) for file, lines in after.items()}
        fits = bool(finding.edits)
        for edit in finding.edits:
            if edit.file not in trial:
                text = text_of(edit.file)
                if text is None:
                    fits = False
                    break
                before[edit.file] = text.split("\n")
                trial[edit.file] = text.split("\n")
            fits = fits and _apply(edit, trial[edit.file])
        refused = list(_refused(finding, before, trial)) if fits else []
        patch.refused += refused
        if fits and not refused:
            after = trial
            patch.fixed.append(finding)
        else:
            patch.left.append(finding)
    patch.texts = {file: "\n".join(lines) for file, lines in after.items() if lines != before[file]}
    patch.text = "".join(_diff(name_of(file), before[file], after[file]) for file in sorted(after))
    return patch


def _refused(finding: Finding, before: dict[str, list[str]], trial: dict[str, list[str]]) -> Iterator[str]:
    """Yield a line for each file that could be read before, and could not after the edits of a finding."""
    for file in dict.fromkeys(edit.file for edit in finding.edits):
        found = breaks(file, "\n".join(before[file]), "\n".join(trial[file]))
        if found is not None:
            place = f"line {found.line}: " if found.line is not None else ""
            why = f"the changed file would not parse ({place}{found.why})"
            yield f"{finding.where}: {finding.rule}: no change is offered, because {why}"


def _apply(edit: Edit, lines: list[str]) -> bool:
    """Apply one edit to the lines of its file; a line break inside an entry keeps later line numbers valid."""
    if edit.line is None:
        return _append(edit, lines)
    if not 0 < edit.line <= len(lines):
        return False
    if edit.insert:
        return _insert(edit, lines)
    for index in range(edit.line - 1, min(edit.line - 1 + edit.within, len(lines))):
        for pattern, new in edit.substitutions:
            changed, count = re.subn(pattern, new, lines[index], count=1)
            if count and mask(lines[index]) != lines[index]:
                return False  # the patch would print the secret beside the number
            if count:
                done = changed != lines[index]
                lines[index] = changed
                return done
    return False


def _append(edit: Edit, lines: list[str]) -> bool:
    """Add a line at the end, unless one sets the name already: under a condition, so that a person must decide."""
    end = len(lines) - 1 if not lines[-1] else len(lines)
    name = edit.insert.split(" =", maxsplit=1)[0]
    if end == 0 or any(line.split("=", maxsplit=1)[0].strip() == name for line in "\n".join(lines).split("\n")):
        return False
    lines[end - 1] += "\n" + edit.insert
    return True


def _insert(edit: Edit, lines: list[str]) -> bool:
    index = (edit.line or 1) - 1
    line = lines[index].split("\n")[0]
    indent = line[: len(line) - len(line.lstrip())]
    following = next((text for text in lines[index + 1 :] if text.strip() and not text.lstrip().startswith("#")), "")
    deeper = following[: len(following) - len(following.lstrip())]
    step = deeper[len(indent) :] if deeper.startswith(indent) and len(deeper) > len(indent) else "  "
    lines[index] += "\n" + edit.insert.replace("{indent}", indent).replace("{step}", step)
    return True


def diff_of(file: str, before: str, after: str) -> str:
    """Return the unified diff of one file, for ``patch -p1`` or ``git apply``; empty where nothing differs."""
    return _diff(file, before.split("\n"), after.split("\n"))


def _diff(file: str, old: list[str], new: list[str]) -> str:
    """Return a unified diff whose context holds no line that may be a secret or that a terminal would obey."""
    before, after = _lines(old), _lines(new)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    groups = list(matcher.get_grouped_opcodes(_CONTEXT))
    if any(_hidden(line) for group in groups for line in before[group[0][1] : group[-1][2]]):
        groups = list(_narrowed(matcher, before))
    if not groups:
        return ""
    lines = [f"--- a/{_quoted(file)}\n", f"+++ b/{_quoted(file)}\n"]
    for group in groups:
        lines += _hunk(group, before, after)
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)


def _narrowed(matcher: difflib.SequenceMatcher[str], before: Sequence[str]) -> Iterator[list[_Opcode]]:
    """Yield one group for each change, with as many lines of context on both sides as hold nothing to hide."""
    changes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    for number, (tag, i1, i2, j1, j2) in enumerate(changes):
        first = changes[number - 1][2] if number else 0
        last = changes[number + 1][1] if number + 1 < len(changes) else len(before)
        most = min(_CONTEXT, (i1 - first) // (2 if number else 1), (last - i2) // (2 if last < len(before) else 1))
        near = next((k for k in range(most) if _hidden(before[i1 - k - 1]) or _hidden(before[i2 + k])), most)
        yield [
            ("equal", i1 - near, i1, j1 - near, j1),
            (tag, i1, i2, j1, j2),
            ("equal", i2, i2 + near, j2, j2 + near),
        ]


def _hunk(group: Sequence[_Opcode], before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    old, new = (group[0][1], group[-1][2]), (group[0][3], group[-1][4])
    yield f"@@ -{_range(*old)} +{_range(*new)} @@\n"
    for tag, i1, i2, j1, j2 in group:
        if tag == "equal":
            yield from (f" {line}" for line in before[i1:i2])
            continue
        yield from (f"-{line}" for line in before[i1:i2])
        yield from (f"+{line}" for line in after[j1:j2])


def _range(start: int, stop: int) -> str:
    length = stop - start
    return f"{start + 1 if length else start},{length}" if length != 1 else f"{start + 1}"


def _hidden(line: str) -> bool:
    """Whether a line is not to be printed beside a change."""
    plain = re.sub(r"[\udc80-\udcff]", "", line.rstrip("\r\n").replace("\t", " "))  # odd bytes are no secret
    return holds_secret(line) or printable(plain) != plain


def _quoted(file: str) -> str:
    """Return a name on one line, without control characters."""
    return printable(file)


def _lines(entries: list[str]) -> list[str]:
    """Return lines with their ends; only a line feed ends one, as for patch."""
    lines = "\n".join(entries).split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
