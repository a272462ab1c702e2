"""A handler that is slower than nginx is patient."""

from no502.lab.scenario import Scenario
from no502.lab.side import Event, Side
from no502.lab.stage import Stage
from no502.lab.traffic import request

__all__ = ["SCENARIO"]

_SECONDS = 12


def _wild(stage: Stage) -> Side:
    flags = "-w 1 -k uvicorn_worker.UvicornWorker --timeout 30"
    _, address = stage.gunicorn(flags)
    url = stage.wild_nginx(upstream=f"server {address};", location="proxy_read_timeout 3s;")
    return stage.side(f"gunicorn {flags} behind proxy_read_timeout 3s; a request of {_SECONDS} s", _play(stage, url))


def _fixed(stage: Stage) -> Side:
    variables = {"PROXY_READ_TIMEOUT": "10"}
    _, address = stage.no502_gunicorn(**variables)
    url = stage.no502_nginx(address, **variables)
    return stage.side(
        f"PROXY_READ_TIMEOUT=10: the application's deadline is 5 s; a request of {_SECONDS} s", _play(stage, url)
    )


def _play(stage: Stage, url: str) -> list[Event]:
    event = request("POST", url, f"/sleep?seconds={_SECONDS}", began=stage.began)
    # 504 both times, but whose? nginx logs its own; the application's names the request and has freed the worker.
    own = "(110:" not in "".join(stage.side("", []).log)
    words = "504 by the application, handler cancelled" if own else "504 by nginx, handler runs on"
    return [Event(at=event.at, seconds=event.seconds, outcome=words, ok=own and event.outcome == "504")]


SCENARIO = Scenario(
    name="slow-upstream",
    title="A request that takes longer than proxy_read_timeout",
    cause="gunicorn's timeout does not limit a request of an async worker: nginx times out first and answers 504 with "
    "its own page, and the handler keeps running although the client has disconnected.",
    change="The application's request deadline is below all other timeouts: the application itself answers 504 as "
    "problem+json, logs the request id, and cancels the handler.",
    logged=("L913",),
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
