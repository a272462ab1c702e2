"""A backend that comes back with another address."""

import time

from no502.lab.dns import NameServer
from no502.lab.scenario import Scenario
from no502.lab.side import Side
from no502.lab.stage import Stage
from no502.lab.traffic import Load
from no502.serve.ports import free_port

__all__ = ["SCENARIO"]

_QUICK = {"PROXY_KEEPALIVE_TIMEOUT": "1", "WEB_CONCURRENCY": "1"}  # a stop waits for idle connections
_OLD, _NEW = "127.0.0.2", "127.0.0.3"
_RATE, _SETTLE, _AFTER = 20.0, 6.5, 1.5


def _wild(stage: Stage) -> Side:
    flags = "-w 1 -k uvicorn_worker.UvicornWorker"
    port = free_port()
    server, _ = stage.gunicorn(flags, address=f"{_OLD}:{port}")
    with NameServer(_OLD) as names:
        # A lookup that is valid for an hour behaves as one made once, when nginx starts.
        url = stage.wild_nginx(
            upstream=f"zone app 64k; resolver {names.address} valid=1h ipv6=off; server app.lab:{port} resolve;"
        )
        server.stop()
        stage.gunicorn(flags, address=f"{_NEW}:{port}")
        names.addresses = [_NEW]
        return _play(stage, url, "a name that is looked up once")


def _fixed(stage: Stage) -> Side:
    port = free_port()
    server, _ = stage.no502_gunicorn(**_QUICK, address=f"{_OLD}:{port}")
    with NameServer(_OLD) as names:
        url = stage.no502_nginx(f"app.lab:{port}", NGINX_RESOLVER=names.address, **_QUICK)
        server.stop()
        stage.no502_gunicorn(**_QUICK, address=f"{_NEW}:{port}")
        names.addresses = [_NEW]
        return _play(stage, url, "server NAME resolve, resolver valid=5s")


def _play(stage: Stage, url: str, setup: str) -> Side:
    time.sleep(_SETTLE)
    with Load(url, rate=_RATE, connections=10, began=stage.began) as load:
        time.sleep(_AFTER)
    return stage.side(f"{setup}; the backend moved {_SETTLE:.0f} s ago", load.events)


SCENARIO = Scenario(
    name="stale-address",
    title="The backend has a new address",
    cause="nginx resolves a host name once, at startup. After docker compose up --force-recreate the container can "
    "have another address, and nginx sends every request to the old one until it is reloaded.",
    change="The configuration uses server NAME resolve with a resolver whose answers are valid for 5 s (nginx 1.27.3 "
    "or later).",
    logged=("L901", "L906"),
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
