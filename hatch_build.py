"""A hook of the build: the README as the package index shows it.

A relative link leads nowhere there. It becomes one into the repository, at the tag of the version: ``Repository`` in
``[project.urls]`` of ``pyproject.toml`` is its address. As long as that is not set, the README is published as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

__all__ = ["ReadmeHook", "absolute_links"]

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#|/)([^)\s]+)\)")
_ATTRIBUTE = re.compile(r"\b(src|srcset)=\"(?!\w+:|/)([^\"\s]+)\"")


class ReadmeHook(MetadataHookInterface):
    """Sets ``readme``, which ``pyproject.toml`` declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the README to the project's metadata."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        if repository is not None:
            text = absolute_links(text, repository, f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute_links(markdown: str, repository: str, version: str) -> str:
    """Return Markdown with the repository's address in front of each relative link.

    Args:
        markdown: Of the repository's root.
        repository: Its address on GitHub.
        version: The tag or branch whose files are meant.
    """
    base = repository.rstrip("/")

    def link(found: re.Match[str]) -> str:
        kind = "raw" if found[1] else "blob"
        return f"{found[1]}[{found[2]}]({base}/{kind}/{version}/{found[3]})"

    return _ATTRIBUTE.sub(rf'\1="{base}/raw/{version}/\2"', _LINK.sub(link, markdown))
