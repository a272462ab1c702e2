"""A handler that blocks the event loop for longer than gunicorn's timeout."""

import threading
import time

from no502.lab.scenario import Scenario
from no502.lab.side import Event, Side
from no502.lab.stage import Stage
from no502.lab.traffic import burst, request

__all__ = ["SCENARIO"]

_BLOCK_SECONDS = 4.3
_INNOCENT = 10


def _wild(stage: Stage) -> Side:
    flags = "-w 1 -k uvicorn_worker.UvicornWorker --timeout 2"
    _, address = stage.gunicorn(flags)
    url = stage.wild_nginx(upstream=f"server {address};", location="proxy_read_timeout 10s;")
    return _play(stage, url, f"gunicorn {flags} behind proxy_read_timeout 10s (30 and 180 in the incident)")


def _fixed(stage: Stage) -> Side:
    variables = {"PROXY_READ_TIMEOUT": "10", "WEB_CONCURRENCY": "1"}
    _, address = stage.no502_gunicorn(**variables)
    return _play(stage, stage.no502_nginx(address, **variables), "PROXY_READ_TIMEOUT=10, so gunicorn's timeout is 6")


def _play(stage: Stage, url: str, setup: str) -> Side:
    events: list[Event] = []
    innocent = threading.Thread(
        target=lambda: events.extend(burst("POST", url, "/sleep?seconds=1", _INNOCENT, began=stage.began))
    )
    innocent.start()
    time.sleep(0.4)  # they are in their handlers now
    events.append(request("POST", url, f"/block?seconds={_BLOCK_SECONDS}", began=stage.began))
    innocent.join()
    return stage.side(f"{setup}; one handler blocks for {_BLOCK_SECONDS} s, {_INNOCENT} others wait", events)


SCENARIO = Scenario(
    name="blocked-loop",
    title="A blocked event loop",
    cause="A worker whose event loop is blocked sends no heartbeat. If timeout is much shorter than nginx's "
    "proxy_read_timeout, gunicorn kills the worker while the client still waits, and all its other in-flight "
    "requests fail.",
    change="timeout is two thirds of nginx's proxy_read_timeout, and the worker sends a heartbeat every second, so a "
    "stall can use nearly all of it. A longer stall kills the worker with no502, too: its stack is printed. Do "
    "not block the event loop.",
    logged=("L911",),
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
