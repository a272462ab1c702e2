"""For programs: one JSON object, described by ``docs/doctor/report.schema.json``."""

from __future__ import annotations

import json
from typing import Any

from no502 import __version__
from no502.doctor.check import Result
from no502.doctor.finding import Finding, Severity
from no502.doctor.model import Address, Deployment, Origin
from no502.doctor.registry import AREAS, rules
from no502.doctor.secrets import mask
from no502.doctor.settings import Facts

__all__ = ["SCHEMA_VERSION", "to_json"]

SCHEMA_VERSION = 1
"""Raised when a key goes or changes its meaning; new keys do not raise it."""

_OF_LOCATION = ("proxy_connect_timeout", "proxy_send_timeout", "proxy_read_timeout", "proxy_http_version")
_OF_SERVER = (
    *("bind", "workers", "threads", "worker_class", "timeout", "graceful_timeout", "keepalive"),
    *("max_requests", "max_requests_jitter", "backlog", "forwarded_allow_ips"),
)
_OF_UPSTREAM = ("keepalive", "keepalive_timeout")


def to_json(result: Result) -> str:
    """Return the report."""
    report = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "no502 doctor", "version": __version__},
        "inputs": list(result.deployment.looked_at),
        "effective": _effective(result.deployment),
        "findings": [_finding(finding) for finding in result.findings],
        "areas": {AREAS[letter]: letter in result.compared for letter in AREAS if letter != "E"},
        "not_checked": [{"what": gap.what, "why": gap.why, "where": _origin(gap.origin)} for gap in result.not_checked],
        "summary": {
            **{severity.value: result.count(severity) for severity in Severity},
            "not_checked": len(result.not_checked),
            "suppressed": result.suppressed,
            "baseline": result.known,
        },
    }
    return json.dumps(_masked(report), indent=2, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n"


def _masked(value: Any) -> Any:
    """Return a part of the report without the secrets of the files that it quotes."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value


def _finding(finding: Finding) -> dict[str, Any]:
    rule = rules()[finding.rule]
    return {
        "rule": finding.rule,
        "slug": rule.slug,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "message": finding.message,
        "where": _origin(finding.where),
        "related": [{"where": _origin(origin), "message": says} for origin, says in finding.related],
        "consequence": finding.consequence,
        "fix": finding.fix,
        "source": rule.source,
        "fingerprint": finding.fingerprint,
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {"file": origin.file, "line": origin.line, "source": origin.source.value, "note": origin.note}


def _facts(facts: Facts, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: {"value": _plain(fact.value) if fact.known else None, "where": _origin(fact.origin)}
        for name in names
        if (fact := facts.fact(name)) is not None
    }


def _plain(value: object) -> object:
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _effective(deployment: Deployment) -> dict[str, Any]:
    return {
        "nginx": [
            {
                "file": nginx.origin.file,
                "versions": [".".join(map(str, version)) for version in nginx.versions],
                "service": nginx.service,
                "locations": [
                    {
                        "path": location.path,
                        "server_names": list(location.server_names),
                        "where": _origin(location.origin),
                        "upstream": location.upstream.name if location.upstream is not None else None,
                        "settings": _facts(location.settings, _OF_LOCATION),
                    }
                    for location in nginx.locations
                ],
                "upstreams": [
                    {
                        "name": block.name,
                        "where": _origin(block.origin),
                        "settings": _facts(block.settings, _OF_UPSTREAM),
                    }
                    for block in nginx.upstreams
                ],
            }
            for nginx in deployment.nginx
        ],
        "servers": [
            {
                "program": server.program,
                "service": server.service,
                "where": _origin(server.origin),
                "likely": server.likely,
                "settings": _facts(server.settings, _OF_SERVER),
            }
            for server in deployment.servers
        ],
    }
