"""nginx's syntax as a tree of directives: a thin adapter on crossplane's parser (ngxparse, or crossplane 0.5.8).

Only ``crossplane.parse(filename, ...)`` is used. Includes, templates and dumps are handled by ``nginx_files``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from no502.errors import FAILED, UserError

__all__ = ["TEMPLATE_MARK", "Directive", "Syntax", "parse_text"]

TEMPLATE_MARK = "__template_value__"
"""Stands where a template had an expression whose value is not known."""

_LUA_BLOCK = re.compile(r"\b\w+_by_lua_block\s*\{")
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_STATEMENT = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_QUOTE = {"'", '"'}
_MISTAKE = re.compile(
    r'is not terminated by ";"'
    r'|invalid number of arguments in "(?:proxy_(?:pass|(?:read|send|connect)_timeout|http_version|buffer_size))"'
)


@dataclass(eq=False)
class Directive:
    """One directive with what stands in its block."""

    name: str
    args: Sequence[str]
    file: str
    """As shown to the user."""
    line: int
    block: list[Directive] | None = None

    def all(self, name: str) -> Iterator[Directive]:
        """Yield the directives of that name directly inside of the block."""
        yield from (one for one in self.block or () if one.name == name)


@dataclass
class Syntax:
    """What a text gave."""

    directives: list[Directive] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    """(line, message) where nginx would not load it."""
    comments: dict[int, str] = field(default_factory=dict)
    """By line, without the ``#``."""


def parse_text(text: str, shown: str) -> Syntax:
    """Parse one file's text.

    Args:
        text: The text; Jinja expressions and Lua blocks are masked, line numbers stay.
        shown: The file's name for messages.

    Raises:
        UserError: The parser is not installed.
    """
    try:
        import crossplane  # noqa: PLC0415  an extra of this distribution
    except ImportError:
        message = (
            "no nginx parser: install one with pip install 'no502[cli]' (ngxparse), best in an environment of its own"
        )
        raise UserError(message, FAILED) from None
    result = Syntax(comments=_comments(text))
    masked = _mask(text)
    with tempfile.TemporaryDirectory(prefix="no502-") as private:
        path = Path(private) / "nginx.conf"
        path.write_text(masked, encoding="utf-8", newline="\n")
        options = {"single": True, "catch_errors": True, "comments": False, "check_ctx": False}
        try:
            payload: dict[str, Any] = crossplane.parse(str(path), check_args=False, **options)
            checked: dict[str, Any] = crossplane.parse(str(path), check_args=True, **options)
        except RecursionError:
            result.problems.append((1, "blocks are nested too deeply to be read"))
            return result
        except Exception as error:  # noqa: BLE001  a parser's own failure on somebody's file must not end the run
            result.problems.append((getattr(error, "lineno", None) or 1, f"cannot be parsed: {error}"))
            return result
    for part in payload["config"]:
        result.problems += [(one.get("line") or 1, _plain(one["error"], str(path))) for one in part["errors"]]
        result.directives += _convert(part["parsed"], shown)
    if not result.problems:
        # The parser's own table of directives is older than nginx: only what cannot be right in any version counts.
        errors = [one for part in checked["config"] for one in part["errors"]]
        result.problems += [
            (one.get("line") or 1, _plain(one["error"], str(path))) for one in errors if _MISTAKE.search(one["error"])
        ]
    return result


def _convert(statements: Sequence[dict[str, Any]], shown: str) -> list[Directive]:
    return [
        Directive(
            name=one["directive"],
            args=tuple(one.get("args", ())),
            file=shown,
            line=one["line"],
            block=_convert(one["block"], shown) if "block" in one else None,
        )
        for one in statements
        if one["directive"] != "#"
    ]


def _plain(message: str, path: str) -> str:
    """Return the parser's words without its own file and line."""
    return re.sub(rf" in {re.escape(path)}(?::\d+)?$", "", message)


def _mask(text: str) -> str:
    """Replace what is not nginx's own syntax, keeping every newline."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "{{" in text or "{%" in text or "{#" in text:
        text = _EXPRESSION.sub(lambda found: TEMPLATE_MARK + "\n" * found[0].count("\n"), text)
        text = _STATEMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    return _mask_lua(text)


def _mask_lua(text: str) -> str:
    """Empty Lua blocks: their strings and comments are not nginx's."""
    parts, begin = [], 0
    for found in _LUA_BLOCK.finditer(text):
        if found.end() < begin:
            continue
        end = _end_of_block(text, found.end())
        parts += [text[begin : found.end()], "\n" * text.count("\n", found.end(), end)]
        begin = end
    return "".join([*parts, text[begin:]])


def _end_of_block(text: str, begin: int) -> int:
    depth, quote, place = 1, "", begin
    while place < len(text):
        char = text[place]
        if quote:
            place += char == "\\"
            quote = "" if char in {quote, "\n"} else quote
        elif text.startswith("[[", place):
            place = max(place, text.find("]]", place))
        elif text.startswith("--", place):
            place = text.find("\n", place) if "\n" in text[place:] else len(text)
        elif char in _QUOTE:
            quote = char
        else:
            depth += (char == "{") - (char == "}")
            if depth == 0:
                return place
        place += 1
    return len(text)


def _comments(text: str) -> dict[int, str]:
    """Return the comments by line; a ``#`` inside of quotes or of a word begins none."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        begin = _comment_begin(line) if "#" in line else None
        if begin is not None:
            found[number] = line[begin + 1 :].strip()
    return found


def _comment_begin(line: str) -> int | None:
    quote, before = "", " "
    for place, char in enumerate(line):
        if quote:
            quote = "" if char == quote and before != "\\" else quote
        elif char == "#" and (before.isspace() or before in ";{}"):
            return place
        elif char in _QUOTE and (before.isspace() or before in ";{}="):
            quote = char
        before = char
    return None
