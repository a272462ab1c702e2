"""A hook of mkdocs: where the site and the repository are on the web, from ``[project.urls]`` of ``pyproject.toml``.

``Documentation`` gives canonical links and the sitemap, ``Repository`` the link at the top and the edit links. The
variables ``SITE_URL`` and ``REPOSITORY_URL`` (``mkdocs.yml``) go before them. Without an address the site has none.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from no502.messages import messages

__all__ = ["on_config", "on_page_context"]

_ROOT = Path(__file__).resolve().parent.parent
_BRANCH = "main"


def on_config(config: Any) -> Any:
    """Fill in the addresses that are not set."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls = project.get("urls", {})
    config.site_url = (config.site_url or urls.get("Documentation", "")).rstrip("/")
    config.site_url = f"{config.site_url}/" if config.site_url else None
    config.repo_url = (config.repo_url or urls.get("Repository", "")).rstrip("/") or None
    config.repo_name = project["name"] if config.repo_url else None
    config.edit_uri = f"edit/{_BRANCH}/docs/" if config.repo_url else None
    if config.repo_url:
        config.theme["features"].append("content.action.edit")
    return config


def on_page_context(context: Any, *, page: Any, config: Any, **_: object) -> Any:
    """Let a message's page lead to its file of the catalogue: the page itself exists in the built site only."""
    if config.repo_url:
        for message in messages():
            if message.page == page.file.src_uri:
                page.edit_url = f"{config.repo_url}/edit/{_BRANCH}/{message.source_path}"
    return context
