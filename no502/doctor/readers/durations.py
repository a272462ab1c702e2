"""Durations and sizes as Docker, systemd and Kubernetes write them."""

from __future__ import annotations

import re

__all__ = ["docker_seconds", "memory_bytes", "systemd_seconds"]

_GO = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SYSTEMD = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
_BYTES = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "ki": 2**10, "m": 2**20, "mb": 2**20, "mi": 2**20}
_BYTES |= {"g": 2**30, "gb": 2**30, "gi": 2**30, "t": 2**40, "ti": 2**40}


def docker_seconds(text: str) -> float | None:
    """Return seconds of ``1m30s``, ``500ms``; None if it is no duration."""
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+", text):
        return None
    return sum(float(number) * _GO[unit] for number, unit in re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", text))


def systemd_seconds(text: str) -> float | None:
    """Return seconds of ``90``, ``1min 30s``; infinity for ``infinity``; None if it is no duration."""
    text = text.strip()
    if text == "infinity":
        return float("inf")
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    if not re.fullmatch(r"(?:\d+(?:\.\d+)?\s*[a-z]*\s*)+", text) or any(unit not in _SYSTEMD for _, unit in parts):
        return None
    return sum(float(number) * _SYSTEMD[unit] for number, unit in parts)


def memory_bytes(text: str) -> int | None:
    """Return bytes of ``512m``, ``1Gi``, ``256MB``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]{0,2})", text.strip())
    unit = _BYTES.get(found[2].lower()) if found else None
    return int(float(found[1]) * unit) if found and unit else None
