"""What ``no502 doctor explain`` finds for a name, a pasted log line or a phrase."""

from __future__ import annotations

from collections.abc import Sequence

from no502.doctor.logs.findings import classify
from no502.doctor.logs.parse import is_access_line, parse, with_text
from no502.doctor.logs.reading import MAX_LINE
from no502.messages import Message, by_name, search

__all__ = ["find_messages", "recognise"]


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
        message = recognise(text)
        if message is not None:
            recognised[message.id] = message
    return list(recognised.values()) or search(wanted)


def recognise(text: str) -> Message | None:
    """Return the message in a line of a log, or in a message alone as people copy it: without time and level.

    The page "Why 502?" of the documentation does the same in JavaScript, and a test compares the two.
    """
    raw = with_text(text.strip().encode("utf-8", "replace"))[:MAX_LINE]
    line = parse(raw)
    message = classify(line) if line is not None else None
    if message is not None or (line is not None and line.nginx) or is_access_line(raw):
        return message
    bare = parse(b"2000/01/01 00:00:00 [error] 1#1: *1 " + raw)
    return classify(bare) if bare is not None else None
