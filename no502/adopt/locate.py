"""Find a start command, as doctor has read it, in its file's text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

import yaml

from no502.adopt.written import Word, Written, json_words, shell_words
from no502.doctor.readers.kinds import kind_by_name
from no502.doctor.readers.yaml_nodes import yaml_pairs

__all__ = ["indent_at", "line_start", "locate", "yaml_documents"]

_PROGRAM = re.compile(r"(?<![\w.$-])(?:[\w.${}~-]*/)*(?:gunicorn|uvicorn|fastapi)(?![\w.:/=-])")
_KEYS = ("command", "args", "entrypoint")


def line_start(text: str, line: int) -> int:
    """Return where a 1-based line begins."""
    at = 0
    for _ in range(line - 1):
        at = text.find("\n", at) + 1
        if at == 0:
            return len(text)
    return at


def indent_at(text: str, start: int) -> str:
    """Return the blanks at the beginning of the line that begins at a place."""
    end = start
    while text[end : end + 1] in {" ", "\t"}:
        end += 1
    return text[start:end]


def locate(name: str, text: str, line: int, application: str | None) -> Written | None:
    """Return the command that begins at a line of a file; None where its words cannot be told.

    Args:
        name: The file's name.
        text: Its text.
        line: 1-based.
        application: The application that the command serves, to tell one command from another.
    """
    base = PurePosixPath(name).name
    if re.search(r"\.ya?ml$", base, re.IGNORECASE):
        found = list(_in_yaml(text, line))
    elif kind_by_name(base) == "dockerfiles":
        found = list(_in_dockerfile(text, line))
    else:
        start = line_start(text, line)
        if "[program:" in text:
            indented = re.compile(r"[^\n]*(?:\n[ \t]+\S[^\n]*)*").match(text, start)
            end = indented.end() if indented is not None else len(text)
            found = list(_in_text(text, start, end, quote="", folded=True))
            return found[0] if found else None
        end = len(text) if base.endswith((".sh", ".bash")) or text.startswith("#!") else _logical_end(text, start)
        found = list(_in_text(text, start, end, quote=""))
    if application is not None:
        found = [one for one in found if any(word.text == application for word in one.words)] or found
    return found[0] if found else None


def _logical_end(text: str, start: int) -> int:
    """Return where a line ends, continuations included."""
    at = start
    while True:
        end = text.find("\n", at)
        if end < 0:
            return len(text)
        if not text[at:end].rstrip().endswith("\\"):
            return end
        at = end + 1


def _in_text(text: str, start: int, end: int, *, quote: str, folded: bool = False) -> Iterator[Written]:
    for found in _PROGRAM.finditer(text, start, end):
        mark, close = _around(text, start, found.start(), end)
        words = shell_words(text, found.start(), close, folded=folded)
        if words and _serves(words):
            yield Written(text, words, "shell", quote or mark, start)


def _around(text: str, start: int, at: int, end: int) -> tuple[str, int]:
    """Return the quotation mark inside which a place is, and where its text ends: ``sh -c "... HERE ..."``."""
    mark = ""
    index = start
    while index < at:
        if text[index] == "\\":
            index += 1
        elif text[index] in "\"'" and mark in {"", text[index]}:
            mark = "" if mark else text[index]
        index += 1
    if not mark:
        return "", end
    close = at
    while close < end and text[close] != mark:
        close += 2 if text[close] == "\\" else 1
    return mark, min(close, end)


def _serves(words: list[Word]) -> bool:
    """Whether words are a command that serves, not a mention of the program."""
    program = PurePosixPath(words[0].text).name
    if program == "fastapi":
        return len(words) > 1 and words[1].text == "run"
    return program in {"gunicorn", "uvicorn"} and len(words) > 1


def _in_list(text: str, words: list[Word], style: str) -> Iterator[Written]:
    """Yield the command in a list of words, or in a word that is a shell's text."""
    for number, word in enumerate(words):
        plain = PurePosixPath(word.text).name
        if plain in {"gunicorn", "uvicorn", "fastapi"} and _serves(words[number:]):
            yield Written(text, words[number:], style)
            return
    for word in words:
        if re.search(r"\s", word.text):
            quote = text[word.start] if text[word.start] in "\"'" else ""
            folded = text[word.start] == ">"
            inner = len(quote)
            yield from _in_text(text, word.start + inner, word.end - inner, quote=quote, folded=folded)


def _in_dockerfile(text: str, line: int) -> Iterator[Written]:
    start = line_start(text, line)
    end = _logical_end(text, start)
    found = re.compile(r"\s*(?:CMD|ENTRYPOINT)\s+", re.IGNORECASE).match(text, start)
    if found is None:
        return
    if text[found.end()] != "[":
        yield from _in_text(text, found.end(), end, quote="")
        return
    words = list(json_words(text, found.end(), end))
    if not any(_PROGRAM.search(word.text) for word in words):
        words = [*_entrypoint(text, start), *(replace(word, part=1) for word in words)]
    yield from _in_list(text, words, "flow")


def _entrypoint(text: str, before: int) -> list[Word]:
    """Return the words of the ENTRYPOINT that stands in front of a CMD."""
    last = None
    for found in re.finditer(r"^\s*ENTRYPOINT\s+(?=\[)", text[:before], re.IGNORECASE | re.MULTILINE):
        last = found
    return list(json_words(text, last.end(), _logical_end(text, last.end()))) if last is not None else []


def yaml_documents(text: str) -> list[yaml.Node]:
    """Return the documents of a YAML text as nodes with their places; none where it is no YAML."""
    try:
        nodes: list[yaml.Node | None] = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError):
        return []
    return [node for node in nodes if node is not None]


def _in_yaml(text: str, line: int) -> Iterator[Written]:
    for document in yaml_documents(text):
        for mapping, key, value in yaml_pairs(document):
            if key.value not in _KEYS or key.start_mark.line + 1 != line:
                continue
            parts = [value]
            if key.value == "command":
                parts += [other for name, other in mapping.value if name.value == "args"]
            elif key.value == "args":
                parts = [other for name, other in mapping.value if name.value == "command"] + parts
            yield from _in_values(text, parts)


def _in_values(text: str, parts: list[yaml.Node]) -> Iterator[Written]:
    words: list[Word] = []
    style = "flow"
    for number, part in enumerate(parts):
        if isinstance(part, yaml.SequenceNode):
            style = "flow" if part.flow_style else "block"
            words += [
                Word(str(item.value), item.start_mark.index, item.end_mark.index, style, number)
                for item in part.value
                if isinstance(item, yaml.ScalarNode)
            ]
        elif isinstance(part, yaml.ScalarNode):
            start, end = part.start_mark.index, part.end_mark.index
            quote = part.style if part.style in {"'", '"'} else ""
            inner = len(quote or "")
            folded = part.style != "|"
            yield from _in_text(text, start + inner, end - inner, quote=quote or "", folded=folded)
    yield from _in_list(text, words, style)
