"""What ``no502 doctor explain`` finds for a name, a pasted log line or a phrase."""

from __future__ import annotations

from collections.abc import Sequence

from no502.doctor.logs.findings import classify
from no502.doctor.logs.parse import parse
from no502.messages import Message, by_name, search

__all__ = ["find_messages"]


def find_messages(wanted: str) -> Sequence[Message]:
    """Return the messages that a text means.

    Args:
        wanted: An id (``L911``), a slug, a line or several lines of a log, or words of a message.

    Returns:
        One message where the text names it; several, the best first, where words fit several; none.
    """
    named = by_name(wanted.strip())
    if named is not None:
        return [named]
    recognised: dict[str, Message] = {}
    for text in wanted.splitlines():
        line = parse(text.strip().encode("utf-8", "replace"))
        message = classify(line) if line is not None else None
        if message is None:  # the message alone, as people copy it: without time, level and connection
            bare = parse(f"2000/01/01 00:00:00 [error] 1#1: *1 {text.strip()}".encode("utf-8", "replace"))
            message = classify(bare) if bare is not None else None
        if message is not None:
            recognised[message.id] = message
    return list(recognised.values()) or search(wanted)
