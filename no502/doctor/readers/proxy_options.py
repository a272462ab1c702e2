"""Where a proxy connects to, as the options of its container say: Caddy's and cloudflared's short forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from no502.doctor.model import Origin, ProxyTarget
from no502.doctor.readers.proxy_target import target_of

__all__ = ["targets_of_options"]

_FLAGS: Mapping[str, frozenset[str]] = {
    "caddy": frozenset({"--to", "-t"}),
    "cloudflared": frozenset({"--url"}),
    "varnish": frozenset({"-b"}),
}


def targets_of_options(name: str, words: Sequence[str], origin: Origin) -> Iterator[ProxyTarget]:
    """Yield the targets that options name: ``caddy reverse-proxy --to app:8000``, ``cloudflared tunnel --url URL``.

    Args:
        name: The proxy.
        words: The words of its container's command.
        origin: Where they are written.
    """
    if name == "caddy" and "reverse-proxy" not in words:
        return
    flags = _FLAGS.get(name, frozenset())
    for number, word in enumerate(words):
        flag, equals, value = word.partition("=")
        given = value if equals else words[number + 1] if number + 1 < len(words) else ""
        target = target_of(given, origin) if flag in flags else None
        if target is not None:
            yield target
