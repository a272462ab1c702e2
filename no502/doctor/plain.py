"""A page of Markdown as text for a terminal: no marks of headings and fences, links with where they lead."""

from __future__ import annotations

import posixpath
import re
import textwrap
from collections.abc import Iterator

from no502.addresses import shown_page

__all__ = ["to_plain"]

_WIDTH = 100
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"```(?:\w+)?(?:[ \t]+title=\"([^\"]*)\")?$")


def to_plain(markdown: str, folder: str) -> str:
    """Return a page as text, at most 100 columns wide but for code, tables and addresses.

    Args:
        markdown: The page.
        folder: Where it is below ``docs``: its links are relative to it.
    """
    return "\n".join(_lines(markdown, folder)).strip("\n") + "\n"


def _lines(markdown: str, folder: str) -> Iterator[str]:
    block: list[str] = []
    fenced = False
    for line in [*markdown.splitlines(), ""]:
        fence = _FENCE.match(line)
        if fenced:
            fenced = fence is None
            yield f"    {line}".rstrip() if fenced else ""
        elif fence is not None:
            yield from (*_wrapped(block, folder), *([f"{fence[1]}:"] if fence[1] else []))
            block, fenced = [], True
        elif line.startswith("#"):
            level, title = line.split(" ", 1)
            yield from (*_wrapped(block, folder), *_wrapped([title if level == "#" else title.upper()], folder))
            block = []
        elif not line.strip():
            yield from _wrapped(block, folder)
            block = []
        else:
            block.append(line)


def _wrapped(block: list[str], folder: str) -> Iterator[str]:
    """Yield a paragraph, the items of a list or the rows of a table, and an empty line after it."""
    if not block:
        return
    if block[0].startswith("|"):
        yield from (_plain(_linked(row, folder)) for row in block)
    else:
        for item in re.split(r"\n(?=(?:[-*]|\d+\.) )", "\n".join(block)):
            mark = re.match(r"(?:[-*]|\d+\.) ", item)
            yield from textwrap.wrap(
                _plain(_linked(" ".join(item.split()), folder)),
                _WIDTH,
                subsequent_indent=" " * len(mark[0]) if mark else "",
                break_long_words=False,
                break_on_hyphens=False,
            )
    yield ""


def _plain(text: str) -> str:
    return re.sub(r"<(https?://[^>]+)>", r"\1", text.replace("**", ""))


def _linked(markdown: str, folder: str) -> str:
    """Return a text with links as their text and where they lead: an address, else the file of the repository."""

    def link(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        if "://" in target or target.startswith("#"):
            return f"{text} ({target})" if "://" in target else text
        path = posixpath.normpath(posixpath.join("docs", folder, target))
        name = posixpath.basename(path).removesuffix(".md")
        if text.strip("`") == name:
            return text  # a rule or message: `no502 doctor explain` prints it by that name
        return f"{text} ({shown_page(path) if path.startswith('docs/') else path})"

    return _LINK.sub(link, markdown)
