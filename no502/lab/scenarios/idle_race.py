"""A kept-alive connection that the worker closes while nginx sends the next request on it."""

import time

from no502.lab.scenario import Scenario
from no502.lab.side import Event, Side
from no502.lab.stage import Stage
from no502.lab.traffic import Client

__all__ = ["SCENARIO"]

_CONNECTIONS = 256
_KEEPALIVE, _ANSWER = 2.0, 0.2  # gunicorn's default; how long an answer takes
# Each round begins so long after the one before that connections become 2 s old as they are used again, a bit earlier
# or later: answers leave the worker a little after they are due, and the race is a matter of milliseconds.
_OFFSETS = (0.0, 0.01, 0.02, 0.03, 0.015, 0.04)


def _wild(stage: Stage) -> Side:
    _, address = stage.gunicorn("-w 1 -k uvicorn_worker.UvicornWorker --timeout 30")
    url = stage.wild_nginx(
        upstream=f"server {address}; keepalive 256;",
        location='proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 180s;',
    )
    return stage.side(
        "gunicorn -w 1 -k uvicorn_worker.UvicornWorker --timeout 30; nginx: keepalive 256", _play(stage, url)
    )


def _fixed(stage: Stage) -> Side:
    variables = {"PROXY_KEEPALIVE_TIMEOUT": "2", "GUNICORN_MAX_REQUESTS": "0"}  # one worker on either side
    _, address = stage.no502_gunicorn(**variables)
    url = stage.no502_nginx(address, **variables)
    return stage.side("PROXY_KEEPALIVE_TIMEOUT=2: nginx closes after 2 s, the worker after 17 s", _play(stage, url))


def _play(stage: Stage, url: str) -> list[Event]:
    """POST on every connection at once, again when all have been idle for as long as the worker keeps them."""
    clients = [Client(url, began=stage.began) for _ in range(_CONNECTIONS)]
    events: list[Event] = []
    due = time.monotonic()
    for offset in (None, *_OFFSETS):
        if offset is not None:
            due += _ANSWER + _KEEPALIVE + offset
            time.sleep(max(0.0, due - time.monotonic()))
        due = time.monotonic()
        for client in clients:
            client.send("POST", f"/sleep?seconds={_ANSWER}")
        events += [client.answer() for client in clients]
    for client in clients:
        client.close()
    return events


SCENARIO = Scenario(
    name="idle-race",
    title="The idle keep-alive race",
    cause="gunicorn closes an idle connection after 2 s (its default keepalive), nginx keeps it in its pool for 60 s. "
    "nginx can send a POST on a connection that gunicorn is closing at that moment. nginx silently retries GET "
    "and PUT, but never a POST.",
    change="The side that sends requests closes idle connections: nginx after PROXY_KEEPALIVE_TIMEOUT, the worker 15 s "
    "later.",
    logged=("L911",),
    wild=_wild,
    fixed=_fixed,
)
