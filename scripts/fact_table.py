"""Write the rows of docs/reference/facts.md that follow from declarations.

Between ``<!-- facts: NAME -->`` and ``<!-- end of the facts -->``; the rows of the page's other tables are written by
hand, because no declaration has them. ``--check`` writes nothing and exits with 1 when a table is not what the
declarations give.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from no502.doctor.readers import supervisor, systemd
from no502.doctor.readers.compose import service
from no502.doctor.readers.gunicorn_defaults import GUNICORN, UVICORN
from no502.doctor.readers.kubernetes import manifests
from no502.ladder.fronts import AS_OF as FRONTS_READ
from no502.ladder.fronts import FRONTS, Vendor
from no502.ladder.platforms import AS_OF as PLATFORMS_READ
from no502.ladder.platforms import PLATFORMS, Hosting
from no502.messages import messages
from no502.nginx import versions
from no502.nginx.versions import directive, dotted

__all__ = ["HEAD", "PAGE", "TABLES", "filled"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "facts.md"
HEAD = "| claim | where it is used | source | date |"
BLOCK = re.compile(r"(<!-- facts: ([a-z -]+) -->\n).*?(<!-- end of the facts -->\n)", re.DOTALL)

Row: TypeAlias = tuple[str, str, str, str]
"""Claim, where it is used, source, date; each as Markdown."""

_NGINX = "https://nginx.org/en/docs"
_READ = "2026-11-30"
"""When directives.tsv was written, and when the settings of gunicorn and uvicorn and the catalogue were compared with
the programs."""
_SERVERS = ("gunicorn 27", "uvicorn 0.54")
_RACE = "[keep-alive race](../explanation/keepalive-race.md)"
_LADDER = "[timeout ladder](../explanation/ladder.md)"
_RETRIES = "[retries](../explanation/retries.md)"
_FRONT = "[behind a load balancer](../how-to/front-proxies.md)"
_UPLOADS = "[uploads](../how-to/uploads-and-downloads.md)"
_RECYCLING = "[recycling](../explanation/recycling.md)"
_REDIRECTS = "[redirects](../how-to/https-redirects.md)"
_OVERLOAD = "[overload](../measurements.md#more-than-can-be-served)"

_DIRECTIVES: Mapping[tuple[str, str], str] = {
    ("proxy_connect_timeout", "location"): _LADDER,
    ("proxy_send_timeout", "location"): _LADDER,
    ("proxy_read_timeout", "location"): _LADDER,
    ("proxy_next_upstream", "location"): _RETRIES,
    ("proxy_next_upstream_tries", "location"): _RETRIES,
    ("proxy_next_upstream_timeout", "location"): _RETRIES,
    ("proxy_request_buffering", "location"): _UPLOADS,
    ("proxy_buffer_size", "location"): "[too big header](../../no502/messages/nginx/upstream-sent-too-big-header.md)",
    ("client_max_body_size", "location"): _UPLOADS,
    ("client_body_timeout", "location"): _UPLOADS,
    ("send_timeout", "location"): _UPLOADS,
    ("keepalive_timeout", "location"): _FRONT,
    ("keepalive_min_timeout", "location"): "[rolling restart](../how-to/rolling-restart.md#what-nginx-needs)",
    ("keepalive_timeout", "upstream"): _RACE,
    ("keepalive_requests", "upstream"): _RACE,
    ("limit_conn_status", "location"): _OVERLOAD,
    ("worker_connections", "events"): "[how many workers](../explanation/sizing.md)",
}
"""Directive and context: the page that relies on its default."""

_VERSIONS: tuple[tuple[versions.Version, str, str, str], ...] = (
    (versions.THOUSAND_REQUESTS, "`keepalive_requests` is 1000 instead of 100", _RACE, "ngx_http_upstream_module"),
    (versions.HTTP2_DIRECTIVE, "`http2` is a directive of its own", "[TLS](../how-to/tls.md)", "ngx_http_v2_module"),
    (
        versions.UPSTREAM_RESOLVER,
        "`server NAME resolve` and `resolver` work inside `upstream {}`",
        "[Docker](../how-to/docker.md#when-the-address-changes)",
        "ngx_http_upstream_module",
    ),
    (
        versions.KEEPALIVE_MIN_TIMEOUT,
        "`keepalive_min_timeout` exists",
        "[rolling restart](../how-to/rolling-restart.md#what-nginx-needs)",
        "ngx_http_core_module",
    ),
    (
        versions.HTTP2_TO_UPSTREAM,
        "`proxy_http_version 2` exists",
        "[handover](../handover.md#websockets-and-streams)",
        "ngx_http_proxy_module",
    ),
    (
        versions.POOL_BY_DEFAULT,
        "each `upstream {}` block keeps idle connections without a `keepalive` line, and `proxy_http_version` is 1.1",
        _RACE,
        "ngx_http_upstream_module",
    ),
)

_GUNICORN: Mapping[str, str] = {
    "timeout": "[gunicorn's timeout](../explanation/timeout.md)",
    "graceful_timeout": _LADDER,
    "keepalive": _RACE,
    "max_requests": _RECYCLING,
    "max_requests_jitter": _RECYCLING,
    "backlog": _OVERLOAD,
    "worker_class": "[WSGI](../how-to/django-and-wsgi.md)",
    "forwarded_allow_ips": _REDIRECTS,
}
_UVICORN: Mapping[str, str] = {
    "--timeout-keep-alive": _RACE,
    "--timeout-graceful-shutdown": "[Cloud Run](../platforms/cloud-run.md#one-uvicorn-process)",
    "--limit-max-requests": _RECYCLING,
    "--limit-concurrency": _OVERLOAD,
    "--backlog": _OVERLOAD,
    "--forwarded-allow-ips": _REDIRECTS,
}

_PROGRAMS = {"nginx", "gunicorn", "uvicorn"}
"""Those whose levels are facts about others, not about this project."""

_STOPS: tuple[tuple[str, float, str, str], ...] = (
    (
        "Docker and Compose send",
        service.STOP_SECONDS,
        "[Docker](../how-to/docker.md)",
        "https://docs.docker.com/reference/compose-file/services/#stop_grace_period",
    ),
    (
        "systemd sends",
        systemd.STOP_SECONDS,
        "[systemd](../how-to/systemd.md)",
        "https://www.freedesktop.org/software/systemd/man/latest/systemd-system.conf.html",
    ),
    (
        "Kubernetes sends",
        manifests.STOP_SECONDS,
        "[Kubernetes](../how-to/kubernetes.md)",
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
    ),
    (
        "supervisord sends",
        supervisor.STOP_SECONDS,
        "[S505](../doctor/S505.md)",
        "https://supervisord.org/configuration.html#program-x-section-settings",
    ),
)


def _directives() -> Iterator[Row]:
    for (name, context), used in _DIRECTIVES.items():
        one = directive(name, context)
        where = f" inside `{context} {{}}`" if context == "upstream" else ""
        default = f"is `{one.default.replace('|', ' or ')}` by default"
        module = "ngx_core_module" if one.module == "ngx_core_module" else f"http/{one.module}"
        yield (
            f"nginx's `{name}`{where} {default}.",
            used,
            f"[nginx]({_NGINX}/{module}.html#{name})",
            _READ,
        )


def _versions() -> Iterator[Row]:
    for version, what, used, module in _VERSIONS:
        claim = f"From nginx {dotted(version)} on, {what}."
        yield claim, used, f"[nginx]({_NGINX}/http/{module}.html), [changes](https://nginx.org/en/CHANGES)", _READ


def _default(value: object) -> str:
    return "unset" if value is None else "`0`: off" if value == 0 else f"`{value}`"


def _servers() -> Iterator[Row]:
    for name, used in _GUNICORN.items():
        source = f"[settings](https://gunicorn.org/reference/settings/#{name}), `gunicorn/config.py`, {_SERVERS[0]}"
        yield f"gunicorn's `{name}` is {_default(GUNICORN[name])} by default.", used, source, _READ
    for name, used in _UVICORN.items():
        source = f"[settings](https://uvicorn.dev/settings/), `uvicorn/config.py`, {_SERVERS[1]}"
        yield f"uvicorn's `{name}` is {_default(UVICORN[name][1])} by default.", used, source, _READ


def _stops() -> Iterator[Row]:
    for subject, seconds, used, source in _STOPS:
        yield f"{subject} SIGKILL {seconds:g} s after the stop signal by default.", used, _link(source), PLATFORMS_READ


def _fronts() -> Iterator[Row]:
    for name, vendor in FRONTS.items():
        yield _front(name, vendor), f"{_FRONT}, `--front {name}`", _link(vendor.source), FRONTS_READ


def _front(name: str, vendor: Vendor) -> str:
    waits = "sets no limit for a response" if vendor.read is None else f"waits for a response for {vendor.read:g} s"
    idle = "keeps no idle connections, or does not say for how long"
    if vendor.idle is not None:
        idle = f"keeps idle connections to nginx for {vendor.idle:g} s"
    return f"`{name}` {waits} by default; it {idle}."


def _platforms() -> Iterator[Row]:
    for hosting in PLATFORMS.values():
        source = f"[vendor]({hosting.source})"
        used = "[platforms](../platforms/index.md)"
        yield f"{hosting.title} waits for a response for: {hosting.waits}.", used, source, PLATFORMS_READ
        yield f"{hosting.title} keeps idle connections for: {hosting.idle}.", used, source, PLATFORMS_READ
        yield _stop(hosting), used, source, PLATFORMS_READ


def _stop(hosting: Hosting) -> str:
    limit = "" if hosting.grace_limit is None or not hosting.grace_setting else f", at most {hosting.grace_limit} s"
    setting = f" (`{hosting.grace_setting}`{limit})" if hosting.grace_setting else ""
    return f"{hosting.title} stops with {hosting.signal}, and with SIGKILL {hosting.grace} s later by default{setting}."


def _levels() -> Iterator[Row]:
    for message in messages():
        if not _PROGRAMS.issuperset(message.programs) or not message.levels:
            continue
        group = "nginx" if message.programs[0] == "nginx" else "server"
        programs = " and ".join(message.programs)
        levels = " or ".join(f"`{level}`" for level in message.levels)
        verb = "write" if len(message.programs) > 1 else "writes"
        page = f"[error page](../../no502/messages/{group}/{message.slug}.md)"
        yield f"{programs} {verb} `{message.title}` at level {levels}.", page, message.source, _READ


def _link(address: str) -> str:
    return f"[documentation]({address})"


TABLES: Mapping[str, Callable[[], Iterator[Row]]] = {
    "nginx directives": _directives,
    "nginx versions": _versions,
    "servers": _servers,
    "stop times": _stops,
    "front proxies": _fronts,
    "platforms": _platforms,
    "levels": _levels,
}
"""The generated tables by the name in the page's comment."""


def table(name: str) -> str:
    """Return one table as Markdown."""
    rows = ["| " + " | ".join(map(_cell, row)) + " |" for row in TABLES[name]()]
    return "\n".join([HEAD, "|---|---|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def filled(text: str) -> str:
    """Return the page with its generated tables written anew.

    Raises:
        KeyError: The page names a table that does not exist.
    """
    return BLOCK.sub(lambda match: f"{match[1]}\n{table(match[2])}\n\n{match[3]}", text)


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the page would change")
    check = parser.parse_args().check
    text = PAGE.read_text(encoding="utf-8")
    wanted = filled(text)
    if check and wanted != text:
        print("docs/reference/facts.md: not what the declarations give; run make docs", file=sys.stderr)
        return 1
    if not check:
        PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
