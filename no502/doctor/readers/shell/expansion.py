"""What words of a shell text become when their variables are known."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from no502.doctor.readers.shell.lexer import Part, Word

__all__ = ["OPEN", "Values", "arithmetic", "expand", "interpolate", "is_open"]

OPEN = "\ue000"
"""Stands for the dollar sign of a variable that something fills in and whose value is not among the files."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?:(:?[-+?=])((?:[^{}]|\$\{[^{}]*\})*))?\}|\$([A-Za-z_]\w*)")
_BRACED = re.compile(r"\$\{(!?[A-Za-z_]\w*|[0-9@*#])(\[[@*]\])?(.*)\}$", re.DOTALL)
_EVERY = re.compile(r"\$[@*]|\$\{[@*](?::[0-9]+)?\}")
_FOUND_PROGRAM = re.compile(r"(?:\$\(|`)\s*(?:which|command\s+-v|type\s+-p)\s+[\"']?([\w./-]+)[\"']?\s*(?:\)|`)")
_SUM = re.compile(r"\$\(\(([^()]++)\)\)")
_LONGEST = 100_000


def expand(text: str, values: Mapping[str, str], depth: int = 0) -> str:
    """Return a text with the variables that are known; others stay as they are.

    ``${NAME:-default}`` is the value, else the default.
    """

    def value(found: re.Match[str]) -> str:
        name, operator, rest = found[1] or found[4], found[2] or "", found[3] or ""
        known = values.get(name)
        if known is not None and (known or not operator.startswith(":")):
            return rest if "+" in operator else known
        if operator in {"-", ":-", "=", ":="}:
            rest = _unquoted(rest)
            return expand(rest, values, depth + 1) if depth < 8 else rest
        return found[0]

    return _VARIABLE.sub(value, text) if "$" in text else text


def _unquoted(text: str) -> str:
    """Return a default without the quotes around it, which the shell takes away."""
    inside = text[1:-1]
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in inside
    return inside if quoted else text


def is_open(text: str) -> bool:
    """Whether a text still holds an expansion whose value is not known."""
    return re.search(r"\$[\w@*{(#]|`", text) is not None


_COMPOSE = re.compile(r"\$\$|\$\{([A-Za-z_]\w*)(?:(:?[-+?])((?:[^{}]|\$\{[^{}]*\})*))?\}|\$([A-Za-z_]\w*)")


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """Return a text of a Compose file with its variables filled in; ``$$`` is a dollar sign.

    A variable without a value among the files begins with ``OPEN`` instead of the dollar sign.
    https://docs.docker.com/reference/compose-file/interpolation/
    """

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name, operator, rest = found[1] or found[4], found[2] or "", found[3] or ""
        known = values.get(name)
        if known is not None and (known or not operator.startswith(":")):
            return interpolate(rest, values) if "+" in operator else known
        if operator in {"-", ":-"}:
            return interpolate(rest, values) if len(rest) < len(text) else rest
        return OPEN + found[0][1:]

    return _COMPOSE.sub(value, text) if "$" in text else text


def arithmetic(text: str, values: Mapping[str, str]) -> str:
    """Return what ``$((...))`` of whole numbers, names and ``+ - * /`` gives; empty where it is not known."""
    words = re.findall(r"\$?\{?[A-Za-z_]\w*\}?|\d+|[-+*/]", text)
    if "".join(words) != re.sub(r"\s", "", text) or len(words) % 2 == 0:
        return ""
    terms = [values.get(word.strip("${}"), "") if not word.isdecimal() else word for word in words[::2]]
    if not all(term.isdecimal() and len(term) < 10 for term in terms) or len(terms) > 8:
        return ""
    sums, sign = [int(terms[0])], words[1::2]
    for operation, term in zip(sign, map(int, terms[1:]), strict=True):
        if operation in "*/":
            if operation == "/" and term == 0:
                return ""
            sums[-1] = sums[-1] * term if operation == "*" else int(sums[-1] / term)
        else:
            sums.append(term if operation == "+" else -term)
    return str(sum(sums))


@dataclass
class Values:
    """What a shell knows while it runs."""

    scalars: MutableMapping[str, str] = field(default_factory=dict)
    arrays: MutableMapping[str, tuple[str, ...]] = field(default_factory=dict)
    arguments: Sequence[str] | None = None
    """``$1`` and so on; None if they are not known."""

    def copy(self) -> Values:
        """Return a copy that a branch may change."""
        return Values(dict(self.scalars), dict(self.arrays), self.arguments)

    def fields(self, word: Word) -> list[str]:
        """Return the words that one word becomes: none for an empty ``$@``, several for a list in a variable."""
        found: list[str] = [""]
        quoted = False
        empty = True
        for part in word.parts:
            if part.kind == "text":
                found[-1] += part.text
                quoted = quoted or part.quoted
                empty = empty and not part.text
                continue
            pieces, splits = self._pieces(part)
            empty = empty and not "".join(pieces)
            if not pieces:
                continue
            quoted = quoted or (part.quoted and not splits)
            found[-1] += pieces[0]
            found += pieces[1:]
            if sum(map(len, found)) > _LONGEST:
                break
        return found if quoted or not empty else []

    def text(self, word: Word) -> str:
        """Return a word as one text, as in an assignment."""
        return " ".join(self.fields(word))

    def _pieces(self, part: Part) -> tuple[list[str], bool]:
        """Return what an expansion gives, and whether it is a list."""
        if part.kind == "command":
            program, term = _FOUND_PROGRAM.fullmatch(part.text), _SUM.fullmatch(part.text)
            value = program[1] if program else arithmetic(term[1], self.scalars) if term else ""
            return [value or part.text], False
        if part.kind == "array":
            return [part.text], False
        if _EVERY.fullmatch(part.text):
            return self._every(part.text), True
        braced = _BRACED.match(part.text)
        if braced is not None and braced[2] and braced[1] in self.arrays and not braced[3]:
            return list(self.arrays[braced[1]]), True
        value = self._value(part.text, braced)
        if part.quoted or is_open(value):
            return [value], False
        return value.split(), False

    def _every(self, text: str) -> list[str]:
        if self.arguments is None:
            return [text]
        start = re.search(r":(\d+)", text)
        return list(self.arguments[int(start[1]) - 1 if start and int(start[1]) else 0 :])

    def _value(self, text: str, braced: re.Match[str] | None) -> str:
        name = braced[1] if braced is not None else text[1:]
        if name == "#" and self.arguments is not None:
            return str(len(self.arguments))
        if name.isdigit() and name != "0":
            return self._positional(int(name), text, braced[3] if braced is not None else "")
        if braced is not None and braced[3][:1] in {"#", "%"} and name in self.scalars:
            return _stripped(self.scalars[name], braced[3])
        if braced is not None and braced[2] and name in self.scalars:
            return self.scalars[name]
        return expand(text, self.scalars)

    def _positional(self, number: int, text: str, rest: str) -> str:
        if self.arguments is None:
            return text
        known = self.arguments[number - 1] if number <= len(self.arguments) else ""
        if rest[:1] in {"#", "%"}:
            return _stripped(known, rest)
        default = re.match(r":?[-=](.*)$", rest, re.DOTALL)
        return known or (expand(default[1], self.scalars) if default is not None else "")


def _stripped(value: str, rest: str) -> str:
    """Return what ``${x#pattern}`` and ``${x%pattern}`` leave."""
    front, pattern = rest[0] == "#", rest.lstrip("#%").strip("\"'")
    greedy = rest[:2] in {"##", "%%"}
    lengths = range(len(value) + 1) if not greedy else range(len(value), -1, -1)
    for length in lengths:
        piece = value[:length] if front else value[len(value) - length :]
        if len(value) < 1000 and fnmatchcase(piece, pattern):
            return value[length:] if front else value[: len(value) - length]
    return value
