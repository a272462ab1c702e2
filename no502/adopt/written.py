"""A command as its file has it: where each word stands, so that some words change and the rest stays as it is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Word", "Written", "json_words", "shell_words"]

_STOPS = frozenset("\n;&|()")


@dataclass(frozen=True)
class Word:
    """One word: its text without quotes, and where it stands in the file."""

    text: str
    start: int
    end: int
    style: str = ""
    """That of its list where the words of a command stand in several."""
    part: int = 0
    """Which list it is in."""


@dataclass
class Written:
    """A command in a file's text; what is changed is collected until ``apply``.

    Args:
        text: The whole file.
        words: The command's words in order, wrappers such as ``exec`` left out: the first is the program.
        style: ``shell`` (words between blanks), ``flow`` (quoted words between commas), ``block`` (one word a line).
        begin: Where a shell's text begins.
        quote: The quotation mark around the text in which the words stand; empty for none.
    """

    text: str
    words: Sequence[Word]
    style: str
    quote: str = ""
    begin: int = 0
    """Where the shell's text begins."""
    _edits: list[tuple[int, int, str]] = field(default_factory=list)
    _dropped: set[int] = field(default_factory=set)

    def raw(self, index: int) -> str:
        """Return a word with its quotes."""
        word = self.words[index]
        return self.text[word.start : word.end]

    def replace(self, index: int, new: str) -> None:
        """Put another word in the place of one; it is quoted as its place needs."""
        word = self.words[index]
        self._edits.append((word.start, word.end, self._quoted(new, index)))

    def replace_raw(self, index: int, new: str) -> None:
        """Put a text in the place of a word, quotes and variables as they are in ``new``."""
        word = self.words[index]
        self._edits.append((word.start, word.end, new))

    def drop(self, index: int) -> None:
        """Take a word out, with what separates it from the one before."""
        if index in self._dropped:
            return
        self._dropped.add(index)
        word, before = self.words[index], self.words[index - 1]
        if self._style(index) == "block":
            start = self.text.rfind("\n", 0, word.start) + 1
            end = self.text.find("\n", word.end)
            self._edits.append((start, len(self.text) if end < 0 else end + 1, ""))
        elif before.part != word.part:
            following = self.words[index + 1] if index + 1 < len(self.words) else None
            end = following.start if following is not None and following.part == word.part else word.end
            self._edits.append((word.start, end, ""))
        else:
            self._edits.append((before.end, word.end, ""))

    def _style(self, index: int) -> str:
        return self.words[index].style or self.style

    def insert(self, index: int, new: Sequence[str]) -> None:
        """Add words behind the one at ``index``."""
        word = self.words[index]
        quoted = [self._quoted(one, index) for one in new]
        if self._style(index) == "block":
            begin = self.text.rfind("\n", 0, word.start) + 1
            lead = self.text[begin : word.start]
            end = self.text.find("\n", word.end)
            lines = "".join(f"{lead}{one}\n" for one in quoted)
            if end < 0:
                self._edits.append((len(self.text), len(self.text), "\n" + lines.rstrip("\n")))
            else:
                self._edits.append((end + 1, end + 1, lines))
            return
        between = " " if self._style(index) == "shell" else ", "
        self._edits.append((word.end, word.end, "".join(between + one for one in quoted)))

    def execute(self) -> bool:
        """Put ``exec`` before the command where a shell's text ends with it; return whether it did."""
        if self.style != "shell":
            return False
        start, end = self.words[0].start, self.words[-1].end
        begin = max(
            self.text.rfind(mark, 0, start) for mark in ("\n", ";", "&", "|", *([self.quote] if self.quote else []))
        )
        begin = max(begin, self.begin - 1)
        before = self.text[begin + 1 : start]
        after = self.text[end:].split(self.quote, 1)[0] if self.quote else self.text[end:]
        rest = re.sub(r"#.*", "", after)
        if re.search(r"\bexec\b|\w=", before) or re.sub(r"\bfi\b|\besac\b|;|\}", "", rest).strip():
            return False
        at = begin + 1 + len(before) - len(before.lstrip())
        self._edits.append((at, at, "exec "))
        return True

    def apply(self) -> str:
        """Return the file's text with all changes."""
        text = self.text
        for start, end, new in sorted(self._edits, key=lambda edit: (edit[0], edit[1]), reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _quoted(self, new: str, index: int) -> str:
        style = self._style(index)
        if style == "shell":
            quoted = (
                new
                if re.fullmatch(r"[\w@%+=:,./$(){}*\[\]-]+", new) and not re.search(r"[()*\[\]]", new)
                else shlex.quote(new)
            )
            return quoted.replace("'", "''") if self.quote == "'" else quoted
        like = self.raw(index)[:1]
        if style == "flow" or like == '"':
            plain = like not in {'"', "'"} and re.fullmatch(r"[A-Za-z0-9_./][\w./:=+-]*", new)
            return new if plain else json.dumps(new, ensure_ascii=False)
        if like != "'" and re.fullmatch(r"[A-Za-z0-9_./][\w./=+-]*(?::[\w./]+)*", new) and not new.isdecimal():
            return new
        return json.dumps(new, ensure_ascii=False)


def shell_words(text: str, start: int, end: int, *, folded: bool = False) -> list[Word]:
    """Return the words of one simple command.

    Args:
        text: The file.
        start: Where the command begins.
        end: Where its text ends at the latest.
        folded: A line break is a blank, as in a folded text of YAML.
    """
    found: list[Word] = []
    at = start
    while at < end:
        char = text[at]
        if text.startswith("\\\n", at):
            at += 2
        elif char in " \t" or (folded and char == "\n"):
            at += 1
        elif char in _STOPS or (char == "#" and found):
            break
        else:
            stop = _word_end(text, at, end)
            if stop == at:
                break
            found.append(Word(_unquoted(text[at:stop]), at, stop))
            at = stop
    if found and found[-1].text.isdecimal() and text[found[-1].end : found[-1].end + 1] == ">":
        found.pop()
    return found


def _word_end(text: str, at: int, end: int) -> int:
    while at < end:
        char = text[at]
        if char in "\"'" or text.startswith('\\"', at):
            mark = '\\"' if char == "\\" else char
            close = text.find(mark, at + len(mark), end)
            if close < 0:
                return end
            at = close + len(mark)
        elif text.startswith(("$(", "${"), at):
            close = text.find(")" if text[at + 1] == "(" else "}", at, end)
            at = end if close < 0 else close + 1
        elif text.startswith("\\\n", at) or char in " \t\n;&|()<>":
            return at
        elif char == "\\":
            at += 2
        else:
            at += 1
    return min(at, end)


def _unquoted(raw: str) -> str:
    try:
        words = shlex.split(raw.replace('\\"', '"'))
    except ValueError:
        return raw
    return words[0] if len(words) == 1 else raw


def json_words(text: str, start: int, end: int) -> Iterator[Word]:
    """Yield the strings of a JSON list."""
    for found in re.finditer(r'"(?:\\.|[^"\\])*"', text[start:end]):
        try:
            value = json.loads(found[0])
        except ValueError:
            continue
        yield Word(str(value), start + found.start(), start + found.end())
