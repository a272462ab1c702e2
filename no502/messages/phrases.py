"""What people type who have a status code or an error of the browser and no line of a log."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["COMMON", "PHRASES", "Phrase", "phrase_of"]


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """One such error: a text means it if it has all words of one of ``needs`` and, besides ``COMMON``, only its own."""

    needs: Sequence[Collection[str]]
    allows: Collection[str] = ()
    messages: Sequence[str] = ()
    """Ids of the messages that explain it, the most likely first."""
    page: str
    """The page of the documentation about it, as a path in a checkout."""

    def means(self, words: Collection[str]) -> bool:
        """Return whether these words, in lower case, mean it."""
        own = {*COMMON, *self.allows, *(word for needed in self.needs for word in needed)}
        return set(words) <= own and any(set(needed) <= set(words) for needed in self.needs)


COMMON = frozenset(
    {
        *("a", "an", "and", "at", "by", "code", "error", "failed", "failure"),
        *("from", "got", "http", "in", "is", "message", "nginx", "of", "on", "response", "returned"),
        *("returns", "status", "the", "to", "was", "while", "with"),
    }
)
"""Words that decide nothing."""

PHRASES: Sequence[Phrase] = (
    Phrase(needs=[["502"], ["bad", "gateway"]], messages=["L911", "L901"], page="docs/runbooks/502.md"),
    Phrase(
        needs=[["504"], ["gateway", "timeout"], ["gateway", "time", "out"]],
        messages=["L913", "L905"],
        page="docs/runbooks/504.md",
    ),
    Phrase(needs=[["499"], ["client", "closed", "request"]], messages=["L922"], page="docs/runbooks/499.md"),
    Phrase(
        needs=[
            ["413"],
            ["request", "entity", "too", "large"],
            ["content", "too", "large"],
            ["payload", "too", "large"],
        ],
        messages=["L923"],
        page="docs/how-to/uploads-and-downloads.md",
    ),
    Phrase(
        needs=[["1006"]],
        allows=["websocket", "close", "closed", "closes", "connection", "event", "abnormal", "closure"],
        messages=["L916", "L940"],
        page="docs/how-to/websockets-and-streams.md",
    ),
    Phrase(
        needs=[["mixed", "content"]],
        allows=["blocked", "browser", "https", "page", "warning"],
        page="docs/how-to/https-redirects.md",
    ),
    Phrase(
        needs=[["temporary", "name", "resolution"]],
        allows=["errno", "3", "gaierror", "socket"],
        messages=["L924", "L925"],
        page="docs/runbooks/502.md#9-a-host-name-does-not-resolve",
    ),
    Phrase(
        needs=[["plain", "http", "request", "sent", "https", "port"]],
        allows=["400", "bad"],
        page="docs/how-to/tls.md",
    ),
)
"""In the order in which they are tried."""


def phrase_of(text: str) -> Phrase | None:
    """Return the error that a text means; None for anything else, such as a vendor's name beside a code."""
    words = re.findall(r"\w+", text.lower())
    return next((phrase for phrase in PHRASES if phrase.means(words)), None)
