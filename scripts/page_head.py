"""A hook of mkdocs: every page has its own title and its own description for browsers and search engines.

A page sets both in its front matter. One that does not gets its heading as the title and its first paragraph as the
description.
"""

import re
from collections.abc import Iterator
from html import escape
from typing import Any

__all__ = ["first_paragraph", "on_page_markdown"]

_LONGEST = 160  # characters that search engines show
_NOT_PROSE = ("#", "|", "```", "<!--", "![", "[", "- ", "* ", ">", "!!!", "---")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Set the page's title and description where its front matter does not."""
    heading = re.search(r"^# (.+?)(?: \{.*\})?$", markdown, re.MULTILINE)
    if heading:
        page.meta.setdefault("title", _plain(heading[1]))
    # The theme writes it between quotation marks as it is.
    page.meta["description"] = escape(str(page.meta.get("description") or first_paragraph(markdown)))
    return markdown


def first_paragraph(markdown: str) -> str:
    """Return the first paragraph of prose as plain text, cut at a word to at most 160 characters."""
    text = next(_paragraphs(markdown), "")
    if len(text) <= _LONGEST:
        return text
    return text[: text.rindex(" ", 0, _LONGEST - 3)].rstrip(",;:") + " ..."


def _paragraphs(markdown: str) -> Iterator[str]:
    without_code = re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)
    for block in re.split(r"\n\s*\n", without_code):
        if block.strip() and not block.lstrip().startswith(_NOT_PROSE):
            yield _plain(" ".join(block.split()))


def _plain(text: str) -> str:
    linked = re.sub(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])?", r"\1", text)
    return re.sub(r"[`*]|<[^>]+>", "", linked).strip()
