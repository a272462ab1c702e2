"""The site as it is built, and the pages that are generated from the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from _diagrams import draw_handover, draw_idle_race

from tests.support.browser import title_after
from tests.support.commands import ROOT

_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class _Loads(HTMLParser):
    """Collects what a browser fetches for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address that the tag loads."""
        values = dict(attrs)
        if tag == "link" and values.get("rel") not in {"stylesheet", "icon", "preload"}:
            return
        address = values.get(_LOADED.get(tag, ""))
        if address:
            self.addresses.append(address)


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """Styles, scripts, fonts and pictures come with the site: it works without a network."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        parser = _Loads()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.addresses
        assert [address for address in parser.addresses if re.match(r"(?:https?:)?//", address)] == [], page.name
    assert (site / "search" / "search_index.json").is_file()


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_in_a_real_browser(site: Path, tmp_path: Path, width: int) -> None:
    """On a phone and on a desk nothing sticks out of the page, and its pictures are drawn."""
    script = (
        "const wide = document.documentElement.scrollWidth <= window.innerWidth;"
        "const drawn = [...document.querySelectorAll('article img')].every(one => one.naturalWidth > 0);"
        "document.title = `fits ${wide} pictures ${drawn}`"
    )
    after_loading = f"window.addEventListener('load', () => {{ {script} }})"
    pages = (
        "index",
        "explanation/keepalive-race",
        "explanation/recycling",
        "lab",
        "errors/index",
        "errors/worker-timeout",
    )
    for name in pages:
        title = title_after(site / f"{name}.html", after_loading, profile=tmp_path / "chromium", width=width)
        assert title == "fits true pictures true", name


@pytest.mark.parametrize("page", ["index", "why-502"])
def test_search_works_without_a_server(site: Path, tmp_path: Path, page: str) -> None:
    """On a page that was opened from a folder, the search finds the page about a message of nginx."""
    script = """
        document.title = "nothing found"
        addEventListener("load", () => {
          const field = document.querySelector("[data-md-component=search-query]")
          const ask = () => {
            field.focus()
            field.value = "prematurely closed"
            field.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true }))
            const links = document.querySelectorAll("[data-md-component=search-result] a[href*='errors/']")
            if (links.length) { document.title = "found" } else { setTimeout(ask, 200) }
          }
          document.querySelector("#__search").checked = true
          document.querySelector("#__search").dispatchEvent(new Event("change", { bubbles: true }))
          ask()
        })
    """
    assert title_after(site / f"{page}.html", script, profile=tmp_path / "chromium", seconds=20) == "found"


@pytest.mark.parametrize(("width", "picture"), [(390, "ladder-portrait.svg"), (1280, "ladder.svg")])
@pytest.mark.parametrize("page", ["index", "explanation/ladder"])
def test_the_ladder_has_a_form_for_the_width(site: Path, tmp_path: Path, page: str, width: int, picture: str) -> None:
    """A phone shows the portrait form in full size, a desk the wide one."""
    script = """
        addEventListener("load", () => {
          const shown = document.querySelector("article picture img")
          document.title = `${shown.currentSrc.split("/").pop()} ${shown.clientWidth >= 300}`
        })
    """
    title = title_after(site / f"{page}.html", script, profile=tmp_path / "chromium", width=width)
    assert title == f"{picture} true"


def test_every_picture_has_a_text(site: Path) -> None:
    """Who does not see the pictures is told what they show."""
    for page in site.rglob("*.html"):
        for picture in re.findall(r"<img[^>]*>", page.read_text(encoding="utf-8")):
            if 'alt="logo"' in picture:  # the theme's, beside the site's name
                continue
            assert re.search(r'alt="[^"]{10,}"', picture), (page.name, picture)


def test_pictures_are_what_the_code_draws() -> None:
    """The pictures are what the code draws today."""
    folder = ROOT / "docs" / "pictures"
    assert (folder / "idle-race.svg").read_text(encoding="utf-8") == draw_idle_race()
    assert (folder / "handover.svg").read_text(encoding="utf-8") == draw_handover()


def test_reference_is_what_the_code_gives() -> None:
    """Rungs, variables, nginx files and the command's help are up to date."""
    command = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"]
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(name="published", scope="module")
def _published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as the workflow builds it, which knows where it will be."""
    target = tmp_path_factory.mktemp("published")
    addresses = {"SITE_URL": "https://docs.example.org/no502", "REPOSITORY_URL": "https://github.com/example/no502"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)]
    environment = {**os.environ, **addresses, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_published_pages_have_their_address(published: Path) -> None:
    """Search engines find one address for each page, and the sitemap lists it."""
    page = (published / "how-to" / "cors.html").read_text(encoding="utf-8")
    address = "https://docs.example.org/no502/how-to/cors.html"
    assert f'<link rel="canonical" href="{address}">' in page
    assert f"<loc>{address}</loc>" in (published / "sitemap.xml").read_text(encoding="utf-8")


def test_published_pages_lead_to_files_that_exist(published: Path) -> None:
    """The edit link of each page, generated ones included, is a file of the repository."""
    edit = re.compile(r'href="https://github\.com/example/no502/edit/main/([^"]+)"')
    links = {link for page in published.rglob("*.html") for link in edit.findall(page.read_text(encoding="utf-8"))}
    assert {"docs/how-to/cors.md", "no502/messages/front/alb-502-bad-gateway.md"} <= links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_site_without_an_address_names_none(site: Path) -> None:
    """A build from a checkout makes up neither a canonical address nor a repository."""
    page = (site / "how-to" / "cors.html").read_text(encoding="utf-8")
    assert "canonical" not in page
    assert "edit/main" not in page
