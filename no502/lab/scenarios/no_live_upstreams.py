"""Two instances that are away for a moment, and nginx that marks both as unavailable for ten seconds."""

import time

from no502.lab.dns import NameServer
from no502.lab.scenario import Scenario
from no502.lab.side import Side
from no502.lab.stage import Stage
from no502.lab.traffic import Load
from no502.serve.ports import free_port

__all__ = ["SCENARIO"]

_QUICK = {"PROXY_KEEPALIVE_TIMEOUT": "1", "WEB_CONCURRENCY": "1"}  # a stop waits for idle connections
_HOSTS = ("127.0.0.2", "127.0.0.3")
_RATE = 20.0
_AFTER = 3.0


def _wild(stage: Stage) -> Side:
    flags = "-w 1 -k uvicorn_worker.UvicornWorker"
    first, address = stage.gunicorn(flags, address=f"{_HOSTS[0]}:{free_port()}")
    second, other = stage.gunicorn(flags, address=f"{_HOSTS[1]}:{free_port()}")
    url = stage.wild_nginx(upstream=f"server {address}; server {other};")
    with Load(url, rate=_RATE, connections=10, began=stage.began, method="GET") as load:
        time.sleep(1.0)
        first.stop()
        second.stop()
        time.sleep(0.5)
        stage.gunicorn(flags, address=address)
        stage.gunicorn(flags, address=other)
        back = time.monotonic() - stage.began
        time.sleep(_AFTER)
    return _from(stage, load, back, "two servers with nginx's defaults: max_fails=1 fail_timeout=10s")


def _fixed(stage: Stage) -> Side:
    port = free_port()
    first, address = stage.no502_gunicorn(**_QUICK, address=f"{_HOSTS[0]}:{port}")
    second, other = stage.no502_gunicorn(**_QUICK, address=f"{_HOSTS[1]}:{port}")
    with NameServer(*_HOSTS) as names:
        url = stage.no502_nginx(f"app.lab:{port}", NGINX_RESOLVER=names.address, **_QUICK)
        with Load(url, rate=_RATE, connections=10, began=stage.began, method="GET") as load:
            time.sleep(1.0)
            first.stop()
            second.stop()
            time.sleep(0.5)
            stage.no502_gunicorn(**_QUICK, address=address)
            stage.no502_gunicorn(**_QUICK, address=other)
            back = time.monotonic() - stage.began
            time.sleep(_AFTER)
    return _from(stage, load, back, "the same with max_fails=1 fail_timeout=1s")


def _from(stage: Stage, load: Load, back: float, setup: str) -> Side:
    """Count only what was sent when both instances had been back for more than a second."""
    events = [event for event in load.events if event.at > back + 1.5]
    return stage.side(f"{setup}; both restart; requests from 1.5 s after their return on", events)


SCENARIO = Scenario(
    name="no-live-upstreams",
    title="no live upstreams: healthy again, and still 502",
    cause="With two or more servers, nginx marks a server as unavailable for fail_timeout (10 s by default) after one "
    "failure. After both have failed once, nginx tries neither and answers 502 to every request, although both "
    "are back.",
    change="Every server line has max_fails=1 fail_timeout=1s: nginx skips a failed server for one second instead of "
    "ten. With one server nginx ignores both.",
    logged=("L908",),
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
