"""Messages of the catalogue as a sentence quotes them."""

from __future__ import annotations

from functools import cache

from no502.messages.catalogue import find

__all__ = ["logs"]


@cache
def logs(slug: str, which: int = 0) -> str:
    """Return who writes a message and what it says: ``nginx logs "connect() failed ..."``.

    Args:
        slug: Name of the message's file; only that file is read.
        which: Which of its texts, from 0.

    Raises:
        LookupError: There is no such message, or it has no such text.
    """
    message = find(slug)
    return f'{message.programs[0]} logs "{message.texts[which]}"'
