"""What the configuration file of a proxy other than nginx says: its targets and its times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from no502.doctor.model import Fact, Origin, ProxyTarget
from no502.doctor.readers.nginx.values import parse_address
from no502.doctor.readers.proxy_times import Times, seconds_of

__all__ = ["FileOfProxy", "first_time", "lines_of", "target_of"]

_SCHEME = re.compile(r"(https?|h2c)://")


@dataclass(frozen=True, kw_only=True)
class FileOfProxy:
    """What a configuration file says."""

    targets: tuple[ProxyTarget, ...] = ()
    own: Times = (None, None)
    """The times of every target that has none of its own."""
    transports: Mapping[str, Times] = field(default_factory=dict)
    """Times by the name that targets use for them."""


def target_of(word: str, origin: Origin) -> ProxyTarget | None:
    """Return the target that a word names, with a scheme or without one; None where it is no address with a port.

    Args:
        word: ``app:8000``, ``https://app:8443``, ``unix:/run/app.sock`` ...
        origin: Where it stands.
    """
    word = word.strip("\"'")
    scheme = _SCHEME.match(word)
    plain = word[scheme.end() :].partition("/")[0] if scheme is not None else word.rstrip("/")
    if plain.startswith(("*", "@", "/")) or not (re.search(r":\d+$", plain) or plain.startswith("unix:")):
        return None
    address = parse_address(plain)
    if address is None:
        return None
    known = Fact(address, origin)
    if scheme is None:
        return ProxyTarget(address=known)
    return ProxyTarget(address=known, tls=scheme[1] == "https", http2=scheme[1] == "h2c")


def lines_of(pattern: str, text: str, shown: str, above: int = 0) -> Iterator[tuple[re.Match[str], Origin]]:
    """Yield what a pattern finds, with the line on which its first group begins.

    Args:
        pattern: With a group; the ends of lines count.
        text: Where to look.
        shown: The file, as shown to the user.
        above: Lines of the file above the text.
    """
    line, place = 1 + above, 0
    for found in re.finditer(pattern, text, re.MULTILINE | re.IGNORECASE):
        line += text.count("\n", place, found.start(1))
        place = found.start(1)
        yield found, Origin(file=shown, line=line)


def first_time(kind: str, pattern: str, text: str, shown: str, above: int = 0) -> Fact[float] | None:
    """Return the first time that a pattern finds, in seconds; unknown where it is no time, None where there is none."""
    for found, origin in lines_of(pattern, text, shown, above):
        return seconds_of(kind, found[1], origin)
    return None
