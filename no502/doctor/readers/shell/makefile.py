"""The recipes of a Makefile as shell texts: ``make serve`` is the start command of many containers.

https://www.gnu.org/software/make/manual/make.html
"""

from __future__ import annotations

import re

__all__ = ["recipes"]

_SET = re.compile(r"(?:export[ \t]++)?([A-Za-z_][\w.-]*)[ \t]*+(?:::?:?|\?)?=[ \t]*+(.*)$")
_USE = re.compile(r"\$\$|\$[({]([A-Za-z_][\w.-]*)[)}]")
_MOST, _MOST_TARGETS = 5_000, 200


def recipes(text: str, targets: tuple[str, ...]) -> str:
    """Return what ``make TARGETS`` runs, prerequisites first, with every line where it stands in the Makefile.

    Args:
        text: The Makefile; what it includes is not followed, and conditions are taken to hold.
        targets: The words behind ``make``; assignments and options among them are left out. Without a target the
            first one is made.
    """
    lines = text.split("\n")[:_MOST]
    values: dict[str, str] = {}
    rules: dict[str, tuple[list[str], list[int]]] = {}
    open_rules: list[str] = []
    for number, line in enumerate(lines):
        if line.startswith("\t"):
            for name in open_rules:
                rules[name][1].append(number)
        elif (found := _SET.match(line)) is not None:
            values.setdefault(found[1], found[2].strip())
        elif line[:1].strip() and not line.startswith("#"):
            head, colon, rest = line.partition("#")[0].partition(":")
            if not colon or "=" in head or "=" in rest:
                continue
            open_rules = head.split()
            for name in open_rules:
                rules.setdefault(name, ([], []))[0].extend(rest.partition(";")[0].replace("|", " ").split())
    wanted = [word for word in targets if "=" not in word and not word.startswith("-")]
    first = next((name for name in rules if not name.startswith(".")), None)
    chosen: list[int] = []
    for name in wanted or ([first] if first is not None else []):
        _collect(name, rules, chosen, set())
    kept = set(chosen)
    texts: list[str] = []
    goes_on = False
    for number, line in enumerate(lines):
        texts.append(_line(line, values, goes_on=goes_on) if number in kept else "")
        goes_on = line.endswith("\\")
    return "\n".join(texts)


def _collect(name: str, rules: dict[str, tuple[list[str], list[int]]], chosen: list[int], seen: set[str]) -> None:
    """Add the lines of a target, those of its prerequisites first; each target is made once."""
    if name not in rules or name in seen or len(seen) > _MOST_TARGETS:
        return
    seen.add(name)
    before, lines = rules[name]
    for one in before:
        _collect(one, rules, chosen, seen)
    chosen += lines


def _line(line: str, values: dict[str, str], *, goes_on: bool) -> str:
    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else values.get(found[1], f"${{{found[1]}}}")

    text = line.removeprefix("\t")
    return _USE.sub(value, text if goes_on else text.lstrip("@-+ "))
