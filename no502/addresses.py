"""Where the documentation is on the web: ``[project.urls]`` of the installed distribution says it, and nothing else."""

from __future__ import annotations

import importlib.metadata
import re

__all__ = ["documentation", "page_address", "shown_page"]

_DISTRIBUTION = "no502"
_LABEL = "Documentation"


def documentation() -> str | None:
    """Return the address of the site, ending in a slash; None where the distribution names none."""
    try:
        urls = importlib.metadata.metadata(_DISTRIBUTION).get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:  # in the browser
        return None
    named = dict(re.split(r",\s*", url, maxsplit=1) for url in urls)
    return named[_LABEL].rstrip("/") + "/" if _LABEL in named else None


def page_address(path: str) -> str | None:
    """Return the address of a page of the site; None where the site has none.

    Args:
        path: Of its source below ``docs``, such as ``doctor/K201.md`` or ``explanation/ladder.md#sizes``.
    """
    site = documentation()
    return None if site is None else site + re.sub(r"\.md(?=#|$)", ".html", path)


def shown_page(path: str) -> str:
    """Return the address of a page of the site, else the path itself: ``docs/runbooks/502.md``."""
    return page_address(path.removeprefix("docs/")) or path
