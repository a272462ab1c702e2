"""A hook of mkdocs: the search reads what is typed as text, and finds words that begin with the same digit.

lunr (2.3.9, in Material for MkDocs) is no longer maintained, and its query language has operators: a leading ``-``
excludes, ``:`` names a field, ``*``, ``~`` and ``^`` follow a word. What is pasted has them without that meaning:
``gunicorn --timeout``, ``127.0.0.1:8000``. So the script in the built site is changed in three places; each is a
text that has to be there exactly once.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

__all__ = ["on_post_build"]

# What a pasted line of nginx has of its own: level and pids, fields from the client on, addresses in quotes, a place.
_OWN_VALUES = (
    r'.replace(/^.*\[(?:emerg|alert|crit|error|warn|notice|info)\] \d+#\d+: (?:\*\d+ )?/,"")'
    r'.replace(/, (?:client|server|request|upstream|host|referrer): .*$/,"")'
    r'.replace(/"[^"]*[:\/][^"]*"/g," ").replace(/ in \/\S+:\d+$/,"")'
)
_CHANGES = {
    # lunr joins parts of words that it takes for the same, and tells them apart by a text: the edge "1" to 23 and the
    # edge "12" to 3 look alike. Then the index has words that no page has, and a query that meets one finds nothing.
    "e=e+s+o.id}return e": 'e=e+s+o.id+";"}return e',
    # The query as words, divided as the pages are. A whole word counts four times as much as the beginning of one:
    # 13 is not 137. The separator in mkdocs.yml contains every character that is an operator.
    "e=ce(e),!e": (
        f"e=e{_OWN_VALUES}.toLowerCase().split(lunr.tokenizer.separator).filter(Boolean)"
        '.map(s=>s+"^4 "+s+"*").join(" "),!e'
    ),
    # A page with all words of the query goes before one that has some of them often. The theme squares this number.
    "score:a*(1+K(g,2))": "score:a*(1+K(g,4))",
}
"""Text of the theme's script -> what it becomes."""


def on_post_build(config: "MkDocsConfig") -> None:
    """Change the search's script in the built site.

    Raises:
        PluginError: The theme's script is not the one that is known.
    """
    scripts = sorted(Path(config.site_dir, "assets", "javascripts", "workers").glob("search.*.min.js"))
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        if all(text.count(old) == 1 for old in _CHANGES):
            for old, new in _CHANGES.items():
                text = text.replace(old, new)
            script.write_text(text, encoding="utf-8")
            return
    message = f"scripts/search_tokens.py: no script of the search has each of {list(_CHANGES)} once: look at {scripts}"
    raise PluginError(message)
