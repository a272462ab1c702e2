"""T: the order in which the sides give up, by what the worker class makes of gunicorn's timeout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from no502.doctor.edits import set_option
from no502.doctor.faces import directly_behind
from no502.doctor.facts import kind_of, name_of, number, origin_of, seconds, shown, value, written
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import Link, links
from no502.doctor.model import AppServer, Deployment, Location, NginxConfig, Origin, Source
from no502.doctor.registry import rule
from no502.doctor.scopes import line_of
from no502.ladder.rungs import computed
from no502.messages.quoted import logs
from no502.nginx.versions import default_seconds

__all__ = []

_BOUND_BY_TIMEOUT = {"sync"}
"""Worker classes whose requests end after gunicorn's timeout; for the others it bounds a blocked loop only."""


def _times(link: Link) -> tuple[float, float, str] | None:
    """Return nginx's wait, gunicorn's timeout and the worker class, where all of them are known."""
    wait = number(link.location.settings.proxy_read_timeout)
    timeout = number(link.server.settings.timeout)
    kind = kind_of(link.server)
    if link.server.program != "gunicorn" or wait is None or timeout is None or kind is None:
        return None
    return wait, timeout, kind


def _same_wait(link: Link) -> tuple[int, float | None]:
    return id(link.server), number(link.location.settings.proxy_read_timeout)


def _wait_at(location: Location) -> Origin:
    origin = origin_of(location.settings.proxy_read_timeout, location.origin)
    return origin if origin.source is Source.WRITTEN else location.origin


@rule(
    "T301",
    "timeout-order",
    Severity.WARNING,
    "gunicorn's timeout is not below nginx's proxy_read_timeout",
    source="https://gunicorn.org/reference/settings/#timeout",
)
def _timeout_order(deployment: Deployment) -> Iterator[Finding]:
    worst: dict[int, tuple[Link, float, float, str]] = {}
    for link in links(deployment):
        wait, timeout, kind = _times(link) or (0, 0, "other")
        if kind == "other" or 0 < timeout < wait or (timeout == 0 and kind not in _BOUND_BY_TIMEOUT):
            continue
        old = worst.get(id(link.server))
        if old is None or wait < old[1]:
            worst[id(link.server)] = (link, wait, timeout, kind)
    for link, wait, timeout, kind in worst.values():
        bound = kind in _BOUND_BY_TIMEOUT
        never = "never times out (timeout 0)" if timeout == 0 else f"times out after {seconds(timeout)}"
        after = (
            "the worker continues to process a request that no client waits for"
            if bound
            else f"gunicorn's timeout does not end requests of {kind} workers; it only replaces a worker that is hung "
            "or whose event loop is blocked, and here only after nginx has answered 504"
        )
        where = origin_of(link.server.settings.timeout, link.server.origin)
        yield _timeout_order.finding(
            f"nginx waits {seconds(wait)}{shown(link.location.settings.proxy_read_timeout)} at "
            f"{link.location.path}, "
            f"{name_of(link.server)} {never}{shown(link.server.settings.timeout)}",
            where if where.source is Source.WRITTEN else link.server.origin,
            severity=Severity.WARNING if bound else Severity.INFO,
            confidence=link.confidence,
            related=[(_wait_at(link.location), f"proxy_read_timeout {seconds(wait)}")],
            consequence=f"requests get 504; {logs('upstream-timed-out-110-while-reading-response-header')}; {after}",
            fix=f"Set gunicorn --timeout {computed('T', P=wait)}."
            if bound
            else "Limit the duration of requests in the application to less than proxy_read_timeout, or raise "
            f"proxy_read_timeout at this location. gunicorn --timeout {computed('T', P=wait)} only replaces "
            "workers with a blocked event loop.",
            edits=set_option(link.server, "timeout", "--timeout", str(computed("T", P=wait))) if bound else (),
        )


@rule(
    "T303",
    "sync-worker-killed-first",
    Severity.ERROR,
    "gunicorn's timeout kills a sync worker before nginx's proxy_read_timeout ends",
    source="https://gunicorn.org/reference/settings/#timeout",
    per=Link,
    once=_same_wait,
)
def _sync_worker_killed_first(link: Link, _: Deployment) -> Iterator[Finding]:
    wait, timeout, kind = _times(link) or (0, 0, "")
    raised = written(link.location.settings.proxy_read_timeout) and wait > default_seconds("proxy_read_timeout")
    if kind not in _BOUND_BY_TIMEOUT or not raised or timeout == 0 or timeout >= wait * 0.6:
        return
    yield _sync_worker_killed_first.finding(
        f"nginx waits {seconds(wait)} at {link.location.path}, but gunicorn kills a sync worker that is busy for "
        f"{seconds(timeout)}{shown(link.server.settings.timeout)}",
        _wait_at(link.location),
        confidence=link.confidence,
        related=[(origin_of(link.server.settings.timeout, link.server.origin), f"timeout {seconds(timeout)}")],
        consequence=f"requests that take longer than {seconds(timeout)} get 500 or 502; {logs('worker-timeout')}",
        fix=f"Raise gunicorn's timeout to two thirds of nginx's (--timeout {computed('T', P=wait)}), or lower "
        "proxy_read_timeout.",
    )


def _literal_starts(regex: str) -> tuple[str, ...] | None:
    """Return what every match starts with, one text for each alternative; None where it may match in the middle."""
    if not regex.startswith("^"):
        return None
    return tuple(_starts(regex[1:], 0))


def _starts(rest: str, depth: int) -> list[str]:
    found = re.match(r"(?:[A-Za-z0-9_/-](?![?*{])|\\[./-](?![?*{]))*", rest)
    literal = found[0] if found is not None else ""
    rest, literal = rest[len(literal) :], literal.replace("\\", "")
    group = re.match(r"\((?:\?:)?([^()]*)\)(?![?*{])", rest)
    if group is None or depth > 4:
        return [literal]
    after = rest[group.end() :]
    plain = [one for one in group[1].split("|") if re.fullmatch(r"[A-Za-z0-9_/.-]*", one)]
    if len(plain) != len(group[1].split("|")):
        return [literal]
    return [literal + one + tail for one in plain for tail in _starts(after, depth + 1)][:64]


def _by_server(locations: Iterable[Location]) -> Iterator[list[Location]]:
    """Yield the locations of each server: those of one file with the same names."""
    groups: dict[tuple[str, tuple[str, ...]], list[Location]] = {}
    for location in locations:
        groups.setdefault((location.origin.file, tuple(location.server_names)), []).append(location)
    yield from groups.values()


@rule(
    "T302",
    "regex-location-wins",
    Severity.INFO,
    "a regex location overrides the prefix location that has the longer proxy_read_timeout",
    source="https://nginx.org/en/docs/http/ngx_http_core_module.html#location",
    per=NginxConfig,
)
def _regex_location_wins(nginx: NginxConfig, _: Deployment) -> Iterator[Finding]:
    for locations in _by_server(nginx.locations):
        regexes = [one for one in locations if one.path.startswith("~")]
        for prefix in locations if regexes else ():
            if len(prefix.path) > 1 and prefix.path.startswith("/"):
                yield from _outdone(prefix, regexes)


def _outdone(prefix: Location, regexes: Iterable[Location]) -> Iterator[Finding]:
    """Yield the regular expressions that take requests away from a prefix whose timeout is longer."""
    path, wait = prefix.path, number(prefix.settings.proxy_read_timeout)
    if wait is None or not written(prefix.settings.proxy_read_timeout):
        return
    for other in regexes:
        starts = _literal_starts(other.path.split(maxsplit=1)[-1])
        shorter = number(other.settings.proxy_read_timeout)
        if not starts or shorter is None or shorter >= wait:
            continue
        if any(start not in {"", "/"} and (start.startswith(path) or path.startswith(start)) for start in starts):
            yield _regex_location_wins.finding(
                f"location {path} waits {seconds(wait)}, but a request that also matches {other.path} gets "
                f"{seconds(shorter)}{shown(other.settings.proxy_read_timeout)}: a regular expression takes "
                "precedence over a prefix",
                other.origin,
                related=[(_wait_at(prefix), f"location {path}: proxy_read_timeout {seconds(wait)}")],
                consequence="requests get 504 after the shorter time; "
                f"{logs('upstream-timed-out-110-while-reading-response-header')}",
                fix=f"Set proxy_read_timeout in {other.path}, too, or write `location ^~ {path}`.",
            )


@rule(
    "T304",
    "front-gives-up-first",
    Severity.WARNING,
    "the load balancer times out before nginx's proxy_read_timeout",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout",
)
def _front_gives_up_first(deployment: Deployment) -> Iterator[Finding]:
    yield from _front_of_nginx(deployment)
    for server, name, times, origin, note in directly_behind(deployment):
        timeout, kind = number(server.settings.timeout), kind_of(server)
        if times.read is None or timeout is None or kind not in _BOUND_BY_TIMEOUT or 0 < timeout < times.read:
            continue
        never = "never ends a request (timeout 0)" if timeout == 0 else f"ends a request after {seconds(timeout)}"
        where = origin_of(server.settings.timeout, server.origin)
        yield _front_gives_up_first.finding(
            f"{name} waits {seconds(times.read)} for a response, {name_of(server)} {never}"
            f"{shown(server.settings.timeout)}",
            where if where.source is Source.WRITTEN else server.origin,
            related=[(origin, note)],
            consequence=f"{name} answers 504 (some vendors: 502), and the worker continues to process a request that "
            "no client waits for",
            fix=f"Set --timeout below {seconds(times.read)}, or raise the front proxy's limit.",
        )


def _front_of_nginx(deployment: Deployment) -> Iterator[Finding]:
    front = deployment.front
    if front is None or front.read is None:
        return
    seen: set[float] = set()
    for nginx in deployment.nginx:
        for location in nginx.locations:
            wait = number(location.settings.proxy_read_timeout)
            if wait is None or wait < front.read or wait in seen or location.upstream is None:
                continue
            seen.add(wait)
            yield _front_gives_up_first.finding(
                f"{front.name} waits {seconds(front.read)} for a response, nginx waits {seconds(wait)}"
                f"{shown(location.settings.proxy_read_timeout)} at {location.path}",
                _wait_at(location),
                related=[(front.origin, f"{front.name}: {seconds(front.read)}, {front.note}")],
                consequence=f"{front.name} answers 504 (Cloudflare: 524, Heroku: H12); nginx logs 499, and the worker "
                "continues",
                fix="Set proxy_read_timeout so that the sum with proxy_connect_timeout is below "
                f"{seconds(front.read)}, or raise the front proxy's limit.",
            )


@rule(
    "T305",
    "connect-timeout-too-long",
    Severity.INFO,
    "proxy_connect_timeout is longer than 75 s, far longer than a connection takes",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_connect_timeout",
    per=Location,
    once=lambda location: line_of(origin_of(location.settings.proxy_connect_timeout, location.origin)),
)
def _connect_timeout_too_long(location: Location, _: Deployment) -> Iterator[Finding]:
    connect = number(location.settings.proxy_connect_timeout)
    origin = origin_of(location.settings.proxy_connect_timeout, location.origin)
    if connect is None or connect <= _CONNECT_CEILING:
        return
    yield _connect_timeout_too_long.finding(
        f"proxy_connect_timeout {seconds(connect)} at {location.path}: nginx's documentation gives 75 s as the usual "
        "limit, and Linux gives up after 127 s",
        origin,
        consequence="requests get 504 later than necessary if the application's host is down; for slow requests only "
        "proxy_read_timeout matters",
        fix="Set `proxy_connect_timeout 2s;`: a healthy application accepts connections within milliseconds.",
    )


_CONNECT_CEILING = 75
"""https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_connect_timeout"""


@rule(
    "B706",
    "blocked-worker-never-replaced",
    Severity.WARNING,
    "gunicorn's timeout is off or very long, so a worker with a blocked event loop is not replaced",
    source="https://gunicorn.org/reference/settings/#timeout",
    per=AppServer,
)
def _blocked_worker_never_replaced(server: AppServer, _: Deployment) -> Iterator[Finding]:
    timeout = number(server.settings.timeout)
    if server.program != "gunicorn" or timeout is None or value(server.settings.reload) is True:
        return
    where = origin_of(server.settings.timeout, server.origin)
    alone = number(server.settings.workers) == 1
    if timeout == 0:
        message = (
            f"{name_of(server)} has timeout 0: a worker whose event loop is blocked, or that hangs, is never replaced"
        )
        effect = "every request that reaches that worker gets 504 until you restart it"
    elif alone and timeout >= _LONG and kind_of(server) in _LOOPS:
        message = (
            f"{name_of(server)} has one worker and timeout {timeout:g}: a blocked event loop stops "
            "everything for up to "
            f"{seconds(timeout)}"
        )
        effect = f"every request gets 504 for up to {seconds(timeout)}"
    else:
        return
    yield _blocked_worker_never_replaced.finding(
        message,
        where,
        consequence=effect,
        fix="Set a timeout below nginx's proxy_read_timeout (--timeout 40 for 60 s).",
        edits=set_option(server, "timeout", "--timeout", "40"),
    )


_LOOPS = {"uvicorn", "asgi", "gevent", "eventlet", "tornado"}
_LONG, _SHORT = 300, 5


@rule(
    "B708",
    "timeout-shorter-than-a-stall",
    Severity.WARNING,
    "gunicorn's timeout is so short that a brief event loop stall kills an async worker",
    source="https://gunicorn.org/reference/settings/#timeout",
    per=AppServer,
)
def _timeout_shorter_than_a_stall(server: AppServer, _: Deployment) -> Iterator[Finding]:
    timeout = number(server.settings.timeout)
    if server.program != "gunicorn" or timeout is None or not 0 < timeout < _SHORT:
        return
    if kind_of(server) not in _LOOPS or value(server.settings.reload) is True:
        return
    yield _timeout_shorter_than_a_stall.finding(
        f"{name_of(server)} has timeout {timeout:g}: gunicorn kills a worker whose event loop is blocked for "
        f"{seconds(timeout)}, with all of its requests",
        origin_of(server.settings.timeout, server.origin),
        consequence="after a short stall (garbage collection, a slow disk, a busy CPU) every request of the worker "
        f"gets 502; {logs('worker-timeout')}",
        fix="Set --timeout 40 for nginx's 60 s: it limits only how long the event loop can be blocked, not a request.",
        edits=set_option(server, "timeout", "--timeout", "40"),
    )
