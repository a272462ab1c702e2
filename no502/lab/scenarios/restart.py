"""A deploy by stop and start of the only instance."""

import signal
import time

from no502.lab.scenario import Scenario, Side
from no502.lab.stage import Stage, stop
from no502.lab.traffic import Load

__all__ = ["SCENARIO"]

_RATE, _SETTLE = 100.0, 1.0


def _wild(stage: Stage) -> Side:
    flags = "-w 1 -k uvicorn_worker.UvicornWorker"
    server, address = stage.gunicorn(flags)
    url = stage.wild_nginx(upstream=f"server {address};")
    with Load(url, rate=_RATE, connections=20, began=stage.began) as load:
        time.sleep(_SETTLE)
        stop(server)
        stage.gunicorn(flags, address=address)
        time.sleep(_SETTLE)
    return stage.side(f"gunicorn {flags}: SIGTERM, then started again; {_RATE:.0f} POST/s", load.events)


def _fixed(stage: Stage) -> Side:
    server, address = stage.no502_gunicorn(WEB_CONCURRENCY="1")
    url = stage.no502_nginx(address)
    with Load(url, rate=_RATE, connections=20, began=stage.began) as load:
        time.sleep(_SETTLE)
        server.signal(signal.SIGHUP)
        time.sleep(2 * _SETTLE)
    return stage.side(f"gunicorn -c python:gunicorn_conf: SIGHUP instead; {_RATE:.0f} POST/s", load.events)


SCENARIO = Scenario(
    name="restart",
    title="Backend down: a restart of the only instance",
    cause="Between the end of the old process and the listen() of the new one nothing is listening on the port: the "
    "kernel refuses, and nginx has no other server to turn to.",
    change="The same deploy by SIGHUP (or with a socket that systemd holds, or start-first in Compose): the listening "
    "socket never goes away. A full stop of the only instance loses requests with no502 too.",
    logged=r"connect\(\) failed \(111",
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
