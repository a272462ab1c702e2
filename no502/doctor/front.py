"""The front proxy: how long it waits for a response and how long it reuses an idle connection.

Numbers of the vendors' documentation as of ``fronts.AS_OF``; each is the default, which an account may have changed.
``--front`` takes a number of seconds instead.
"""

from __future__ import annotations

from no502.doctor.model import Front, Origin
from no502.ladder.fronts import AS_OF, FRONTS, WITHOUT_DEFAULTS
from no502.near import did_you_mean

__all__ = ["FRONTS", "front_of"]


def front_of(word: str) -> Front:
    """Return what ``--front`` names: a vendor or a number of seconds.

    Raises:
        ValueError: Neither; the message lists the names.
    """
    vendor = FRONTS.get(word.lower())
    if vendor is not None:
        note = f"default of {word.lower()} as documented {AS_OF}, {vendor.source}"
        return Front(
            name=word.lower(),
            read=vendor.read,
            idle=vendor.idle,
            origin=Origin(file=f"--front {word}", note=note),
            note=note,
        )
    try:
        wait = float(word.removesuffix("s"))
    except ValueError:
        wait = -1
    if not 0 < wait <= 86400:
        allowed = f"give a number of seconds (1 to 86400) or one of {', '.join(FRONTS)}"
        why = f"{WITHOUT_DEFAULTS[word.lower()]}; " if word.lower() in WITHOUT_DEFAULTS else ""
        message = f"--front {word}: {why}{allowed}{did_you_mean(word, FRONTS)}"
        raise ValueError(message)
    return Front(name="the front proxy", read=wait, idle=wait, origin=Origin(file=f"--front {word}"), note="as given")
