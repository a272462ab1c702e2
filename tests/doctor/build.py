"""Deployments built by hand, for tests of rules without readers."""

from collections.abc import Mapping
from typing import Any

from no502.doctor.model import (
    Address,
    AppServer,
    Deployment,
    Fact,
    Location,
    NginxConfig,
    Origin,
    Service,
    ServiceKind,
    Source,
    Upstream,
    UpstreamServer,
    Version,
)
from no502.doctor.settings import LocationFacts, ServerFacts, ServiceFacts, UpstreamFacts

__all__ = ["NEW", "OLD", "app", "default", "deployment", "nginx", "service", "stated"]

OLD: Version = (1, 28, 0)
NEW: Version = (1, 30, 0)


def stated(value: object, line: int = 5, file: str = "nginx.conf") -> Fact[Any]:
    """Return a written value."""
    return Fact(value, Origin(file=file, line=line))


def default(value: object) -> Fact[Any]:
    """Return a default."""
    return Fact(value, Origin(file="nginx.conf", line=1, source=Source.DEFAULT))


def nginx(
    *targets: Address,
    versions: tuple[Version, ...] = (NEW,),
    explicit: bool = True,
    upstream: Mapping[str, Fact[Any]] | None = None,
    settings: Mapping[str, Fact[Any]] | None = None,
    headers: Mapping[str, Fact[str]] | None = None,
    service: str | None = None,
    parameters: Mapping[str, str] | None = None,
) -> NginxConfig:
    """Return an nginx with one location ``/`` that passes requests to the targets."""
    config = NginxConfig(
        origin=Origin(file="nginx.conf"), versions=versions, version_origin=Origin(file="test"), service=service
    )
    block = Upstream(
        name="app",
        origin=Origin(file="nginx.conf", line=2),
        servers=[
            UpstreamServer(
                address=stated(target, 3 + number),
                parameters=parameters or {},
                origin=Origin(file="nginx.conf", line=3 + number),
            )
            for number, target in enumerate(targets)
        ],
        settings=UpstreamFacts.of({"keepalive_timeout": default(60.0), **(upstream or {})}),
        explicit=explicit,
    )
    location = Location(
        path="/",
        server_names=("example.org",),
        origin=Origin(file="nginx.conf", line=10),
        proxy_pass=stated("http://app", 11),
        upstream=block,
        settings=LocationFacts.of(
            {
                "proxy_read_timeout": default(60.0),
                "proxy_next_upstream": default(("error", "timeout")),
                "proxy_next_upstream_tries": default(0),
                "proxy_next_upstream_timeout": default(0.0),
                **(settings or {}),
            }
        ),
        headers=headers or {},
        config=config,
    )
    config.locations.append(location)
    config.upstreams.append(block)
    return config


def app(program: str = "gunicorn", *, service: str | None = None, shell: str = "", **settings: object) -> AppServer:
    """Return a server; values are written in ``gunicorn.conf.py``, those in a ``Fact`` as they are."""
    defaults: dict[str, Any] = {
        "bind": (Address(host="127.0.0.1", port=8000),),
        "worker_class": "uvicorn_worker.UvicornWorker",
        "timeout": 30,
        "graceful_timeout": 30,
        "keepalive": 2,
        "workers": 4,
        "threads": 1,
        "max_requests": 0,
        "max_requests_jitter": 0,
    }
    if program == "uvicorn":
        defaults = {"bind": (Address(host="127.0.0.1", port=8000),), "keepalive": 5, "workers": 1}
    facts = {
        name: value if isinstance(value, Fact) else stated(value, 1, "gunicorn.conf.py")
        for name, value in {**defaults, **settings}.items()
    }
    return AppServer(
        program=program,
        origin=Origin(file="start.sh", line=1),
        command=stated((program, "app:app"), 1, "start.sh"),
        settings=ServerFacts.of(facts),
        service=service,
        shell=shell,
    )


def service(name: str, kind: ServiceKind = ServiceKind.COMPOSE, **settings: object) -> Service:
    """Return a service with written settings."""
    return Service(
        kind=kind,
        name=name,
        origin=Origin(file="compose.yaml", line=3),
        settings=ServiceFacts.of({key: stated(value, 4, "compose.yaml") for key, value in settings.items()}),
        aliases=(name,),
    )


def deployment(*parts: NginxConfig | AppServer | Service) -> Deployment:
    """Put the parts together."""
    return Deployment(
        nginx=[part for part in parts if isinstance(part, NginxConfig)],
        servers=[part for part in parts if isinstance(part, AppServer)],
        services=[part for part in parts if isinstance(part, Service)],
        looked_at=["nginx.conf", "gunicorn.conf.py"],
    )
