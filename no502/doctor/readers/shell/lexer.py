"""The words and operators of a shell text, with quotes, expansions, here-documents and line numbers.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_03
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Part", "Token", "Word", "tokens"]

_OPERATORS = (
    *(
        ";;&",
        ";;",
        ";&",
        "&&",
        "||",
        "|&",
        "<<<",
        "<<-",
        "<<",
        ">>",
        "&>>",
        "&>",
        ">&",
        "<&",
        "<>",
        ">|",
        "|",
        "&",
        ";",
    ),
    *("(", ")", "<", ">"),
)
_REDIRECTIONS = {"<<<", "<<-", "<<", ">>", "&>>", "&>", ">&", "<&", "<>", ">|", "<", ">"}
_PLAIN = re.compile(r"[^ \t\r\n\\'\"$`;&|<>()#]+|#")
_QUOTED = re.compile(r"[^\"$`\\]+")
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_MOST_TOKENS = 100_000


@dataclass(frozen=True)
class Part:
    """A piece of a word."""

    text: str
    """Literal text, or the expansion as it is written."""
    kind: str = "text"
    """``text``, ``variable`` (``$NAME``, ``${NAME:-x}``) or ``command`` (``$(...)``)."""
    quoted: bool = False
    """It stands in quotes, so it is one word whatever its value."""


@dataclass(frozen=True)
class Word:
    """One word before expansion."""

    parts: tuple[Part, ...]
    line: int

    @property
    def literal(self) -> str | None:
        """The text of a word without quotes and expansions: only such a word can be a reserved one."""
        return self.parts[0].text if len(self.parts) == 1 and self.parts[0] == Part(self.parts[0].text) else None

    @property
    def source(self) -> str:
        """The word with its expansions as they are written, without quotes."""
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True)
class Token:
    """A word, an operator or a line end."""

    operator: str
    """The operator, ``\\n`` for a line end, or empty for a word."""
    line: int
    word: Word | None = None


@dataclass
class _Lexer:
    text: str
    place: int = 0
    line: int = 1
    found: list[Token] = field(default_factory=list)
    pending: list[tuple[str, bool]] = field(default_factory=list)
    """Ends of here-documents that begin on this line, and whether tabs before them are taken away."""

    def run(self) -> list[Token]:
        text, size = self.text, len(self.text)
        while self.place < size and len(self.found) < _MOST_TOKENS:
            char = text[self.place]
            if char == "\n":
                self.found.append(Token("\n", self.line))
                self.place += 1
                self.line += 1
                self._skip_documents()
            elif char in " \t\r":
                self.place += 1
            elif text.startswith("\\\n", self.place) or text.startswith("\\\r\n", self.place):
                self.place = text.index("\n", self.place) + 1
                self.line += 1
            elif char == "#":
                end = text.find("\n", self.place)
                self.place = size if end < 0 else end
            elif operator := next((one for one in _OPERATORS if text.startswith(one, self.place)), ""):
                self.place += len(operator)
                self._operator(operator)
            else:
                start = self.place
                word = self._word()
                if self.place == start:
                    self.place += 1  # nothing that begins a word: never stand still
                if word.parts:
                    self.found.append(Token("", word.line, word))
        self.found.append(Token("\n", self.line))
        return self.found

    def _operator(self, operator: str) -> None:
        if operator not in _REDIRECTIONS:
            self.found.append(Token(operator, self.line))
            return
        before = self.found[-1] if self.found else None
        adjacent = self.place - len(operator) > 0 and not self.text[self.place - len(operator) - 1].isspace()
        if before is not None and before.word is not None and adjacent and (before.word.literal or "").isdigit():
            self.found.pop()  # the number of a descriptor
        while self.place < len(self.text) and self.text[self.place] in " \t":
            self.place += 1
        target = self._word()
        if operator in {"<<", "<<-"}:
            self.pending.append((target.source, operator == "<<-"))

    def _skip_documents(self) -> None:
        for end, tabs in self.pending:
            while self.place < len(self.text):
                stop = self.text.find("\n", self.place)
                stop = len(self.text) if stop < 0 else stop
                line = self.text[self.place : stop].rstrip("\r")
                self.place = min(stop + 1, len(self.text))
                self.line += 1
                if (line.lstrip("\t") if tabs else line) == end:
                    break
        self.pending.clear()

    def _word(self) -> Word:
        parts: list[Part] = []
        line, text = self.line, self.text
        while self.place < len(text):
            char = text[self.place]
            if char == "\\":
                if self.place + 1 < len(text) and text[self.place + 1] != "\n":
                    parts.append(Part(text[self.place + 1], quoted=True))
                self.line += text.startswith("\\\n", self.place)
                self.place += 2
            elif char == "'":
                parts.append(Part(self._until("'"), quoted=True))
            elif char == '"':
                parts += self._double()
            elif char in "$`":
                parts.append(self._expansion(quoted=False))
            elif found := _PLAIN.match(text, self.place):
                parts.append(Part(found[0]))
                self.place = found.end()
            elif text.startswith("(", self.place) and parts and parts[-1].text.endswith("=") and len(parts) == 1:
                parts.append(Part(self._balanced("(", ")"), "array"))
            else:
                break
        return Word(tuple(_joined(parts)), line)

    def _until(self, quote: str) -> str:
        end = self.text.find(quote, self.place + 1)
        end = len(self.text) if end < 0 else end
        inside = self.text[self.place + 1 : end]
        self.line += inside.count("\n")
        self.place = end + 1
        return inside

    def _double(self) -> list[Part]:
        parts: list[Part] = [Part("", quoted=True)]
        text = self.text
        self.place += 1
        while self.place < len(text) and text[self.place] != '"':
            char = text[self.place]
            if char == "\\" and self.place + 1 < len(text):
                following = text[self.place + 1]
                self.line += following == "\n"
                parts.append(
                    Part(
                        "" if following == "\n" else following if following in '$`"\\' else char + following,
                        quoted=True,
                    )
                )
                self.place += 2
            elif char in "$`":
                parts.append(self._expansion(quoted=True))
            else:
                found = _QUOTED.match(text, self.place)
                inside = found[0] if found is not None else char
                parts.append(Part(inside, quoted=True))
                self.line += inside.count("\n")
                self.place += len(inside)
        self.place += 1
        return parts

    def _expansion(self, *, quoted: bool) -> Part:
        text = self.text
        if text[self.place] == "`":
            return Part(f"`{self._until('`')}`", "command", quoted)
        if text.startswith("$(", self.place):
            self.place += 1
            return Part("$" + self._balanced("(", ")"), "command", quoted)
        if text.startswith("${", self.place):
            self.place += 1
            return Part("$" + self._balanced("{", "}"), "variable", quoted)
        found = _NAME.match(text, self.place + 1)
        if found is None:
            self.place += 1
            return Part("$", quoted=True)
        self.place = found.end()
        return Part("$" + found[0], "variable", quoted)

    def _balanced(self, opening: str, closing: str) -> str:
        """Return the text from an opening bracket to the one that closes it, quotes stepped over."""
        text, begin, depth = self.text, self.place, 0
        while self.place < len(text):
            char = text[self.place]
            if char == "\\":
                self.place += 1
            elif char == "'" and opening == "(":
                end = text.find("'", self.place + 1)
                self.place = len(text) if end < 0 else end
            elif char == opening:
                depth += 1
            elif char == closing:
                depth -= 1
                if depth == 0:
                    self.place += 1
                    break
            self.place += 1
        self.place = min(self.place, len(text))
        self.line += text.count("\n", begin, self.place)
        return text[begin : self.place]


def _joined(parts: list[Part]) -> list[Part]:
    """Return the parts with neighbours of the same kind put together."""
    found: list[Part] = []
    for part in parts:
        if found and part.kind == "text" == found[-1].kind and part.quoted == found[-1].quoted:
            found[-1] = Part(found[-1].text + part.text, "text", part.quoted)
        else:
            found.append(part)
    return found if len(found) < 2 else [part for part in found if part.text or part.kind != "text"] or found[:1]


def tokens(text: str) -> list[Token]:
    """Return the words and operators of a shell text; redirections are left out, here-documents are no commands."""
    return _Lexer(text.replace("\r\n", "\n")).run()
