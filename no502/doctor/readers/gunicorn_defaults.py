"""gunicorn's and uvicorn's settings: what they are called, how they are typed, what they are by default."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from no502 import near
from no502.doctor.settings import gunicorn_names

__all__ = [
    "GUNICORN",
    "NUMBERS",
    "PURE_VALIDATORS",
    "TLS",
    "UVICORN",
    "closest",
    "convert",
    "gunicorn_names",
    "gunicorn_options",
    "refusal",
]

GUNICORN: Mapping[str, Any] = {
    "bind": ("127.0.0.1:8000",),
    "workers": 1,
    "worker_class": "sync",
    "threads": 1,
    "timeout": 30,
    "graceful_timeout": 30,
    "keepalive": 2,
    "max_requests": 0,
    "max_requests_jitter": 0,
    "backlog": 2048,
    "worker_connections": 1000,
    "limit_request_line": 4094,
    "limit_request_field_size": 8190,
    "preload_app": False,
    "reload": False,
    "forwarded_allow_ips": "127.0.0.1,::1",
    "certfile": "",
    "keyfile": "",
}
"""Defaults of gunicorn 27. https://gunicorn.org/reference/settings/"""

UVICORN: Mapping[str, tuple[str, Any]] = {
    "--host": ("host", "127.0.0.1"),
    "--port": ("port", 8000),
    "--uds": ("uds", None),
    "--fd": ("fd", None),
    "--workers": ("workers", 1),
    "--timeout-keep-alive": ("keepalive", 5),
    "--timeout-graceful-shutdown": ("graceful_timeout", None),
    "--limit-max-requests": ("max_requests", 0),
    "--limit-max-requests-jitter": ("max_requests_jitter", 0),
    "--limit-concurrency": ("limit_concurrency", None),
    "--backlog": ("backlog", 2048),
    "--forwarded-allow-ips": ("forwarded_allow_ips", "127.0.0.1,::1"),
    "--ssl-certfile": ("certfile", ""),
    "--ssl-keyfile": ("keyfile", ""),
}
"""uvicorn's options with gunicorn's names for the same thing, and their defaults (0.54). https://uvicorn.dev/settings/"""

TLS = frozenset({"certfile", "keyfile"})
"""Settings with which a server speaks TLS, by gunicorn's names."""

NUMBERS = {"workers", "threads", "timeout", "graceful_timeout", "keepalive", "max_requests", "max_requests_jitter"}
NUMBERS |= {
    "backlog",
    "worker_connections",
    "limit_request_line",
    "limit_request_field_size",
    "port",
    "limit_concurrency",
}


@cache
def gunicorn_options() -> Mapping[str, tuple[str, bool]]:
    """Return gunicorn's options: flag -> (setting, whether it takes a value)."""
    from gunicorn.config import KNOWN_SETTINGS

    found: dict[str, tuple[str, bool]] = {}
    for setting in KNOWN_SETTINGS:
        takes = getattr(setting, "action", None) not in {"store_true", "store_false", "store_const"}
        takes = takes and getattr(setting, "nargs", None) != "?"
        for flag in setting.cli or ():
            found[flag] = (setting.name, takes)
    return found | {"--paste-global": ("paste", True), "-v": ("version", False), "--version": ("version", False)}


def closest(word: str, known: Mapping[str, object] | frozenset[str]) -> str:
    """Return the most similar known word, or an empty text."""
    return near.closest(word, known, cutoff=0.7) or ""


PURE_VALIDATORS = {"validate_pos_int", "validate_bool", "validate_string", "validate_list_string"}
"""gunicorn's validators that look at the value alone, not at files or users of this machine."""


def refusal(setting: str, value: Any) -> str:
    """Return what gunicorn itself says against a value of a setting in its configuration file; empty for nothing."""
    from gunicorn.config import KNOWN_SETTINGS

    validator = next((one.validator for one in KNOWN_SETTINGS if one.name == setting), None)
    if validator is None or getattr(validator, "__name__", "") not in PURE_VALIDATORS or value is None:
        return ""
    try:
        validator(value)
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def convert(setting: str, value: Any) -> Any:
    """Return a value as its setting's type; None if it is no such value."""
    if setting in NUMBERS:
        if isinstance(value, bool):
            return None
        if isinstance(value, int):
            return value
        return int(value) if isinstance(value, str) and value.strip().lstrip("+-").isdecimal() else None
    return value
