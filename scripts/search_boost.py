"""A hook of mkdocs: the search puts runbooks and the error index first, and the many small pages of the doctor last."""

from typing import Any

__all__ = ["on_page_markdown"]

_BOOST = {"runbooks/": 3.0, "error-index.md": 5.0, "index.md": 2.0, "how-to/": 1.5, "doctor/": 0.5, "reference/": 0.5}


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:  # noqa: ANN401  mkdocs has no types
    """Set the page's weight, which the theme's search reads from its metadata."""
    for prefix, boost in _BOOST.items():
        if page.file.src_uri.startswith(prefix):
            page.meta.setdefault("search", {})["boost"] = boost
            break
    return markdown
