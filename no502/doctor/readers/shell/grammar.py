"""The structure of a shell text: commands, lists, branches, loops, functions. Nothing that is written makes it fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from no502.doctor.readers.shell.lexer import Token, Word, tokens

__all__ = ["Branches", "Case", "Function", "Group", "Item", "Loop", "Simple", "parse"]

_DEEPEST = 60
_RESERVED = {"then", "else", "elif", "fi", "do", "done", "esac", "}", "in"}


@dataclass(frozen=True)
class Simple:
    """One command with its assignments in front."""

    words: tuple[Word, ...]
    line: int


@dataclass(frozen=True)
class Branches:
    """``if``: (condition, body) pairs and what runs otherwise."""

    pairs: tuple[tuple[Body, Body], ...]
    otherwise: Body


@dataclass(frozen=True)
class Loop:
    """``while``, ``until`` or ``for``."""

    condition: Body
    body: Body


@dataclass(frozen=True)
class Case:
    """``case``: the subject and (patterns, body) pairs."""

    subject: Word
    arms: tuple[tuple[tuple[Word, ...], Body], ...]


@dataclass(frozen=True)
class Group:
    """``{ ...; }`` or ``( ... )``."""

    body: Body


@dataclass(frozen=True)
class Function:
    """A definition."""

    name: str
    body: Body


@dataclass(frozen=True)
class Item:
    """A command in a list."""

    node: Simple | Branches | Loop | Case | Group | Function
    after: str = ""
    """The operator that follows: ``&``, ``|``, ``&&``, ``||`` or nothing."""


Body = tuple[Item, ...]


@dataclass
class _Parser:
    found: Sequence[Token]
    place: int = 0
    depth: int = 0
    stack: list[str] = field(default_factory=list)

    def _peek(self) -> Token | None:
        return self.found[self.place] if self.place < len(self.found) else None

    def _word(self) -> str | None:
        token = self._peek()
        return token.word.literal if token is not None and token.word is not None else None

    def _take(self, *expected: str) -> bool:
        token = self._peek()
        if token is not None and (token.operator in expected or (self._word() in expected and token.word is not None)):
            self.place += 1
            return True
        return False

    def _blank(self) -> None:
        while (token := self._peek()) is not None and token.operator in {"\n", ";"}:
            self.place += 1

    def body(self, *ends: str) -> Body:
        """Read commands up to a reserved word or operator of ``ends``, or to the end."""
        items: list[Item] = []
        self.depth += 1
        while (token := self._peek()) is not None:
            if token.operator in {"\n", ";", "&"}:
                self.place += 1
                continue
            if token.operator in ends or (token.word is not None and self._word() in ends):
                break
            if token.operator or self.depth > _DEEPEST:
                self.place += 1  # out of place
                if token.operator == "(" and self.depth <= _DEEPEST:
                    items.append(Item(Group(self.body(")")), self._after(")")))
                continue
            node = self._command()
            if node is not None:
                items.append(Item(node, self._after()))
        self.depth -= 1
        return tuple(items)

    def _after(self, closing: str = "") -> str:
        if closing:
            self._take(closing)
        token = self._peek()
        if token is not None and token.operator in {"&", "|", "|&", "&&", "||"}:
            self.place += 1
            return "|" if token.operator == "|&" else token.operator
        return ""

    def _command(self) -> Simple | Branches | Loop | Case | Group | Function | None:  # noqa: PLR0911  one for each kind
        word = self._word()
        if word == "if":
            return self._if()
        if word in {"while", "until"}:
            self.place += 1
            condition = self.body("do")
            return Loop(condition, self._done())
        if word in {"for", "select"}:
            self.place += 1
            while (token := self._peek()) is not None and token.operator not in {"\n", ";"} and self._word() != "do":
                self.place += 1
            self._blank()
            return Loop((), self._done())
        if word == "case":
            return self._case()
        if word == "{":
            self.place += 1
            body = self.body("}")
            self._take("}")
            return Group(body)
        if word == "function" or self._defines():
            return self._function()
        return self._simple()

    def _done(self) -> Body:
        self._take("do")
        body = self.body("done")
        self._take("done")
        return body

    def _if(self) -> Branches:
        pairs: list[tuple[Body, Body]] = []
        otherwise: Body = ()
        while self._take("if", "elif"):
            condition = self.body("then")
            self._take("then")
            pairs.append((condition, self.body("elif", "else", "fi")))
            if self._take("else"):
                otherwise = self.body("fi")
                break
        self._take("fi")
        return Branches(tuple(pairs), otherwise)

    def _case(self) -> Case | None:
        self.place += 1
        token = self._peek()
        if token is None or token.word is None:
            return None
        subject = token.word
        self.place += 1
        self._blank()
        self._take("in")
        arms: list[tuple[tuple[Word, ...], Body]] = []
        while True:
            self._blank()
            token = self._peek()
            if token is None or self._take("esac"):
                break
            self._take("(")
            patterns: list[Word] = []
            while (token := self._peek()) is not None and token.operator != ")":
                self.place += 1
                if token.word is not None:
                    patterns.append(token.word)
                elif token.operator == "\n":
                    break
            self._take(")")
            arms.append((tuple(patterns), self.body(";;", ";&", ";;&", "esac")))
            self._take(";;", ";&", ";;&")
        return Case(subject, tuple(arms))

    def _defines(self) -> bool:
        following = [token.operator for token in self.found[self.place + 1 : self.place + 3]]
        return following == ["(", ")"] and self._word() is not None

    def _function(self) -> Function | None:
        self._take("function")
        name = self._word()
        self.place += 1
        if self._take("("):
            self._take(")")
        self._blank()
        if name is None:
            return None
        if self._take("{"):
            body = self.body("}")
            self._take("}")
        elif self._take("("):
            body = self.body(")")
            self._take(")")
        else:
            body = ()
        return Function(name, body)

    def _simple(self) -> Simple | None:
        words: list[Word] = []
        line = 0
        test = self._word() == "[["
        while (token := self._peek()) is not None:
            if token.word is None:
                if not (test and token.operator in {"&&", "||", "(", ")"}):
                    break
                self.place += 1
                words.append(Word((), token.line))
                continue
            line = line or token.line
            self.place += 1
            if not words and token.word.literal in {"!", "time", "then", "else", "do"}:
                if token.word.literal == "!":
                    continue
                break
            words.append(token.word)
            if test and token.word.literal == "]]":
                break
        return Simple(tuple(words), line) if words else None


def parse(text: str) -> Body:
    """Return the commands of a shell text."""
    return _Parser(tokens(text)).body()
