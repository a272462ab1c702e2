"""Workers that are replaced after max_requests, under load."""

import time

from no502.lab.scenario import Scenario
from no502.lab.side import Side
from no502.lab.stage import Stage
from no502.lab.traffic import Load

__all__ = ["SCENARIO"]

_CONNECTIONS, _SECONDS, _REQUESTS = 50, 4.0, 300


def _wild(stage: Stage) -> Side:
    flags = f"-w 1 -k uvicorn_worker.UvicornWorker --timeout 120 --max-requests {_REQUESTS} --max-requests-jitter 15"
    _, address = stage.gunicorn(flags)
    url = stage.wild_nginx(
        upstream=f"server {address}; keepalive 64;",
        location='proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 180s;',
    )
    return _play(stage, url, f"gunicorn {flags}")


def _fixed(stage: Stage) -> Side:
    variables = {"GUNICORN_MAX_REQUESTS": str(_REQUESTS), "WEB_CONCURRENCY": "1"}
    _, address = stage.no502_gunicorn(**variables)
    return _play(stage, stage.no502_nginx(address), f"gunicorn -c python:gunicorn_conf, max_requests {_REQUESTS}")


def _play(stage: Stage, url: str, setup: str) -> Side:
    with Load(url, began=stage.began, connections=_CONNECTIONS) as load:
        time.sleep(_SECONDS)
    return stage.side(f"{setup}; {_CONNECTIONS} clients POST for {_SECONDS:.0f} s", load.events)


SCENARIO = Scenario(
    name="recycle",
    title="Recycling workers (max_requests) under load",
    cause="gunicorn forks the replacement only after the old worker has exited, and the old worker closes its idle "
    "and unread connections at once. This is the published fix of the incident; the numbers are smaller only to "
    "save your time.",
    change="The replacement is ready before the old worker stops accepting; then it drains: every response says "
    "Connection: close, and idle connections stay open until nginx uses or closes them.",
    logged=("L911",),
    wild=_wild,
    fixed=_fixed,
)
