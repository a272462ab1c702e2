"""What the readers found out: every value with where it comes from. The rules know nothing else.

Seconds are floats, sizes are bytes. A value that could not be determined is a ``Fact`` of kind ``unknown`` with the
reason, never a guess: rules skip it, and the report lists it under "not checked".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from no502.doctor.origin import Address, Fact, Origin, Source
from no502.doctor.reach import Reach
from no502.doctor.settings import LocationFacts, MainFacts, ServerFacts, ServiceFacts, UpstreamFacts

__all__ = [
    "Address",
    "AppServer",
    "Deployment",
    "Fact",
    "Front",
    "Gap",
    "Healthcheck",
    "Location",
    "NginxConfig",
    "NotChecked",
    "Origin",
    "Problem",
    "Proxy",
    "ProxyTarget",
    "Service",
    "ServiceKind",
    "Source",
    "Upstream",
    "UpstreamServer",
    "Version",
]

Version = tuple[int, int, int]


# --- nginx ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class UpstreamServer:
    """A ``server`` line of an ``upstream`` block."""

    address: Fact[Address]
    parameters: Mapping[str, str]
    """``max_fails``, ``fail_timeout`` ... as written; flags (``down``, ``backup``, ``resolve``) map to ``""``."""
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """An ``upstream`` block, or the implicit one of a ``proxy_pass`` that names an address."""

    name: str
    origin: Origin
    servers: Sequence[UpstreamServer]
    settings: UpstreamFacts = field(default_factory=UpstreamFacts)
    explicit: bool = True
    alternatives: bool = False
    """A template decides which of the servers there are, and how many."""


@dataclass(frozen=True, kw_only=True)
class Location:
    """A location (or server level) with a ``proxy_pass``: what nginx really applies there."""

    path: str
    """``/``, ``~ ^/api``, ``@name`` ... as written."""
    server_names: Sequence[str]
    origin: Origin
    """The line of the location."""
    proxy_pass: Fact[str]
    target: str = ""
    """``proxy_pass`` with the values of its constant variables."""
    upstream: Upstream | None
    """None when ``proxy_pass`` has a variable that leads nowhere known."""
    settings: LocationFacts
    headers: Mapping[str, Fact[str]]
    """Effective ``proxy_set_header`` by lower-case name, nginx's own defaults (Host, Connection) included."""
    dropped_headers: Mapping[str, Fact[str]] = field(default_factory=dict)
    """Outer ``proxy_set_header`` that the location's own ones replace, by lower-case name."""
    ordinary_connection: Fact[str] | None = None
    """What a ``Connection`` header with a variable is for requests that are no upgrade, where a ``map`` tells."""
    rewrites: bool = False
    """There is a ``rewrite``, which makes the path unless ``proxy_pass`` has a URI."""
    config: NginxConfig = field(repr=False)


@dataclass(kw_only=True, eq=False)
class NginxConfig:
    """One nginx: all of its files."""

    origin: Origin
    versions: Sequence[Version]
    """Versions to judge by: one if it is known, else one on each side of 1.29.7."""
    version_origin: Origin
    upstreams: list[Upstream] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    service: str | None = None
    """Name of the ``Service`` that runs it."""
    runner: Service | None = None
    """What runs it; ``service`` is its name."""
    main: MainFacts = field(default_factory=MainFacts)
    """Main and events level."""


# --- what serves the application -----------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False)
class AppServer:
    """A gunicorn or uvicorn that some file starts."""

    program: str
    """``gunicorn`` or ``uvicorn``."""
    origin: Origin
    """The line of the command."""
    command: Fact[tuple[str, ...]]
    settings: ServerFacts
    service: str | None = None
    """Name of the ``Service`` that runs it."""
    conf_file: Fact[str] | None = None
    """The Python file that it loads."""
    shell: str = ""
    """How it is started when it is not PID 1 itself: ``sh -c without exec``, ``entrypoint script without exec``."""
    likely: bool = False
    """A word that is not known stands before it in its command."""
    starts: bool = True
    """Its command line is accepted."""
    background: bool = False
    """It is started with ``&``."""
    beside: bool = False
    """Something else that keeps running is started with it."""
    piped: bool = False
    """Its output goes through a pipe of the shell."""
    note: str = ""
    """What a reader should know about how it was found."""
    runner: Service | None = None
    """What runs it; ``service`` is its name."""
    manager: Service | None = None
    """The program of supervisord that runs it, where that is inside another service."""


class ServiceKind(StrEnum):
    """Who runs a process."""

    COMPOSE = "compose"
    DOCKERFILE = "dockerfile"
    SYSTEMD = "systemd"
    KUBERNETES = "kubernetes"
    PROCFILE = "procfile"
    SUPERVISOR = "supervisor"


@dataclass(frozen=True, kw_only=True)
class Healthcheck:
    """A container's health check or a pod's probe."""

    kind: str
    """``healthcheck``, ``livenessProbe``, ``readinessProbe``, ``startupProbe``."""
    origin: Origin
    test: Fact[tuple[str, ...]]
    """The command; for an HTTP probe ``("GET", path)``."""
    interval: Fact[float]
    timeout: Fact[float]
    retries: Fact[int]
    start_period: Fact[float]
    port: int | None = None
    """The port that a pod's probe asks."""


@dataclass(kw_only=True, eq=False)
class Service:
    """A compose service, a systemd unit, a container of a pod, or a Dockerfile on its own."""

    kind: ServiceKind
    name: str
    origin: Origin
    settings: ServiceFacts = field(default_factory=ServiceFacts)
    depends_on: Mapping[str, Fact[str]] = field(default_factory=dict)
    """Other service -> condition (``service_started`` by default)."""
    healthchecks: Sequence[Healthcheck] = ()
    aliases: Sequence[str] = ()
    """Names by which others reach it: service name, container_name, network aliases, a Kubernetes Service's name."""
    ports: Sequence[Fact[int]] = ()
    """Ports that it listens on inside, as far as the files say (EXPOSE, expose, containerPort)."""
    volumes: Sequence[tuple[Fact[str], str]] = ()
    """(host path or volume name, path inside)."""
    environment: Mapping[str, Fact[str]] = field(default_factory=dict)


# --- all of it -----------------------------------------------------------------------------------------------------


class Gap(StrEnum):
    """What kind of thing the files do not tell."""

    OTHER = "other"
    SERVER = "server"
    """What serves: a file of a kind that is not read, or a server that was not found."""
    PROGRAM = "program"
    """A program that serves the application, or starts what does, and is not judged; ``name`` is the program's."""
    COMMAND = "command"
    """A command, and it is not known whether it starts a server."""
    CHART = "chart"
    """A Helm chart, which has to be rendered."""
    TEMPLATE = "template"
    """A file with places that something else fills in."""
    INCLUDE = "include"
    """A file that nginx includes."""
    SETTING = "setting"
    """A value of a server, a service or an upstream."""
    DIRECTIVE = "directive"
    """A value of a location, which several locations may inherit from one line."""
    TARGET = "target"
    """What nginx connects to."""


@dataclass(frozen=True, kw_only=True)
class NotChecked:
    """Something that the files do not tell, and why."""

    what: str
    why: str
    origin: Origin
    kind: Gap = Gap.OTHER
    name: str = ""
    """The setting; for a target, the location; for a program, its name."""
    whose: str = ""
    """Whose setting it is."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that a reader reports itself: a file does not parse, a container was killed, nginx answers 502.

    Readers give the id of the rule, of the families C (files) and E (what runs).
    """

    rule: str
    message: str
    origin: Origin
    fix: str = ""
    related: tuple[tuple[Origin, str], ...] = ()
    consequence: str = ""


@dataclass(frozen=True, kw_only=True)
class Front:
    """A load balancer or CDN before nginx, as the user names it."""

    name: str
    read: float | None
    """Seconds that it waits for a response; None: no limit."""
    idle: float | None
    """Seconds that it reuses an idle connection to nginx; None: not known."""
    origin: Origin
    note: str
    """Where the numbers come from."""


@dataclass(frozen=True, kw_only=True)
class ProxyTarget:
    """An address to which a proxy other than nginx connects, and what is said of that one alone."""

    address: Fact[Address]
    tls: bool | None = None
    """The proxy speaks TLS to it; None where that is not known."""
    http2: bool = False
    """The proxy speaks HTTP/2 to it."""
    transport: str = ""
    """The name of times that stand elsewhere: Traefik's ``serversTransport``."""
    read: Fact[float] | None = None
    """Seconds that the proxy waits for a response there, where that is not the proxy's own time."""
    idle: Fact[float] | None = None
    """Seconds that it reuses an idle connection there, where that is not its own time."""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy other than nginx that stands in front of the application, as the files tell."""

    name: str
    """``traefik``, ``caddy``, ``haproxy``, ``ingress-nginx`` ..."""
    origin: Origin
    service: Service | None
    """What runs it; None where that is not among the files."""
    targets: Sequence[ProxyTarget]
    """Where it connects to."""
    read: Fact[float]
    """Seconds that it waits for a response; unknown or without a limit: no value."""
    idle: Fact[float]
    """Seconds that it reuses an idle connection."""
    kind: ServiceKind | None = None
    """Whose names it knows: a cluster's or Compose's; None if that is unknown."""


@dataclass(kw_only=True, eq=False)
class Deployment:
    """Everything that was read together."""

    nginx: list[NginxConfig] = field(default_factory=list)
    servers: list[AppServer] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    not_checked: list[NotChecked] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    """Files that were read, as shown to the user."""
    front: Front | None = None
    """The front proxy (``--front``)."""
    proxies: list[Proxy] = field(default_factory=list)
    reach: Reach = field(default_factory=Reach)
    """Which files may be opened."""
    unreadable: list[str] = field(default_factory=list)
    """Files that belong to the deployment and could not be read."""

    def leave_out(self, gap: NotChecked) -> None:
        """Take note of something that the files do not tell, once."""
        if gap not in self.not_checked:
            self.not_checked.append(gap)

    def service(self, name: str | None) -> Service | None:
        """Return the service of that name, else of that alias."""
        if name is None:
            return None
        named = next((s for s in self.services if s.name == name), None)
        return named or next((s for s in self.services if name in s.aliases), None)

    def runner(self, one: AppServer | NginxConfig) -> Service | None:
        """Return what runs a server or an nginx."""
        return one.runner or self.service(one.service)
