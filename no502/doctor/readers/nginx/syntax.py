"""nginx's syntax as a tree of directives: a thin adapter on crossplane's parser (ngxparse, or crossplane 0.5.8).

Only ``crossplane.parse(filename, ...)`` is used. Includes, templates and dumps are handled by ``nginx_files``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from no502.doctor.readers.nginx.masks import Masked, mask, scan
from no502.errors import FAILED, UserError

__all__ = ["Directive", "Syntax", "parse_text"]

_DEEPEST = 100
_MOST_DIRECTIVES = 400_000


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
        """Yield the directives of that name directly inside the block."""
        yield from (one for one in self.block or () if one.name == name)


@dataclass
class Syntax:
    """What a text gave."""

    directives: list[Directive] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    """(line, message) where nginx would not load it."""
    comments: dict[int, str] = field(default_factory=dict)
    """By line, without the ``#``."""
    snippets: list[tuple[int, str]] = field(default_factory=list)
    """(line, expression) of a template that may be any number of directives."""
    branches: bool = False
    """It is a template with conditions: both sides stand in it."""
    controls: list[int] = field(default_factory=list)
    """Lines of a template's statements."""


def parse_text(text: str, shown: str) -> Syntax:
    """Parse one file's text.

    Args:
        text: The text; Jinja expressions and Lua blocks are masked, line numbers stay.
        shown: The file's name for messages.

    Raises:
        UserError: The parser is not installed.
    """
    try:
        import crossplane
    except ImportError:
        message = "no nginx parser: pip install ngxparse, best in an environment of its own"
        raise UserError(message, FAILED) from None
    masked = mask(text)
    result = Syntax(
        problems=masked.problems, snippets=masked.snippets, branches=masked.branches, controls=masked.controls
    )
    if masked.text.count(";") + masked.text.count("{") > _MOST_DIRECTIVES:
        result.problems.append((1, f"more than {_MOST_DIRECTIVES} directives: not read"))
        return result
    _parse(crossplane.parse, masked, shown, result)
    result.comments, unfinished = scan(masked.text)
    if not result.problems:
        result.problems = unfinished
    result.problems = list(dict.fromkeys(result.problems))
    return result


def _parse(parse: Callable[..., dict[str, Any]], masked: Masked, shown: str, result: Syntax) -> None:
    """Let the parser read a copy of the text."""
    with tempfile.TemporaryDirectory(prefix="no502-") as private:
        path = Path(private) / "nginx.conf"
        path.write_text(masked.text, encoding="utf-8", errors="replace", newline="\n")
        try:
            payload = parse(
                str(path), single=True, catch_errors=True, comments=False, check_ctx=False, check_args=False
            )
            for part in payload["config"]:
                result.directives += _convert(part["parsed"], shown, _DEEPEST)
                result.problems += [(one.get("line") or 1, _plain(one["error"], str(path))) for one in part["errors"]]
        except RecursionError:
            result.problems.append((1, "blocks are nested too deeply to be read"))
        except Exception as error:  # noqa: BLE001  a parser's own failure on a foreign file must not end the run
            result.problems.append(
                (getattr(error, "lineno", None) or 1, _plain(f"cannot be parsed: {error}", str(path)))
            )


def _convert(statements: Sequence[dict[str, Any]], shown: str, deepest: int) -> list[Directive]:
    if deepest == 0:
        raise RecursionError
    return [
        Directive(
            name=one["directive"],
            args=tuple(one.get("args", ())),
            file=shown,
            line=one["line"],
            block=_convert(one["block"], shown, deepest - 1) if "block" in one else None,
        )
        for one in statements
        if one["directive"] != "#"
    ]


def _plain(message: str, path: str) -> str:
    """Return the parser's words without its own file and line."""
    if "maximum recursion depth" in message:
        return "blocks are nested too deeply to be read"
    return re.sub(rf" in {re.escape(path)}(?::\d+)?", "", message)
