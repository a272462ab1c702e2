"""A client that says where it comes from."""

import time

import httpx

from no502.lab.scenario import Scenario
from no502.lab.side import Event, Side
from no502.lab.stage import Stage

__all__ = ["SCENARIO"]

_FORGED = "203.0.113.66"


def _wild(stage: Stage) -> Side:
    flags = "-w 1 -k uvicorn_worker.UvicornWorker --forwarded-allow-ips=*"
    _, address = stage.gunicorn(flags)
    url = stage.wild_nginx(
        upstream=f"server {address};",
        location="proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
        "proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;",
    )
    return stage.side(f"gunicorn {flags}; $proxy_add_x_forwarded_for", _play(stage, url))


def _fixed(stage: Stage) -> Side:
    _, address = stage.no502_gunicorn()
    url = stage.no502_nginx(address)
    return stage.side("forwarded headers replaced at the edge", _play(stage, url))


def _play(stage: Stage, url: str) -> list[Event]:
    at = time.monotonic()
    headers = {"X-Forwarded-For": _FORGED, "X-Forwarded-Proto": "https"}
    with httpx.Client(trust_env=False, timeout=10) as client:
        seen = client.get(f"{url}/", headers=headers).json()
    true = seen["client"] == "127.0.0.1" and seen["scheme"] == "http"
    outcome = f"the application sees {seen['client']} over {seen['scheme']}"
    return [Event(at=at - stage.began, seconds=time.monotonic() - at, outcome=outcome, ok=true)]


SCENARIO = Scenario(
    name="forged-address",
    title="A client address that the client chose",
    cause="nginx appends to the X-Forwarded-For that the client sent, and a worker that trusts every address takes "
    "the first entry: rate limits, audit logs and redirects use it.",
    change="At the edge nginx replaces the forwarded headers with the address that it saw itself; behind a trusted "
    "proxy, real_ip takes the address from a list of trusted networks.",
    logged=(),
    wild=_wild,
    fixed=_fixed,
    quiet=True,
)
