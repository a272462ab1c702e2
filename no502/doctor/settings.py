"""What is known of each side, by name and type: a name that is not here is an error of the type checker.

None where nothing sets a value and the program has no default for it. Seconds are floats, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Self

from no502.doctor.origin import Address, Fact

__all__ = ["Facts", "LocationFacts", "MainFacts", "ServerFacts", "ServiceFacts", "UpstreamFacts", "gunicorn_names"]


@cache
def gunicorn_names() -> frozenset[str]:
    """Return the names of gunicorn's settings, hooks included."""
    from gunicorn.config import KNOWN_SETTINGS

    return frozenset(setting.name for setting in KNOWN_SETTINGS)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Values by name."""

    others: Mapping[str, Fact[Any]] = field(default_factory=dict)
    """What was read besides and no rule asks for; shown by ``--show effective``."""

    @classmethod
    def of(cls, found: Mapping[str, Fact[Any]]) -> Self:
        """Return what a reader found by the names of its files.

        Raises:
            AttributeError: A name is neither a field nor one of ``shown_only``.
        """
        cls._check(found)
        names = cls.names()
        own = {name: fact for name, fact in found.items() if name in names}
        return cls(**own, others={name: fact for name, fact in found.items() if name not in names})

    @classmethod
    def shown_only(cls) -> frozenset[str]:
        """Return the names that a reader may find and no rule asks for."""
        return frozenset()

    @classmethod
    def _check(cls, found: Mapping[str, Fact[Any]]) -> None:
        foreign = found.keys() - cls.names()
        if foreign and (unknown := sorted(foreign - cls.shown_only())):
            message = f"{cls.__name__} has no {', '.join(unknown)}: a field, or one of shown_only, has to be declared"
            raise AttributeError(message)

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the names of the fields."""
        return frozenset(one.name for one in fields(cls)) - {"others"}

    def fact(self, name: str) -> Fact[Any] | None:
        """Return the fact of a field whose name is in a variable.

        Raises:
            AttributeError: There is no such field.
        """
        found: Fact[Any] | None = getattr(self, name)
        return found

    def named(self) -> dict[str, Fact[Any]]:
        """Return everything that is set, by name."""
        own = {name: fact for name in sorted(self.names()) if (fact := self.fact(name)) is not None}
        return {**self.others, **own}

    def changed(self, new: Mapping[str, Fact[Any]]) -> Self:
        """Return a copy in which some facts are others.

        Raises:
            AttributeError: A name is neither a field nor one of ``shown_only``.
        """
        self._check(new)
        own = {name: fact for name, fact in new.items() if name in self.names()}
        rest = {name: fact for name, fact in new.items() if name not in self.names()}
        return replace(self, **own, others={**self.others, **rest})


@dataclass(frozen=True, kw_only=True)
class MainFacts(Facts):
    """The main and the events level of an nginx."""

    worker_connections: Fact[int] | None = None
    worker_rlimit_nofile: Fact[int] | None = None
    worker_processes: Fact[int] | None = None


@dataclass(frozen=True, kw_only=True)
class UpstreamFacts(Facts):
    """An ``upstream`` block, defaults of the version included."""

    keepalive: Fact[int] | None = None
    """Idle connections that are kept; 0 for none."""
    keepalive_timeout: Fact[float] | None = None
    keepalive_requests: Fact[int] | None = None
    zone: Fact[str] | None = None
    resolver: Fact[tuple[str, ...]] | None = None

    @classmethod
    def shown_only(cls) -> frozenset[str]:
        """Return what bounds a connection's life and no rule compares."""
        return frozenset({"keepalive_time"})


@dataclass(frozen=True, kw_only=True)
class LocationFacts(Facts):
    """What is in force in a location, by directive."""

    proxy_connect_timeout: Fact[float] | None = None
    proxy_send_timeout: Fact[float] | None = None
    proxy_read_timeout: Fact[float] | None = None
    proxy_http_version: Fact[str] | None = None
    proxy_next_upstream: Fact[tuple[str, ...]] | None = None
    proxy_next_upstream_tries: Fact[int] | None = None
    proxy_next_upstream_timeout: Fact[float] | None = None
    proxy_buffer_size: Fact[int] | None = None
    proxy_buffers: Fact[tuple[int, int]] | None = None
    """Number and size."""
    proxy_busy_buffers_size: Fact[int] | None = None
    proxy_buffering: Fact[bool] | None = None
    proxy_request_buffering: Fact[bool] | None = None
    proxy_ignore_client_abort: Fact[bool] | None = None
    proxy_intercept_errors: Fact[bool] | None = None
    proxy_socket_keepalive: Fact[bool] | None = None
    client_max_body_size: Fact[int] | None = None
    client_body_timeout: Fact[float] | None = None
    client_header_timeout: Fact[float] | None = None
    send_timeout: Fact[float] | None = None
    keepalive_timeout: Fact[float] | None = None
    """Towards clients."""
    keepalive_requests: Fact[int] | None = None
    resolver: Fact[tuple[str, ...]] | None = None
    resolver_timeout: Fact[float] | None = None


@dataclass(frozen=True, kw_only=True)
class ServerFacts(Facts):
    """A gunicorn or uvicorn, by gunicorn's names, defaults included."""

    bind: Fact[tuple[Address, ...]] | None = None
    workers: Fact[int] | None = None
    threads: Fact[int] | None = None
    worker_class: Fact[str] | None = None
    worker_connections: Fact[int] | None = None
    limit_concurrency: Fact[int] | None = None
    timeout: Fact[float] | None = None
    graceful_timeout: Fact[float] | None = None
    keepalive: Fact[float] | None = None
    max_requests: Fact[int] | None = None
    max_requests_jitter: Fact[int] | None = None
    backlog: Fact[int] | None = None
    forwarded_allow_ips: Fact[str] | None = None
    proxy_headers: Fact[bool] | None = None
    preload_app: Fact[bool] | None = None
    reload: Fact[bool] | None = None
    http_protocols: Fact[str] | None = None
    http2_cleartext: Fact[str] | None = None
    certfile: Fact[str] | None = None
    """With it or ``keyfile`` the server speaks TLS; empty for neither."""
    keyfile: Fact[str] | None = None

    @classmethod
    def shown_only(cls) -> frozenset[str]:
        """Return the names of gunicorn's other settings."""
        return gunicorn_names()


@dataclass(frozen=True, kw_only=True)
class ServiceFacts(Facts):
    """What runs a process: a container, a unit, a program of supervisord."""

    image: Fact[str] | None = None
    build: Fact[bool] | None = None
    stop_grace: Fact[float] | None = None
    """Seconds from SIGTERM to SIGKILL, default included."""
    stop_signal: Fact[str] | None = None
    replicas: Fact[int] | None = None
    cpus: Fact[float] | None = None
    memory: Fact[int] | None = None
    restart: Fact[str] | None = None
    init: Fact[bool] | None = None
    user: Fact[str] | None = None
    network_mode: Fact[str] | None = None
    ipv4_address: Fact[str] | None = None
    swarm: Fact[bool] | None = None
    """`docker stack deploy` starts it, which ignores what only Compose does."""
    virtual_ip: Fact[bool] | None = None
    """Swarm gives the service one address that stays."""
    published: Fact[tuple[tuple[int, int], ...]] | None = None
    """(port on the host, port inside)."""
    somaxconn: Fact[int] | None = None
    pre_stop: Fact[float] | None = None
    """Seconds that a preStop hook takes."""
    pre_stop_command: Fact[str] | None = None
    pod: Fact[str] | None = None
    controller: Fact[str] | None = None
    service_ports: Fact[tuple[tuple[str, int, int | None], ...]] | None = None
    """(name of a Kubernetes Service, its port, the container's port)."""
    config_maps: Fact[tuple[str, ...]] | None = None
    kill_mode: Fact[str] | None = None
    exec_reload: Fact[str] | None = None
    type: Fact[str] | None = None
    private_tmp: Fact[bool] | None = None
