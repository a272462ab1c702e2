"""Write docs/examples/monitoring/dashboard.json, the Grafana dashboard, from the list of its panels.

``--check`` compares instead and exits 1 if they differ.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["dashboard"]

_FILE = Path(__file__).resolve().parent.parent / "docs" / "examples" / "monitoring" / "dashboard.json"
_NGINX, _JOB, _RATE = 'job=~"$nginx"', 'job=~"$service"', "$__rate_interval"
_GATEWAY, _RETRIED, _FAILED = ', status=~"502|504"', ', upstream_status=~".*, .*"', ', status=~"5..|none"'
_SCHEMA_VERSION = 39  # Grafana 11; newer ones migrate it when they load it
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3


class _Panel(NamedTuple):
    """One graph: its title, its unit (https://grafana.com/docs/grafana/latest/), and expressions by legend."""

    title: str
    unit: str
    expressions: dict[str, str]
    description: str


def _responses(condition: str = "") -> str:
    return f"rate(nginx_responses_total{{{_NGINX}{condition}}}[{_RATE}])"


def _service(metric: str, condition: str = "") -> str:
    return f"{metric}{{{_JOB}{condition}}}"


def _seconds(quantile: float) -> str:
    buckets = f"rate({_service('http_request_duration_seconds_bucket')}[{_RATE}])"
    return f"histogram_quantile({quantile}, sum by (le) ({buckets}))"


_NGINX_PANELS = [
    _Panel(
        "502 and 504: who answered",
        "percentunit",
        {
            "{{status}} {{answered_by}}": f"sum by (status, answered_by) ({_responses(_GATEWAY)})"
            f" / scalar(sum({_responses()}))"
        },
        "Share of all responses. nginx: it made the response itself; application: it passed one on.",
    ),
    _Panel(
        "Retries by upstream status",
        "reqps",
        {"{{upstream_status}}": f"sum by (upstream_status) ({_responses(_RETRIED)})"},
        "Clients do not notice these. A POST in the same place gets 502.",
    ),
    _Panel(
        "Responses by status",
        "reqps",
        {"{{status}}": f"sum by (status) ({_responses()})"},
        "499: the client left. 503: too many requests in flight.",
    ),
]
_REQUEST_PANELS = [
    _Panel(
        "Duration",
        "s",
        {"p50": _seconds(0.5), "p90": _seconds(0.9), "p99": _seconds(0.99)},
        "From a request's head to the end of its response, in the application.",
    ),
    _Panel(
        "5xx by route",
        "reqps",
        {
            "{{route}} {{status}}": "sum by (route, status) "
            f"(rate({_service('http_request_duration_seconds_count', _FAILED)}[{_RATE}]))"
        },
        "none: the handler ended without a response.",
    ),
    _Panel(
        "Deadlines passed, threads abandoned",
        "short",
        {
            "deadlines passed": f"sum(increase({_service('app_deadline_passed_total')}[{_RATE}]))",
            "threads abandoned": f"sum({_service('app_abandoned_threads')})",
        },
        "A deadline that passes is a 504 from the application. A sync handler leaves its thread behind.",
    ),
]
_WORKER_PANELS = [
    _Panel(
        "Workers",
        "short",
        {
            "running": f"sum({_service('app_workers')})",
            "draining": f"sum({_service('app_workers_draining')})",
            "failed boots in a row": f"max({_service('app_failed_boots')})",
        },
        "While a worker is replaced there is one more. Failed boots: the deploy has not happened.",
    ),
    _Panel(
        "Replaced, by reason",
        "short",
        {
            "{{reason}}": f"sum by (reason) (increase({_service('app_handovers_total')}[{_RATE}]))",
            "killed": f"sum(increase({_service('app_workers_killed_total')}[{_RATE}]))",
        },
        "max_memory: something leaks. killed: a blocked event loop, or a drain that did not end.",
    ),
    _Panel(
        "Readiness and checks",
        "bool_on_off",
        {
            "ready {{instance}}": _service("app_ready"),
            "stopping {{instance}}": _service("app_stopping"),
            "{{check}} {{instance}}": _service("app_health_check"),
        },
        "An instance that stops is not ready on purpose.",
    ),
]
_SATURATION_PANELS = [
    _Panel(
        "Event loops: busy share",
        "percentunit",
        {
            "{{instance}}": f"sum by (instance) (rate({_service('app_event_loop_busy_seconds_total')}[{_RATE}]))"
            f" / sum by (instance) ({_service('app_workers')})"
        },
        "Above 0.85 requests wait for each other.",
    ),
    _Panel(
        "Accept queue",
        "short",
        {
            "waiting {{instance}} {{bind}}": _service("app_accept_queue"),
            "room {{instance}} {{bind}}": _service("app_accept_queue_limit"),
            "requests in flight": f"sum({_service('http_requests_in_flight')})",
        },
        "Connections that no worker has accepted yet; at the limit nginx's attempts to connect time out.",
    ),
    _Panel(
        "CPU throttled",
        "percentunit",
        {
            "{{instance}}": f"rate({_service('app_cpu_throttled_periods_total')}[{_RATE}])"
            f" / rate({_service('app_cpu_periods_total')}[{_RATE}])"
        },
        "Share of the periods in which the cgroup's quota stopped the service.",
    ),
]
_ROWS = {
    "nginx": _NGINX_PANELS,
    "Requests": _REQUEST_PANELS,
    "Workers": _WORKER_PANELS,
    "Saturation": _SATURATION_PANELS,
}


def _graph(panel: _Panel, number: int, column: int, top: int) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + at), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
        for at, (legend, expression) in enumerate(panel.expressions.items())
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": top, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}},
        "targets": targets,
    }


def _jobs(name: str, label: str, metric: str) -> dict[str, Any]:
    query = f"label_values({metric}, job)"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".+",
        "multi": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it: a row of graphs for each subject."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, graphs in _ROWS.items():
        row = {"x": 0, "y": top, "w": _WIDTH * _COLUMNS, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": row})
        panels[-1]["panels"] = []
        for column, graph in enumerate(graphs):
            panels.append(_graph(graph, len(panels) + 1, column, top + 1))
        top += 1 + _HEIGHT
    source = {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}
    jobs = [_jobs("nginx", "nginx", "nginx_responses_total"), _jobs("service", "Service", "app_workers")]
    return {
        "title": "FastAPI behind nginx",
        "uid": "no502",
        "tags": ["nginx", "gunicorn", "fastapi"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [source, *jobs]},
        "annotations": {"list": []},
        "panels": panels,
    }


def main() -> None:
    """Write or compare."""
    text = json.dumps(dashboard(), indent=2) + "\n"
    if "--check" not in sys.argv[1:]:
        _FILE.write_text(text, encoding="utf-8")
    elif _FILE.read_text(encoding="utf-8") != text:
        sys.exit(f"{_FILE.name} is not what scripts/dashboard.py writes: run make docs")


if __name__ == "__main__":
    main()
