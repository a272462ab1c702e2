"""A hook of mkdocs: the search puts runbooks first and the many small pages of the doctor last.

The error pages have weights of their own: ``error_pages.py``.
"""

from typing import Any

__all__ = ["on_page_markdown"]

_BOOST = {
    "runbooks/": 5.0,
    "index.md": 2.0,
    "explanation/": 1.5,
    "how-to/tracing.md": 0.8,  # its words are those of every other page
    "how-to/": 1.8,
    "platforms/": 2.0,
    "tutorial": 3.0,
    "doctor/A103.md": 1.0,  # the most frequent fault of Compose deployments
    "doctor/": 0.5,
    "reference/": 0.5,
}


_TAGS = {
    "doctor/A103.md": ["container recreated new ip", "container ip changed"],
    "doctor/K207.md": ["proxy_http_version 2", "HTTP/2 upstream"],
}
"""What people type, for pages without front matter: ``doctor explain`` prints them as they are."""


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Set the page's weight, which the theme's search reads from its metadata."""
    if words := _TAGS.get(page.file.src_uri):
        page.meta.setdefault("tags", words)
    for prefix, boost in _BOOST.items():
        if page.file.src_uri.startswith(prefix):
            page.meta.setdefault("search", {}).setdefault("boost", boost)
            break
    return markdown
