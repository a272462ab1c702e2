"""A response head that does not fit into proxy_buffer_size."""

from no502.lab.scenario import Scenario
from no502.lab.side import Event, Side
from no502.lab.stage import Stage
from no502.lab.traffic import request

__all__ = ["SCENARIO"]

_COUNTS = (1, 3, 5, 7)


def _wild(stage: Stage) -> Side:
    _, address = stage.gunicorn("-w 1 -k uvicorn_worker.UvicornWorker")
    url = stage.wild_nginx(upstream=f"server {address};")
    return stage.side("proxy_buffer_size by default (4k); 1, 3, 5 and 7 cookies of 1,000 bytes", _play(stage, url))


def _fixed(stage: Stage) -> Side:
    _, address = stage.no502_gunicorn()
    url = stage.no502_nginx(address)
    return stage.side("the buffers of nginx/; the same cookies", _play(stage, url))


def _play(stage: Stage, url: str) -> list[Event]:
    return [request("GET", url, f"/cookies?count={count}", began=stage.began) for count in _COUNTS]


SCENARIO = Scenario(
    name="big-header",
    title="upstream sent too big header",
    cause="Cookies, tokens and a Content-Security-Policy make a response head of more than proxy_buffer_size, one "
    "memory page by default.",
    change="proxy_buffer_size and proxy_buffers fit real response heads, and proxy_busy_buffers_size fits "
    "proxy_buffers, or nginx refuses to start.",
    logged=("L918",),
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
