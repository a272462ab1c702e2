"""Titles and descriptions, which are what a search engine shows of a page."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from page_head import first_paragraph


def _heads(site: Path, pattern: str) -> dict[str, str]:
    pages = {str(page.relative_to(site)): page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    return {name: re.findall(pattern, text)[0] for name, text in pages.items() if name != "404.html"}


def test_every_page_has_its_own_title(site: Path) -> None:
    """No two pages have the same title."""
    titles = _heads(site, "<title>(.*)</title>")
    assert [title for title, count in Counter(titles.values()).items() if count > 1] == []


def test_every_page_has_its_own_description(site: Path) -> None:
    """No two pages have the same description, and none is empty."""
    descriptions = _heads(site, '<meta name="description" content="([^"]*)">')
    assert [text for text, count in Counter(descriptions.values()).items() if count > 1] == []
    assert [name for name, text in descriptions.items() if len(text) < 20] == []


def test_a_description_is_the_first_prose_of_the_page() -> None:
    """Headings, tables, code and comments are passed over; links and code marks become plain text."""
    page = (
        "# Title\n\n<!-- a comment -->\n\n```sh\nls\n\npwd\n```\n\n| a |\n|---|\n\nA [link](x.md) and `code`.\n\nMore."
    )
    assert first_paragraph(page) == "A link and code."


def test_a_long_description_is_cut_at_a_word() -> None:
    """A description has at most 160 characters and ends with a whole word."""
    cut = first_paragraph("word " * 60)
    assert len(cut) <= 160
    assert cut.endswith("word ...")
