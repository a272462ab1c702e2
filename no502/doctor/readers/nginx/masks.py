"""Masks for text in nginx files that is not nginx's syntax: Jinja, Go and ERB templates, Lua. Line numbers are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["ERB_MARK", "TEMPLATE_MARK", "Masked", "mask", "scan"]

TEMPLATE_MARK = "__template_value__"
"""Stands where a template had an expression whose value is not known."""
ERB_MARK = f"{TEMPLATE_MARK}erb__"
"""The same for ERB's ``<%= %>``."""

_LUA_BLOCK = re.compile(r"\b\w+_by_lua_block\s*\{")
_LUA_PIECE = re.compile(r"--\[(=*)\[|--[^\n]*|\[(=*)\[|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|[{}]", re.DOTALL)
_EXPRESSION = re.compile(r"\{\{(?:[^{}]|\}(?!\})|\{(?!\{))*\}\}|<%=?[^%]*%>")
_STATEMENT = re.compile(r"\{%(?:[^%]|%(?!\}))*%\}")
_REMARK = re.compile(r"\{#(?:[^#]|#(?!\}))*#\}")
_CONTROL = re.compile(
    r"\{\{-?\s*(?:(?:if|else|end|range|with|define|block|break|continue)\b|/\*|\$\w+\s*:?=)|\{\{!|\{\{[#/^]|<%(?!=)"
)
_REPEAT = re.compile(r"(?<=[^\s{};$\\])\{(\d+,?\d*|,\d+)\}")
_TOKEN = re.compile(
    r"\s+|#[^\n]*|\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|[;{}]|(?:\\.|\$\{[^}\s]*\}|[^\s;{}\\$]|\$|\\)+", re.DOTALL
)
_MOST_CONTROLS = 5000
_QUOTE = {"'", '"'}
_PLACEHOLDER = re.compile(r"(?<![$\\{])\{[A-Za-z_]\w*\}(?!\})")
_ALONE = re.compile(r"^[ \t]*(\$\{[A-Z][A-Z0-9_]*\})[ \t]*$", re.MULTILINE)


@dataclass
class Masked:
    """A text that nginx's grammar can read."""

    text: str
    branches: bool = False
    """It had statements (``{% if %}``), so both sides of a condition stand in it."""
    snippets: list[tuple[int, str]] = field(default_factory=list)
    """(line, expression) that stands by itself and may be any number of directives."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    controls: list[int] = field(default_factory=list)
    """Lines of its statements: what is between two of them may stand there once, several times or never."""


def mask(text: str) -> Masked:
    """Replace what is not nginx's own syntax, keeping every newline."""
    result = Masked(text.replace("\r\n", "\n").replace("\r", "\n"))
    if "{{" in text or "{%" in text or "<%" in text:
        _mask_template(result)
    if "}" in result.text:
        result.text = _mask_placeholders(result.text)
    if "${" in result.text:
        _mask_variables(result)
    if "_by_lua_block" in result.text:
        result.text = _mask_lua(result.text)
    if _REPEAT.search(result.text):
        _mask_repeats(result)
    return result


def _mask_placeholders(text: str) -> str:
    """Replace names in braces, as in ``www.{name}.com``: no block of nginx has a bare word and nothing else."""

    def replace(found: re.Match[str]) -> str:
        begin = text.rfind("\n", 0, found.start()) + 1
        comment, quoted = _scan(text[begin : found.start()], found.start() - begin)
        return found[0] if comment is not None or quoted else TEMPLATE_MARK

    return _PLACEHOLDER.sub(replace, text)


def _mask_variables(result: Masked) -> None:
    """Take out envsubst's variables that stand alone on a line: they may be any number of directives, or none."""
    for found in _ALONE.finditer(result.text):
        result.snippets.append((result.text.count("\n", 0, found.start(1)) + 1, found[1]))
    result.text = _ALONE.sub("", result.text)


def scan(text: str) -> tuple[dict[int, str], list[tuple[int, str]]]:
    """Return the comments by line, and (line, message) where a directive has no end: parsers let that pass."""
    comments: dict[int, str] = {}
    problems: list[tuple[int, str]] = []
    line, begin, word = 1, 0, ""
    for found in _TOKEN.finditer(text):
        token = found[0]
        first = token[0]
        if first == "#":
            comments[line] = token[1:].strip()
        elif first in "{};":
            if first == "}" and word:
                problems.append((begin, f'"{word[:60]}" has no ";" at its end'))
            word = ""
        elif not first.isspace() and not word:
            begin, word = line, token.strip("\"'") or "an empty text"
        line += token.count("\n")
    if word:
        problems.append((begin, f'"{word[:60]}" has no ";" at its end'))
    return comments, problems


def _scan(line: str, end: int) -> tuple[int | None, bool]:
    """Return where a comment begins before ``end``, and whether ``end`` is inside quotes."""
    quote, before = "", " "
    for place, char in enumerate(line[:end]):
        if quote:
            quote = "" if char == quote and before != "\\" else quote
        elif char == "#" and (before.isspace() or before in ";{}"):
            return place, False
        elif char in _QUOTE and (before.isspace() or before in ";{}"):
            quote = char
        before = char
    return None, bool(quote)


def _mask_template(result: Masked) -> None:
    text = result.text
    if "{%" in text or "{{" in text:
        text = _REMARK.sub(_newlines, text)
    result.controls += [text.count("\n", 0, found.start()) + 1 for found in _STATEMENT.finditer(text)][:_MOST_CONTROLS]
    text, count = _STATEMENT.subn(_newlines, text)
    result.branches = count > 0
    line, last = 1, 0

    def replace(found: re.Match[str]) -> str:
        nonlocal line, last
        line += text.count("\n", last, found.start())
        last = found.start()
        if _CONTROL.match(found[0]):
            result.branches = True
            result.controls.append(line)
            return _newlines(found)
        before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        after = text[found.end() : found.end() + 200].partition("\n")[0]
        if not before.strip() and not after.strip():
            result.snippets.append((line, " ".join(found[0].split())[:80]))
            return _newlines(found)
        return (ERB_MARK if found[0].startswith("<%") else TEMPLATE_MARK) + _newlines(found)

    result.text = _EXPRESSION.sub(replace, text)


def _newlines(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")


def _mask_lua(text: str) -> str:
    """Empty Lua blocks: their strings and comments are not nginx's."""
    parts, begin = [], 0
    for found in _LUA_BLOCK.finditer(text):
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        if found.start() < begin or "#" in line:
            continue
        end = _end_of_lua(text, found.end())
        parts += [text[begin : found.end()], "\n" * text.count("\n", found.end(), end)]
        begin = end
    return "".join([*parts, text[begin:]])


def _end_of_lua(text: str, place: int) -> int:
    """Return where the block's brace closes, stepping over Lua's strings, long strings and comments."""
    depth = 1
    while found := _LUA_PIECE.search(text, place):
        place = found.end()
        level = found[1] if found[1] is not None else found[2]
        if level is not None:
            closing = f"]{level}]"
            end = text.find(closing, place)
            place = len(text) if end < 0 else end + len(closing)
        elif found[0] in {"{", "}"}:
            depth += 1 if found[0] == "{" else -1
            if depth == 0:
                return found.start()
    return len(text)


def _mask_repeats(result: Masked) -> None:
    """Say where ``{2,8}`` stands outside of quotes: nginx takes its brace for the beginning of a block."""
    lines = result.text.split("\n")
    for number, line in enumerate(lines, 1):
        if "{" not in line:
            continue
        wrong = [found for found in _REPEAT.finditer(line) if _scan(line, found.start()) == (None, False)]
        for found in reversed(wrong):
            lines[number - 1] = lines[number - 1][: found.start()] + lines[number - 1][found.end() :]
        if wrong:
            message = f"{wrong[0][0]} outside of quotes: nginx reads the brace as a block; quote the regular expression"
            result.problems.append((number, message))
    result.text = "\n".join(lines)
