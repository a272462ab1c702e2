"""nginx's values: times, sizes, flags, addresses."""

from __future__ import annotations

import re

from no502.doctor.model import Address
from no502.doctor.readers.nginx.masks import ERB_MARK, TEMPLATE_MARK

__all__ = ["is_template", "parse_address", "parse_flag", "parse_int", "parse_size", "parse_time", "shown"]

_UNITS = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
    "M": 2592000.0,
    "y": 31536000.0,
    "": 1.0,
}
_LONGEST = 60
_SIZES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_TIME = re.compile(r"(?:([0-9]+)(ms|[smhdwMy]?)\s*)")
_PLACEHOLDER = re.compile(
    r"\$\{[A-Z][A-Z0-9_]*(?::?[-?][^}]*)?\}|\$[A-Z][A-Z0-9_]{2,}\b"
    r"|<%|%%|@@|@[A-Z][A-Z0-9_]+@|__[A-Z][A-Z0-9_]*__"
)


def is_template(text: str) -> bool:
    """Whether a text has a placeholder of a template: envsubst's ``${NAME}`` or ``$NAME``, Jinja, ERB.

    nginx's own variables are in lower case.
    """
    return TEMPLATE_MARK in text or _PLACEHOLDER.search(text) is not None


def parse_time(text: str) -> float | None:
    """Return seconds: ``60``, ``60s``, ``1m``, ``1h30m``, ``500ms`` (https://nginx.org/en/docs/syntax.html)."""
    if len(text) > _LONGEST or not re.fullmatch(r"(?:[0-9]{1,18}(?:ms|[smhdwMy])?\s*)+", text.strip()):
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in _TIME.findall(text))


def parse_size(text: str) -> int | None:
    """Return bytes: ``4096``, ``4k``, ``1m``."""
    found = re.fullmatch(r"([0-9]{1,18})([kKmMgG]?)", text)
    return int(found[1]) * _SIZES[found[2].lower()] if found else None


def parse_int(text: str) -> int | None:
    """Return a whole number."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def parse_flag(text: str) -> bool | None:
    """Return what ``on`` and ``off`` mean."""
    return {"on": True, "off": False}.get(text.lower())


def parse_address(text: str, *, default_port: int = 80) -> Address | None:
    """Return the address of a ``server`` line or of a ``proxy_pass`` without scheme and path; None if it is none."""
    if text.startswith("unix:"):
        # In proxy_pass a colon ends the path: http://unix:/run/app.sock:/prefix
        return Address(socket=text.removeprefix("unix:").partition(":")[0])
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+)(?::([0-9]{1,5}))?", text)
    if found is None:
        return None
    return Address(host=found[1].strip("[]").lower(), port=int(found[2]) if found[2] else default_port)


def shown(text: str) -> str:
    """Return a text of the configuration for people: bounded, and what a template fills in as its brackets."""
    return text.replace(ERB_MARK, "<%= %>").replace(TEMPLATE_MARK, "{{ }}")[:80]
