"""Small questions to facts, so that no rule guesses: everything here answers None where a value is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from no502.doctor.model import AppServer, Fact, Origin, Service, ServiceKind, Source

__all__ = [
    "CONTAINERS",
    "flag",
    "hands_over",
    "in_container",
    "is_handover_worker",
    "kind_of",
    "name_of",
    "number",
    "origin_of",
    "seconds",
    "shown",
    "text",
    "uses_uvicorn",
    "value",
    "written",
]

CONTAINERS = frozenset({ServiceKind.COMPOSE, ServiceKind.DOCKERFILE, ServiceKind.KUBERNETES})
"""Services with a network namespace of their own unless they say otherwise."""

_UVICORN_CLASSES = ("UvicornWorker", "UvicornH11Worker", "HandoverWorker")
_BUILT_IN = {"sync", "gthread", "asgi", "gevent", "eventlet", "tornado"}


def value(settings: Mapping[str, Fact[Any]], name: str) -> Any:  # noqa: ANN401 settings are of every type
    """Return a known value or None."""
    fact = settings.get(name)
    return fact.value if fact is not None and fact.known else None


def number(settings: Mapping[str, Fact[Any]], name: str) -> float | None:
    """Return a known number or None."""
    found = value(settings, name)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def text(settings: Mapping[str, Fact[Any]], name: str) -> str | None:
    """Return a known text or None."""
    found = value(settings, name)
    return None if found is None else str(found)


def flag(settings: Mapping[str, Fact[Any]], name: str) -> bool | None:
    """Return a known boolean or None."""
    found = value(settings, name)
    return found if isinstance(found, bool) else None


def written(settings: Mapping[str, Fact[Any]], name: str) -> bool:
    """Whether a file sets it to a known value."""
    fact = settings.get(name)
    return fact is not None and fact.known and fact.origin.source is Source.WRITTEN


def origin_of(settings: Mapping[str, Fact[Any]], name: str, fallback: Origin) -> Origin:
    """Return where a value comes from."""
    fact = settings.get(name)
    return fallback if fact is None else fact.origin


def seconds(amount: float) -> str:
    """Return ``2 s`` or ``0.5 s``."""
    return f"{amount:.12g} s"


def shown(settings: Mapping[str, Fact[Any]], name: str) -> str:
    """Return " (default)" for a default (not set explicitly)."""
    fact = settings.get(name)
    return " (default)" if fact is None or fact.origin.source is Source.DEFAULT else ""


def kind_of(server: AppServer) -> str | None:
    """Return what serves requests: ``uvicorn``, one of gunicorn's own classes, ``other``, or None if it is not known.

    ``sync`` with more than one thread is gthread, as in gunicorn.
    """
    if server.program == "uvicorn":
        return "uvicorn"
    name = text(server.settings, "worker_class")
    if name is None:
        return None
    if name.endswith(_UVICORN_CLASSES):
        return "uvicorn"
    short = name.removeprefix("egg:gunicorn#")
    if short == "sync":
        threads = number(server.settings, "threads")
        return None if threads is None and "threads" in server.settings else "gthread" if (threads or 1) > 1 else "sync"
    if short in _BUILT_IN:
        return short
    return "other"


def is_handover_worker(server: AppServer) -> bool:
    """Whether its worker class is this project's."""
    return "handover" in (text(server.settings, "worker_class") or "").lower()


def hands_over(server: AppServer) -> bool:
    """Whether it has the worker class, and a configuration file for the hooks: a command line cannot set them."""
    return is_handover_worker(server) and server.conf_file is not None


def uses_uvicorn(server: AppServer) -> bool:
    """Whether uvicorn speaks HTTP to nginx, alone or as gunicorn's worker class."""
    return kind_of(server) == "uvicorn"


def name_of(server: AppServer) -> str:
    """Return ``gunicorn`` or ``gunicorn of backend``."""
    alone = server.service is None or server.service == server.program
    return server.program if alone else f"{server.program} of {server.service}"


def in_container(service: Service | None) -> bool:
    """Whether a service has its own network namespace."""
    return service is not None and service.kind in CONTAINERS and value(service.settings, "network_mode") != "host"
