"""A WebSocket handshake that does not reach the application."""

import time

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from no502.lab.scenario import Scenario
from no502.lab.side import Event, Side
from no502.lab.stage import Stage

__all__ = ["SCENARIO"]

_TIMES = 3


def _wild(stage: Stage) -> Side:
    _, address = stage.gunicorn("-w 1 -k uvicorn_worker.UvicornWorker")
    url = stage.wild_nginx(
        upstream=f"server {address}; keepalive 64;", location='proxy_http_version 1.1; proxy_set_header Connection "";'
    )
    return stage.side("a location without Upgrade and Connection headers", [_talk(stage, url) for _ in range(_TIMES)])


def _fixed(stage: Stage) -> Side:
    _, address = stage.no502_gunicorn()
    url = stage.no502_nginx(address)
    return stage.side("the Connection header by a map, its empty case ''", [_talk(stage, url) for _ in range(_TIMES)])


def _talk(stage: Stage, url: str) -> Event:
    at = time.monotonic()
    try:
        with connect(url.replace("http:", "ws:") + "/echo", proxy=None, open_timeout=10) as socket:
            socket.send("hello")
            outcome = "echo" if socket.recv(timeout=10) == "hello" else "another text"
    except InvalidStatus as error:
        outcome = f"{error.response.status_code} instead of 101"
    except (WebSocketException, OSError) as error:
        outcome = type(error).__name__
    return Event(at=at - stage.began, seconds=time.monotonic() - at, outcome=outcome, ok=outcome == "echo")


SCENARIO = Scenario(
    name="websocket",
    title="WebSockets answered with 404",
    cause="Upgrade and Connection are hop-by-hop headers, so nginx does not forward them by default: the application "
    "sees a plain GET of a path that it does not have.",
    change="A map forwards Upgrade if the client sent it and leaves Connection empty otherwise, so keep-alive to the "
    "worker still works.",
    logged=(),
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
