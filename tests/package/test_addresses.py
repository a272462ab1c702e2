"""What the package index shows: the README, whose links lead somewhere as soon as the project has an address."""

from __future__ import annotations

import email
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from no502 import __version__
from tests.support.commands import ROOT

_REPOSITORY = "https://github.com/example/no502"
_URLS = f'[project.urls]\nRepository = "{_REPOSITORY}"\nDocumentation = "https://docs.example.org/no502/"\n'
_BUILD = "from hatchling.build import prepare_metadata_for_build_wheel as made; made('made')"


def _metadata(folder: Path, urls: str) -> email.message.Message:
    """Return the METADATA that a build makes of a copy of the project with these addresses."""
    for name in ("README.md", "LICENSE", "hatch_build.py"):
        shutil.copy(ROOT / name, folder)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert text.count("# [project.urls]\n") == 1
    (folder / "pyproject.toml").write_text(text.replace("# [project.urls]\n", urls), encoding="utf-8")
    (folder / "made").mkdir()
    subprocess.run([sys.executable, "-c", _BUILD], cwd=folder, check=True, capture_output=True)
    [file] = folder.glob("made/*.dist-info/METADATA")
    return email.message_from_string(file.read_text(encoding="utf-8"))


def _links(markdown: str) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)|\b(?:src|srcset)=\"([^\"]+)\"", markdown)
    return [one or other for one, other in found]


@pytest.fixture(name="published", scope="module")
def _published(tmp_path_factory: pytest.TempPathFactory) -> email.message.Message:
    """The METADATA of the project with addresses."""
    return _metadata(tmp_path_factory.mktemp("published"), _URLS)


def test_published_readme_has_no_relative_link(published: email.message.Message) -> None:
    """Each link and picture of the README has the repository's address and this version's tag."""
    links = _links(str(published.get_payload()))
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_published_links_are_files_of_the_repository(published: email.message.Message) -> None:
    """Behind the address is a file that exists; a picture is served as it is."""
    links = [link for link in _links(str(published.get_payload())) if link.startswith(_REPOSITORY)]
    found = [
        re.fullmatch(rf"{_REPOSITORY}/(blob|raw)/v{re.escape(__version__)}/([^#]+)(?:#.*)?", link) for link in links
    ]
    assert [link for link, one in zip(links, found, strict=True) if one is None or not (ROOT / one[2]).exists()] == []
    assert {one[1] for one in found if one is not None and one[2].endswith(".svg")} == {"raw"}


def test_published_metadata_has_the_addresses(published: email.message.Message) -> None:
    """The index shows both, and doctor reads the documentation's."""
    assert published.get_all("Project-URL") == [
        f"Repository, {_REPOSITORY}",
        "Documentation, https://docs.example.org/no502/",
    ]


def test_readme_without_an_address_is_published_as_it_is(tmp_path: Path) -> None:
    """Until the address is known, nothing is made up."""
    body = str(_metadata(tmp_path, "").get_payload())
    assert body.strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
