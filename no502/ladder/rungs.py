"""The ladder as data: every number with its formula, who enforces it, why, and where that is written down.

``gunicorn_conf`` computes the numbers. A test evaluates every formula here against it, so the two cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gunicorn_conf import ServerSettings

__all__ = ["GROUPS", "RUNGS", "Rung", "is_overridden", "symbols", "value_of"]

GROUPS: Mapping[str, str] = {
    "request": "while a request runs",
    "idle": "between two requests on one connection",
    "leaving": "while a worker or the instance leaves",
    "recycling": "how many workers, and when one is replaced",
}
"""The parts of the ladder in reading order: key and title."""

_NGINX = "https://nginx.org/en/docs/http"
_GUNICORN = "https://gunicorn.org/reference/settings"


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One number of the ladder."""

    name: str
    """The attribute of ``ServerSettings``."""
    symbol: str
    """Its name in formulas."""
    variable: str
    """The environment variable that sets an input or overrides a computed rung."""
    formula: str | None
    """A Python expression over the symbols; None for an input."""
    group: str
    """A key of ``GROUPS``."""
    enforced_by: str
    why: str
    source: str
    unit: str = "s"
    """``s`` for seconds, empty for a count."""


RUNGS: tuple[Rung, ...] = (
    Rung(
        name="statement_timeout",
        symbol="S",
        variable="GUNICORN_STATEMENT_TIMEOUT",
        formula="D * 9 // 10",
        group="request",
        enforced_by="PostgreSQL, per connection",
        why="The database names the slow statement before the request's deadline hides which one it was.",
        source="https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT",
    ),
    Rung(
        name="request_deadline",
        symbol="D",
        variable="GUNICORN_REQUEST_DEADLINE",
        formula="T * 5 // 6 if hands_over else min(T * 5 // 6, (T - 5) // 2)",
        group="request",
        enforced_by="the application's middleware",
        why="No response has started: the application answers 504 itself and cancels work whose client has gone. "
        "A worker class without a heartbeat while it drains needs T >= 2 D + 5.",
        source="https://github.com/Kludex/uvicorn-worker/blob/main/uvicorn_worker/_workers.py",
    ),
    Rung(
        name="timeout",
        symbol="T",
        variable="GUNICORN_TIMEOUT",
        formula="P * 2 // 3",
        group="request",
        enforced_by="gunicorn's arbiter",
        why="A worker whose event loop is blocked is killed before nginx gives up. This does not bound a request.",
        source=f"{_GUNICORN}/#timeout",
    ),
    Rung(
        name="proxy_read_timeout",
        symbol="P",
        variable="PROXY_READ_TIMEOUT",
        formula=None,
        group="request",
        enforced_by="nginx",
        why="The longest gap between two reads, not a total; the first gap lasts until the response starts.",
        source=f"{_NGINX}/ngx_http_proxy_module.html#proxy_read_timeout",
    ),
    Rung(
        name="proxy_connect_timeout",
        symbol="C",
        variable="PROXY_CONNECT_TIMEOUT",
        formula=None,
        group="request",
        enforced_by="nginx",
        why="A host on the same network connects at once or not at all; a dead one must not cost a minute.",
        source=f"{_NGINX}/ngx_http_proxy_module.html#proxy_connect_timeout",
    ),
    Rung(
        name="front_read_timeout",
        symbol="L",
        variable="FRONT_READ_TIMEOUT",
        formula=None,
        group="request",
        enforced_by="the load balancer or CDN in front of nginx",
        why="Longer than 2 C + P (nginx may connect twice), else nginx's answer is lost. Unset: nginx is the edge.",
        source=f"{_NGINX}/ngx_http_proxy_module.html#proxy_next_upstream",
    ),
    Rung(
        name="proxy_keepalive_timeout",
        symbol="U",
        variable="PROXY_KEEPALIVE_TIMEOUT",
        formula=None,
        group="idle",
        enforced_by="nginx",
        why="How long nginx keeps an idle connection to a worker. nginx is the one that closes it.",
        source=f"{_NGINX}/ngx_http_upstream_module.html#keepalive_timeout",
    ),
    Rung(
        name="keepalive",
        symbol="B",
        variable="GUNICORN_KEEPALIVE",
        formula="U + 15",
        group="idle",
        enforced_by="the worker",
        why="A worker that closes first resets the next POST: that is the 502. Longer than nginx, but not by hours: "
        "a connection that was reset keeps its objects in memory for that long.",
        source=f"{_GUNICORN}/#keepalive",
    ),
    Rung(
        name="stop_delay",
        symbol="stop_delay",
        variable="GUNICORN_STOP_DELAY",
        formula=None,
        group="leaving",
        enforced_by="the worker",
        why="After SIGTERM the instance goes on accepting and says 503 at /health/ready until discovery has noticed.",
        source="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
    ),
    Rung(
        name="drain_timeout",
        symbol="drain",
        variable="GUNICORN_DRAIN_TIMEOUT",
        formula="max(1, G - min(9, max(1, G // 20)))",
        group="leaving",
        enforced_by="the worker",
        why="What still runs is cancelled while there is time left for the lifespan shutdown.",
        source="https://uvicorn.dev/server-behavior/",
    ),
    Rung(
        name="graceful_timeout",
        symbol="G",
        variable="GUNICORN_GRACEFUL_TIMEOUT",
        formula="max(T, U + 10)",
        group="leaving",
        enforced_by="gunicorn's arbiter",
        why="Then SIGKILL. Long enough for the longest request and for nginx's idle connections.",
        source=f"{_GUNICORN}/#graceful_timeout",
    ),
    Rung(
        name="stop_grace",
        symbol="stop_grace",
        variable="GUNICORN_STOP_GRACE",
        formula="stop_delay + G + 10",
        group="leaving",
        enforced_by="Compose, systemd or Kubernetes",
        why="Docker's default is 10 s: it would kill the instance in the middle of its drain.",
        source="https://docs.docker.com/reference/compose-file/services/#stop_grace_period",
    ),
    Rung(
        name="max_requests",
        symbol="max_requests",
        variable="GUNICORN_MAX_REQUESTS",
        formula=None,
        group="recycling",
        enforced_by="the worker",
        why="Limits what a leak can grow to. 0 is never.",
        source=f"{_GUNICORN}/#max_requests",
        unit="",
    ),
    Rung(
        name="max_requests_jitter",
        symbol="jitter",
        variable="GUNICORN_MAX_REQUESTS_JITTER",
        formula="max_requests * min(50, 5 * workers) // 100",
        group="recycling",
        enforced_by="the worker",
        why="The more workers share the load, the wider their retirements are spread.",
        source=f"{_GUNICORN}/#max_requests_jitter",
        unit="",
    ),
    Rung(
        name="workers",
        symbol="workers",
        variable="WEB_CONCURRENCY",
        formula=None,
        group="recycling",
        enforced_by="gunicorn's arbiter",
        why="One per CPU that the process may really use (cgroup quota, affinity), rounded up; "
        "not the machine's CPU count.",
        source="https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files",
        unit="",
    ),
)
"""Every rung, grouped, from the innermost wait to the outermost."""


def value_of(rung: Rung, settings: ServerSettings) -> int | None:
    """Return the number in force; None where it is unset (only ``front_read_timeout`` can be)."""
    value: int | None = getattr(settings, rung.name)
    return value


def is_overridden(rung: Rung, settings: ServerSettings) -> bool:
    """Tell whether the user's own variable replaces what would have been computed."""
    override = "web_concurrency" if rung.name == "workers" else f"{rung.name}_override"
    return getattr(settings, override, None) is not None


def symbols(settings: ServerSettings) -> dict[str, int | None]:
    """Return what the formulas speak of: the value of every symbol, and ``hands_over``."""
    return {rung.symbol: value_of(rung, settings) for rung in RUNGS} | {"hands_over": settings.hands_over}
