"""What a shell text runs, followed as far as its words tell: branches whose condition is known, functions, ``"$@"``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from no502.doctor.readers.shell.expansion import Values, is_open
from no502.doctor.readers.shell.grammar import Branches, Case, Function, Group, Item, Loop, Simple, parse
from no502.doctor.readers.shell.lexer import Word

__all__ = ["Ran", "trace"]

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=(.*)$", re.DOTALL)
_DECLARES = {"export", "readonly", "declare", "local", "typeset"}
_MOST = 20_000
_DEEPEST = 12


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One command that is run."""

    words: tuple[str, ...]
    """After expansion; what is not known is still as it is written."""
    line: int
    environment: Mapping[str, str]
    directory: str
    """Where ``cd`` led to; empty for where the shell began."""
    exec: bool = False
    background: bool = False
    piped: bool = False
    """Its output goes into another command."""
    last: bool = False
    """Nothing follows it, and nothing is around it: bash and busybox replace themselves by it in ``-c``."""


class _End(Exception):  # noqa: N818  control flow inside this module
    """``exec`` or ``exit``: nothing runs after it."""


@dataclass
class _Shell:
    values: Values
    directory: str = ""
    found: list[Ran] = field(default_factory=list)
    functions: dict[str, tuple[Item, ...]] = field(default_factory=dict)
    budget: int = _MOST
    depth: int = 0

    def run(self, body: Sequence[Item], *, sure: bool = True, outermost: bool = False) -> None:
        for number, item in enumerate(body):
            self.budget -= 1
            if self.budget < 0:
                return
            last = outermost and number == len(body) - 1 and item.after == ""
            self._node(item, sure=sure and item.after not in {"&", "|"}, last=last)

    def _node(self, item: Item, *, sure: bool, last: bool) -> None:
        node = item.node
        if isinstance(node, Simple):
            self._simple(node, item.after, sure=sure, last=last)
        elif isinstance(node, Function):
            self.functions[node.name] = node.body
        elif isinstance(node, Group):
            self.run(node.body, sure=sure and item.after != "&")
        elif isinstance(node, Loop):
            self.run(node.condition, sure=False)
            self._apart([node.body])
        elif isinstance(node, Branches):
            self._branches(node, sure=sure)
        else:
            self._case(node, sure=sure)

    def _apart(self, bodies: Sequence[Sequence[Item]], chosen: int | None = None) -> None:
        """Run bodies of which only one runs, and it is not known which: afterwards only what they agree on is known."""
        ends: list[Values] = []
        before, directory = self.values, self.directory
        for body in bodies:
            self.values = before.copy()
            try:
                self.run(body, sure=False)
                ends.append(self.values)
            except _End:
                pass
            self.directory = directory
        if chosen is not None and chosen < len(ends):
            self.values = ends[chosen]
            return
        self.values = before.copy()
        for name in {name for end in ends for name in end.scalars}:
            seen = {end.scalars.get(name) for end in ends}
            value = seen.pop() if len(seen) == 1 else None
            if value is not None:
                self.values.scalars[name] = value
            elif name in before.scalars and len(seen) > 0:
                self.values.scalars.pop(name, None)

    def _branches(self, node: Branches, *, sure: bool) -> None:
        left: list[Sequence[Item]] = []
        unset: int | None = None
        for condition, body in node.pairs:
            self.run(condition, sure=False)
            known, guessed = self._holds(condition)
            if known is False:
                continue
            if known and not left:
                self.run(body, sure=sure)
                return
            if guessed is not None and unset is None:
                unset = len(left) if guessed else None
                if guessed is False and len(node.pairs) == 1:
                    unset = len(left) + 1
            left.append(body)
            if known:
                break
        else:
            left.append(node.otherwise)
        if len(left) == 1:
            self.run(left[0], sure=sure)
        else:
            self._apart(left, unset)

    def _holds(self, condition: Sequence[Item]) -> tuple[bool | None, bool | None]:
        """Return whether a condition holds; and what it is if an unknown variable is an unset one."""
        if len(condition) != 1 or not isinstance(condition[0].node, Simple):
            return None, None
        words = list(condition[0].node.words)
        name = words[0].literal
        if name in {"true", ":"}:
            return True, None
        if name == "false":
            return False, None
        if name not in {"[", "[[", "test"}:
            return None, None
        arguments = [self.values.text(word) for word in words[1:] if word.parts]
        if arguments and arguments[-1] in {"]", "]]"}:
            arguments.pop()
        if any(not word.parts for word in words):
            return None, None  # && inside [[ ]]
        return _test(arguments)

    def _case(self, node: Case, *, sure: bool) -> None:
        subject = self.values.text(node.subject)
        if is_open(subject):
            self._apart([body for _, body in node.arms])
            return
        for patterns, body in node.arms:
            if any(fnmatchcase(subject, self.values.text(pattern)) for pattern in patterns):
                self.run(body, sure=sure)
                return

    def _simple(self, node: Simple, after: str, *, sure: bool, last: bool) -> None:
        words = list(node.words)
        own: dict[str, str] = {}
        while words and (assigned := self._assignment(words[0], own)) is not None:
            own.update(assigned)
            words.pop(0)
        if not words:
            self.values.scalars.update(own)
            return
        fields = [field for word in words for field in self.values.fields(word)]
        if not fields:
            return
        name, arguments = fields[0], fields[1:]
        if self._builtin(name, words, arguments, sure=sure):
            return
        if name in self.functions and self.depth < _DEEPEST:
            self._call(name, arguments, sure=sure)
            return
        execs = False
        while name == "exec" and arguments:
            execs = True
            while arguments and arguments[0].startswith("-"):
                arguments = arguments[2:] if arguments[0] == "-a" else arguments[1:]
            name, arguments = (arguments[0], arguments[1:]) if arguments else ("", [])
        if name:
            self.found.append(
                Ran(
                    words=(name, *arguments),
                    line=node.line,
                    environment={**self.values.scalars, **own},
                    directory=self.directory,
                    exec=execs,
                    background=after == "&",
                    piped=after == "|",
                    last=last,
                )
            )
        if execs and sure and name:
            raise _End

    def _assignment(self, word: Word, own: Mapping[str, str]) -> dict[str, str] | None:
        if not word.parts or word.parts[0].kind != "text" or word.parts[0].quoted:
            return None
        found = _ASSIGNMENT.match(word.parts[0].text)
        if found is None:
            return None
        if len(word.parts) > 1 and word.parts[1].kind == "array":
            inside = parse(word.parts[1].text[1:-1])
            items = [one for item in inside if isinstance(item.node, Simple) for one in item.node.words]
            fields = tuple(field for one in items for field in self.values.fields(one))
            known = self.values.arrays.get(found[1], ()) if found[2] else ()
            self.values.arrays[found[1]] = (*known, *fields)
            return {}
        text = self.values.text(Word(word.parts, word.line)).partition("=")[2]
        before = {**self.values.scalars, **own}.get(found[1], "") if found[2] else ""
        return {found[1]: before + text}

    def _call(self, name: str, arguments: Sequence[str], *, sure: bool) -> None:
        before, self.values.arguments = self.values.arguments, list(arguments)
        self.depth += 1
        try:
            self.run(self.functions[name], sure=sure)
        finally:
            self.values.arguments = before
            self.depth -= 1

    def _builtin(  # noqa: C901, PLR0912  one case for each builtin
        self, name: str, words: Sequence[Word], arguments: Sequence[str], *, sure: bool
    ) -> bool:
        """Carry out what changes the shell itself; return whether it was that."""
        if name in _DECLARES:
            for word in words[1:]:
                assigned = self._assignment(word, {})
                if assigned is not None:
                    self.values.scalars.update(assigned)
        elif name == "set":
            if "--" in arguments:
                self.values.arguments = list(arguments[arguments.index("--") + 1 :])
        elif name == "shift":
            if self.values.arguments is not None:
                count = int(arguments[0]) if arguments and arguments[0].isdecimal() else 1
                self.values.arguments = list(self.values.arguments)[count:]
        elif name == "unset":
            for one in arguments:
                self.values.scalars.pop(one, None)
        elif name == "cd":
            target = arguments[0] if arguments else ""
            unclear = is_open(target)
            self.directory = (
                self.directory
                if unclear
                else target
                if target.startswith("/")
                else f"{self.directory}/{target}".lstrip("/")
            )
        elif name == ":":
            for word in words[1:]:
                for part in word.parts:
                    found = re.match(r"\$\{([A-Za-z_]\w*):?=", part.text)
                    if found is not None:
                        self.values.scalars.setdefault(found[1], self.values.text(Word((part,), word.line)))
        elif name == "eval" and self.depth < _DEEPEST:
            self.depth += 1
            self.run(parse(" ".join(arguments)), sure=sure)
            self.depth -= 1
        elif name in {"exit", "return"}:
            if sure and self.depth == 0:
                raise _End
        else:
            return name in {"trap", "wait", "[", "[[", "test"}
        return True


def _test(words: Sequence[str]) -> tuple[bool | None, bool | None]:
    """Return whether ``[ words ]`` holds, else None; and what it is if every unknown variable is unset."""
    if words[:1] == ["!"]:
        known, guessed = _test(words[1:])
        return None if known is None else not known, None if guessed is None else not guessed
    match words:
        case ["-z", text]:
            return (None, True) if is_open(text) else (not text, None)
        case ["-n", text] | [text] if not text.startswith("-") or len(words) == 2:
            return (None, False) if is_open(text) else (bool(text), None)
        case [left, operator, right] if not is_open(left + right):
            return _compared(left, operator, right), None
        case _:
            return None, None


def _compared(left: str, operator: str, right: str) -> bool | None:
    if operator in {"=", "=="}:
        return fnmatchcase(left, right)
    if operator == "!=":
        return not fnmatchcase(left, right)
    numbers = {"-eq": "==", "-ne": "!=", "-gt": ">", "-ge": ">=", "-lt": "<", "-le": "<="}
    if operator not in numbers or not (left.isdecimal() and right.isdecimal()):
        return None
    one, two = int(left), int(right)
    return {
        "-eq": one == two,
        "-ne": one != two,
        "-gt": one > two,
        "-ge": one >= two,
        "-lt": one < two,
        "-le": one <= two,
    }[operator]


def trace(text: str, environment: Mapping[str, str], arguments: Sequence[str] | None = None) -> Iterator[Ran]:
    """Yield the commands that a shell text runs, of branches that are not decided all of them.

    Args:
        text: The text of a script, or of ``sh -c``.
        environment: Variables that are known when it begins.
        arguments: What it is called with; None if that is not known.
    """
    shell = _Shell(Values(dict(environment), {}, arguments))
    with contextlib.suppress(_End, RecursionError):
        shell.run(parse(text), outermost=True)
    yield from shell.found
