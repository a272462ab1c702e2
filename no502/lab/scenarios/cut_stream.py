"""A response that is still being sent when its worker is told to leave."""

import threading
import time

import httpx

from no502.lab.scenario import Scenario
from no502.lab.side import Event, Side
from no502.lab.stage import Stage
from no502.lab.traffic import burst

__all__ = ["SCENARIO"]

_PIECES, _PAUSE, _STREAMS, _REQUESTS = 12, 0.5, 4, 20
_EXPECTED = _PIECES * 1000


def _wild(stage: Stage) -> Side:
    flags = f"-w 1 -k uvicorn_worker.UvicornWorker --timeout 3 --max-requests {_REQUESTS}"
    _, address = stage.gunicorn(flags)
    url = stage.wild_nginx(upstream=f"server {address};")
    return _play(stage, url, f"gunicorn {flags}")


def _fixed(stage: Stage) -> Side:
    variables = {"PROXY_READ_TIMEOUT": "10", "WEB_CONCURRENCY": "1", "GUNICORN_MAX_REQUESTS": str(_REQUESTS)}
    _, address = stage.no502_gunicorn(**variables)
    return _play(stage, stage.no502_nginx(address, **variables), "PROXY_READ_TIMEOUT=10, so timeout is 6")


def _play(stage: Stage, url: str, setup: str) -> Side:
    events: list[Event] = []
    threads = [threading.Thread(target=lambda: events.append(_download(stage, url))) for _ in range(_STREAMS)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    burst("GET", url, "/", 2 * _REQUESTS, began=stage.began)
    for thread in threads:
        thread.join()
    return stage.side(
        f"{setup}; {_STREAMS} downloads of {_PIECES * _PAUSE:.0f} s, max_requests reached after 1 s", events
    )


def _download(stage: Stage, url: str) -> Event:
    began, received = time.monotonic(), 0
    try:
        address = f"{url}/stream?pieces={_PIECES}&pause={_PAUSE}"
        with httpx.Client(trust_env=False, timeout=30) as client, client.stream("GET", address) as response:
            outcome = str(response.status_code)
            for piece in response.iter_bytes():
                received += len(piece)
    except httpx.HTTPError as error:
        outcome = type(error).__name__
    complete = received == _EXPECTED
    words = outcome if complete else f"{outcome} after {received} of {_EXPECTED} bytes"
    return Event(at=began - stage.began, seconds=time.monotonic() - began, outcome=words, ok=complete)


SCENARIO = Scenario(
    name="cut-stream",
    title="A download or event stream cut in the middle",
    cause="A draining worker sends no heartbeat, so gunicorn kills it after timeout, and its response ends early. The "
    "status 200 was sent long before: only the missing end shows the loss, and nginx's access log says 200.",
    change="A draining worker keeps sending heartbeats, and has drain_timeout to finish its responses.",
    logged=("L912", "L951"),
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
