"""The addresses that a server listens on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from no502.doctor.model import Address

__all__ = ["parse_bind"]


def parse_bind(items: Sequence[str]) -> tuple[Address, ...] | None:
    """Return the addresses of ``--bind`` values, or None if one is not known (``fd://``, a variable)."""
    found = []
    for item in (part.strip() for text in items for part in text.split(",")):
        address = _one(item)
        if address is None:
            return None
        found.append(address)
    return tuple(found) or None


def _one(item: str) -> Address | None:
    if item.startswith("unix:"):
        path = item.removeprefix("unix:")
        return Address(socket=re.sub(r"^//(?=/)", "", path)) if "$" not in path else None
    if item.startswith("fd://") or "$" in item or not item:
        return None
    item = item.removeprefix("tcp://")
    if item.startswith("/"):
        return Address(socket=item)
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?", item)
    if match is None:
        return None
    host = match[1].strip("[]").lower()
    return Address(host=host or None, port=int(match[2]) if match[2] else 8000)
