"""Accessors for facts: each returns None where the value is not known, so that a rule never guesses."""

from __future__ import annotations

from typing import Any, TypeVar

from no502.doctor.model import AppServer, Fact, Origin, Service, ServiceKind, Source

__all__ = [
    "COMPUTED",
    "CONTAINERS",
    "bind_at",
    "flag",
    "grace_at",
    "hands_over",
    "in_container",
    "is_computed",
    "is_handover_worker",
    "kind_of",
    "name_of",
    "number",
    "origin_of",
    "seconds",
    "shown",
    "speaks_tls",
    "text",
    "uses_uvicorn",
    "value",
    "written",
]

T = TypeVar("T")

CONTAINERS = frozenset({ServiceKind.COMPOSE, ServiceKind.DOCKERFILE, ServiceKind.KUBERNETES})
"""Services with a network namespace of their own unless they say otherwise."""

COMPUTED = "computed by gunicorn_conf"
"""The note of what the ladder's configuration sets."""

_UVICORN_CLASSES = ("UvicornWorker", "UvicornH11Worker", "HandoverWorker")
_BUILT_IN = {"sync", "gthread", "asgi", "gevent", "eventlet", "tornado"}


def value(fact: Fact[T] | None) -> T | None:
    """Return a known value or None."""
    return fact.value if fact is not None and fact.known else None


def number(fact: Fact[int] | Fact[float] | None) -> float | None:
    """Return a known number or None; what a file has in place of one is none."""
    found: object = value(fact)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def text(fact: Fact[Any] | None) -> str | None:
    """Return a known text or None."""
    found = value(fact)
    return None if found is None else str(found)


def flag(fact: Fact[bool] | None) -> bool | None:
    """Return a known boolean or None."""
    found = value(fact)
    return found if isinstance(found, bool) else None


def written(fact: Fact[Any] | None) -> bool:
    """Whether a file sets it to a known value."""
    return fact is not None and fact.known and fact.origin.source is Source.WRITTEN


def origin_of(fact: Fact[Any] | None, fallback: Origin) -> Origin:
    """Return where a value comes from."""
    return fallback if fact is None else fact.origin


def seconds(amount: float) -> str:
    """Return ``2 s`` or ``0.5 s``."""
    return f"{amount:.12g} s"


def shown(fact: Fact[Any] | None) -> str:
    """Return " (default)" for a default (not set explicitly)."""
    return " (default)" if fact is None or fact.origin.source is Source.DEFAULT else ""


def kind_of(server: AppServer) -> str | None:
    """Return what serves requests: ``uvicorn``, one of gunicorn's own classes, ``other``, or None if it is not known.

    ``sync`` with more than one thread is gthread, as in gunicorn.
    """
    if server.program == "uvicorn":
        return "uvicorn"
    name = text(server.settings.worker_class)
    if name is None:
        return None
    if name.endswith(_UVICORN_CLASSES):
        return "uvicorn"
    short = name.removeprefix("egg:gunicorn#")
    if short == "sync":
        threads = number(server.settings.threads)
        return (
            None
            if threads is None and server.settings.threads is not None
            else "gthread"
            if (threads or 1) > 1
            else "sync"
        )
    if short in _BUILT_IN:
        return short
    return "other"


def is_computed(fact: Fact[Any] | None) -> bool:
    """Whether the ladder's configuration sets it, from variables: an option of the command would win over it."""
    return fact is not None and fact.origin.note == COMPUTED


def is_handover_worker(server: AppServer) -> bool:
    """Whether its worker class is this project's."""
    return "handover" in (text(server.settings.worker_class) or "").lower()


def hands_over(server: AppServer) -> bool:
    """Whether it has the worker class, and a configuration file for the hooks: a command line cannot set them."""
    return is_handover_worker(server) and server.conf_file is not None


def uses_uvicorn(server: AppServer) -> bool:
    """Whether uvicorn speaks HTTP to nginx, alone or as gunicorn's worker class."""
    return kind_of(server) == "uvicorn"


def speaks_tls(server: AppServer) -> bool | None:
    """Whether a server expects TLS on its own sockets; None where its settings are not known."""
    given = [server.settings.certfile, server.settings.keyfile]
    if any(value(fact) for fact in given):
        return True
    return False if all(fact is not None and fact.known for fact in given) else None


def name_of(server: AppServer) -> str:
    """Return ``gunicorn`` or ``gunicorn of backend``."""
    alone = server.service is None or server.service == server.program
    return server.program if alone else f"{server.program} of {server.service}"


def bind_at(server: AppServer) -> Origin:
    """Return where it is written on what a server listens."""
    return origin_of(server.settings.bind, server.origin)


def grace_at(service: Service) -> Origin:
    """Return where it is written how long a service may take to stop."""
    return origin_of(service.settings.stop_grace, service.origin)


def in_container(service: Service | None) -> bool:
    """Whether a service has its own network namespace."""
    return service is not None and service.kind in CONTAINERS and value(service.settings.network_mode) != "host"
