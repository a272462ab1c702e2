"""A deploy by stop and start of the only instance."""

import signal
import time

from no502.lab.scenario import Scenario
from no502.lab.side import Side
from no502.lab.stage import Stage
from no502.lab.traffic import Load

__all__ = ["SCENARIO"]

_RATE, _SETTLE = 100.0, 1.0


def _wild(stage: Stage) -> Side:
    flags = "-w 1 -k uvicorn_worker.UvicornWorker"
    server, address = stage.gunicorn(flags)
    url = stage.wild_nginx(upstream=f"server {address};")
    with Load(url, rate=_RATE, connections=20, began=stage.began) as load:
        time.sleep(_SETTLE)
        server.stop()
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
    cause="Nothing is listening on the port between the exit of the old process and the listen() of the new one: the "
    "kernel refuses connections, and nginx has no other server to try.",
    change="The deploy sends SIGHUP (or uses systemd socket activation, or start-first in Compose), so the listening "
    "socket stays open. A full stop of the only instance loses requests with no502, too.",
    logged=("L901",),
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
