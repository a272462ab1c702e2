"""Links between files, as they stand in a checkout: on a forge, in an editor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from no502.messages import messages
from tests.support.commands import ROOT

_PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)|^\[[^\]]+\]: (\S+)$|(?:src|srcset|href)=\"([^\"#]+)", re.MULTILINE)


def _targets(page: Path) -> set[str]:
    found = {next(filter(None, match)) for match in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8")))}
    return {one for one in found if not re.match(r"[a-z]+:|#", one)}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_work_without_a_build(page: Path) -> None:
    """Each relative link of a page's source leads to a file of the checkout; pages of the built site are no files."""
    built = {"javascripts/messages.js"}
    missing = {one for one in _targets(page) if not (page.parent / one).exists()} - built
    assert {one for one in missing if not one.endswith(".html")} == set()


def test_links_to_the_catalogue_lead_to_its_pages(site: Path) -> None:
    """In the built site they are links to the error pages, and none leads out of the site."""
    slugs = {message.slug for message in messages()}
    pages = [page.read_text(encoding="utf-8") for page in site.rglob("*.html")]
    assert [text[:200] for text in pages if re.search(r'href="[^"]*no502/messages', text)] == []
    linked = {slug for text in pages for slug in re.findall(r'href="(?:\.\./)?errors/([a-z0-9-]+)\.html', text)}
    assert len(linked & slugs) > 40
