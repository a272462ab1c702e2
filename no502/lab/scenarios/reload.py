"""SIGHUP under load."""

import signal
import time

from no502.lab.scenario import Scenario
from no502.lab.side import Side
from no502.lab.stage import Stage
from no502.lab.traffic import Load
from no502.serve.children import Child

__all__ = ["SCENARIO"]

_CONNECTIONS, _RELOADS, _PAUSE = 50, 3, 1.0


def _wild(stage: Stage) -> Side:
    flags = "-w 2 -k uvicorn_worker.UvicornWorker --timeout 30"
    server, address = stage.gunicorn(flags)
    url = stage.wild_nginx(
        upstream=f"server {address}; keepalive 64;",
        location='proxy_http_version 1.1; proxy_set_header Connection "";',
    )
    return _play(stage, server, url, f"gunicorn {flags}")


def _fixed(stage: Stage) -> Side:
    server, address = stage.no502_gunicorn(WEB_CONCURRENCY="2")
    return _play(stage, server, stage.no502_nginx(address), "gunicorn -c python:gunicorn_conf, 2 workers")


def _play(stage: Stage, server: Child, url: str, setup: str) -> Side:
    with Load(url, began=stage.began, connections=_CONNECTIONS) as load:
        for _ in range(_RELOADS):
            time.sleep(_PAUSE)
            server.signal(signal.SIGHUP)
        time.sleep(_PAUSE)
    return stage.side(f"{setup}; {_RELOADS} x SIGHUP while {_CONNECTIONS} clients POST", load.events)


SCENARIO = Scenario(
    name="reload",
    title="Reload (SIGHUP) under load",
    cause="On SIGHUP gunicorn sends SIGTERM to the old workers before the new ones have booted, and uvicorn closes "
    "its idle and unread connections at once.",
    change="The old generation keeps accepting until every worker of the new one is ready.",
    logged=("L911",),
    wild=_wild,
    fixed=_fixed,
)
