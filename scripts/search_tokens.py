"""A hook of mkdocs: repair the search of words that begin with the same digit.

lunr joins parts of words that it takes for the same. It tells them apart by a text in which the character of an edge is
followed by a number without anything in between: the edge "1" to 23 and the edge "12" to 3 look alike. With enough
numbers on the pages the index then contains words that no page has, and a query that meets one of them finds nothing.
lunr (2.3.9, in Material for MkDocs) is no longer maintained, so the built script gets the separator that it lacks.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

__all__ = ["on_post_build"]

_LABEL = "e=e+s+o.id}return e"
_SEPARATED = 'e=e+s+o.id+";"}return e'


def on_post_build(config: "MkDocsConfig") -> None:
    """Write the separator into the search's script.

    Raises:
        PluginError: The theme's script is not the one that is known.
    """
    scripts = sorted(Path(config.site_dir, "assets", "javascripts", "workers").glob("search.*.min.js"))
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        if text.count(_LABEL) == 1:
            script.write_text(text.replace(_LABEL, _SEPARATED), encoding="utf-8")
            return
    message = (
        f"scripts/search_tokens.py: no script of the search has {_LABEL!r}: look at TokenSet.toString in {scripts}"
    )
    raise PluginError(message)
