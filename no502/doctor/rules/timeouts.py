"""T: the order in which the sides give up, by what the worker class makes of gunicorn's timeout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from no502.doctor.edits import set_option
from no502.doctor.faces import directly_behind
from no502.doctor.facts import kind_of, name_of, number, origin_of, seconds, shown, value, written
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import Link, links
from no502.doctor.model import Deployment, Location, Origin, Source
from no502.doctor.registry import Rule

__all__ = ["RULES"]

_DEFAULT_READ = 60.0
_BOUND_BY_TIMEOUT = {"sync"}
"""Worker classes whose requests end after gunicorn's timeout; for the others it bounds a blocked loop only."""


def _pairs(deployment: Deployment) -> Iterator[tuple[Link, float, float, str]]:
    """Yield each server with nginx's wait, gunicorn's timeout and the worker class, all of them known."""
    seen: set[tuple[int, float]] = set()
    for link in links(deployment):
        wait = number(link.location.settings, "proxy_read_timeout")
        timeout = number(link.server.settings, "timeout")
        kind = kind_of(link.server)
        if link.server.program != "gunicorn" or wait is None or timeout is None or kind is None:
            continue
        if (id(link.server), wait) not in seen:
            seen.add((id(link.server), wait))
            yield link, wait, timeout, kind


def _wait_at(location: Location) -> Origin:
    origin = origin_of(location.settings, "proxy_read_timeout", location.origin)
    return origin if origin.source is Source.WRITTEN else location.origin


def _t301(deployment: Deployment) -> Iterator[Finding]:
    worst: dict[int, tuple[Link, float, float, str]] = {}
    for link, wait, timeout, kind in _pairs(deployment):
        if kind == "other" or 0 < timeout < wait or (timeout == 0 and kind not in _BOUND_BY_TIMEOUT):
            continue
        old = worst.get(id(link.server))
        if old is None or wait < old[1]:
            worst[id(link.server)] = (link, wait, timeout, kind)
    for link, wait, timeout, kind in worst.values():
        bound = kind in _BOUND_BY_TIMEOUT
        never = "never gives up (timeout 0)" if timeout == 0 else f"gives up after {seconds(timeout)}"
        after = (
            "the worker goes on with a request that no client waits for"
            if bound
            else f"gunicorn's timeout does not end requests of {kind} workers, only a blocked event loop or a "
            "hung worker; "
            "that one is noticed after nginx has answered 504"
        )
        where = origin_of(link.server.settings, "timeout", link.server.origin)
        yield T301.finding(
            f"nginx waits {seconds(wait)}{shown(link.location.settings, 'proxy_read_timeout')} at "
            f"{link.location.path}, "
            f"{name_of(link.server)} {never}{shown(link.server.settings, 'timeout')}",
            where if where.source is Source.WRITTEN else link.server.origin,
            severity=Severity.WARNING if bound else Severity.INFO,
            confidence=link.confidence,
            related=[(_wait_at(link.location), f"proxy_read_timeout {seconds(wait)}")],
            consequence=f'504 from nginx, "upstream timed out (110 ... while reading response header"; {after}',
            fix=f"gunicorn --timeout {max(1, int(wait) * 2 // 3)}."
            if bound
            else "Bound the request in the application, below what nginx waits, or let nginx wait longer at this "
            f"location; gunicorn --timeout {max(1, int(wait) * 2 // 3)} is for blocked event loops only.",
            edits=set_option(link.server, "timeout", "--timeout", str(max(1, int(wait) * 2 // 3))) if bound else (),
        )


def _t303(deployment: Deployment) -> Iterator[Finding]:
    for link, wait, timeout, kind in _pairs(deployment):
        raised = written(link.location.settings, "proxy_read_timeout") and wait > _DEFAULT_READ
        if kind not in _BOUND_BY_TIMEOUT or not raised or timeout == 0 or timeout >= wait * 0.6:
            continue
        yield T303.finding(
            f"nginx was told to wait {seconds(wait)} at {link.location.path}, but gunicorn kills a sync worker that is "
            f"busy for {seconds(timeout)}{shown(link.server.settings, 'timeout')}",
            _wait_at(link.location),
            confidence=link.confidence,
            related=[(origin_of(link.server.settings, "timeout", link.server.origin), f"timeout {seconds(timeout)}")],
            consequence=f'requests longer than {seconds(timeout)} end in 500 or 502; gunicorn logs "WORKER TIMEOUT"',
            fix=f"Raise gunicorn's timeout just below nginx's (--timeout {max(1, int(wait) * 2 // 3)}), or do "
            "not wait so "
            "long for an answer that cannot come.",
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
    if group is None or depth > 4:  # noqa: PLR2004
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


def _t302(deployment: Deployment) -> Iterator[Finding]:
    for nginx in deployment.nginx:
        for locations in _by_server(nginx.locations):
            regexes = [one for one in locations if one.path.startswith("~")]
            for prefix in locations if regexes else ():
                if len(prefix.path) > 1 and prefix.path.startswith("/"):
                    yield from _outdone(prefix, regexes)


def _outdone(prefix: Location, regexes: Iterable[Location]) -> Iterator[Finding]:
    """Yield the regular expressions that take requests away from a prefix whose timeout is longer."""
    path, wait = prefix.path, number(prefix.settings, "proxy_read_timeout")
    if wait is None or not written(prefix.settings, "proxy_read_timeout"):
        return
    for other in regexes:
        starts = _literal_starts(other.path.split(maxsplit=1)[-1])
        shorter = number(other.settings, "proxy_read_timeout")
        if not starts or shorter is None or shorter >= wait:
            continue
        if any(start not in {"", "/"} and (start.startswith(path) or path.startswith(start)) for start in starts):
            yield T302.finding(
                f"location {path} waits {seconds(wait)}, but a request that also matches {other.path} gets "
                f"{seconds(shorter)}{shown(other.settings, 'proxy_read_timeout')}: "
                "a regular expression wins over a prefix",
                other.origin,
                related=[(_wait_at(prefix), f"location {path}: proxy_read_timeout {seconds(wait)}")],
                consequence='504 after the shorter time, "upstream timed out (110"',
                fix=f"Set proxy_read_timeout in {other.path} as well, or write `location ^~ {path}`.",
            )


def _t304(deployment: Deployment) -> Iterator[Finding]:
    yield from _front_of_nginx(deployment)
    for server, name, times, origin, note in directly_behind(deployment):
        timeout, kind = number(server.settings, "timeout"), kind_of(server)
        if times.read is None or timeout is None or kind not in _BOUND_BY_TIMEOUT or 0 < timeout < times.read:
            continue
        never = "never ends a request (timeout 0)" if timeout == 0 else f"ends a request after {seconds(timeout)}"
        where = origin_of(server.settings, "timeout", server.origin)
        yield T304.finding(
            f"{name} waits {seconds(times.read)} for a response, {name_of(server)} {never}"
            f"{shown(server.settings, 'timeout')}",
            where if where.source is Source.WRITTEN else server.origin,
            related=[(origin, note)],
            consequence=f"{name} answers 504 (or 502 by vendor), and the worker goes on with a request without "
            "a client",
            fix=f"--timeout below {seconds(times.read)}, or raise the front proxy's limit.",
        )


def _front_of_nginx(deployment: Deployment) -> Iterator[Finding]:
    front = deployment.front
    if front is None or front.read is None:
        return
    seen: set[float] = set()
    for nginx in deployment.nginx:
        for location in nginx.locations:
            wait = number(location.settings, "proxy_read_timeout")
            if wait is None or wait < front.read or wait in seen or location.upstream is None:
                continue
            seen.add(wait)
            yield T304.finding(
                f"{front.name} waits {seconds(front.read)} for a response, nginx waits {seconds(wait)}"
                f"{shown(location.settings, 'proxy_read_timeout')} at {location.path}",
                _wait_at(location),
                related=[(front.origin, f"{front.name}: {seconds(front.read)}, {front.note}")],
                consequence=f"{front.name} answers 504 (524 or H12 by vendor); nginx logs 499 and the worker goes on",
                fix=f"proxy_read_timeout below {seconds(front.read)}, with room for proxy_connect_timeout, or "
                "raise the "
                "front's limit.",
            )


def _t305(deployment: Deployment) -> Iterator[Finding]:
    for nginx in deployment.nginx:
        seen: set[tuple[str, int | None]] = set()
        for location in nginx.locations:
            connect = number(location.settings, "proxy_connect_timeout")
            origin = origin_of(location.settings, "proxy_connect_timeout", location.origin)
            if connect is None or connect <= _CONNECT_CEILING or (origin.file, origin.line) in seen:
                continue
            seen.add((origin.file, origin.line))
            yield T305.finding(
                f"proxy_connect_timeout {seconds(connect)} at {location.path}: the kernel usually gives up after 75 s",
                origin,
                consequence="504 later than necessary when the application's host is gone; slow requests need "
                "proxy_read_timeout, which this does not change",
                fix="`proxy_connect_timeout 2s;` A healthy application accepts within milliseconds.",
            )


_CONNECT_CEILING = 75
"""https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_connect_timeout"""


def _b706(deployment: Deployment) -> Iterator[Finding]:
    for server in deployment.servers:
        timeout = number(server.settings, "timeout")
        if server.program != "gunicorn" or timeout is None or value(server.settings, "reload") is True:
            continue
        where = origin_of(server.settings, "timeout", server.origin)
        alone = number(server.settings, "workers") == 1
        if timeout == 0:
            message = (
                f"{name_of(server)} has timeout 0: a worker whose event loop is blocked, or that hangs, "
                "is never replaced"
            )
            effect = "every request that reaches that worker ends in 504, until it is restarted"
        elif alone and timeout >= _LONG and kind_of(server) in _LOOPS:
            message = (
                f"{name_of(server)} has one worker and timeout {timeout:g}: a blocked event loop stops "
                "everything for up to "
                f"{seconds(timeout)}"
            )
            effect = f"every request ends in 504 for up to {seconds(timeout)}"
        else:
            continue
        yield B706.finding(
            message,
            where,
            consequence=effect,
            fix="Set a timeout below nginx's proxy_read_timeout (--timeout 40 for 60 s).",
            edits=set_option(server, "timeout", "--timeout", "40"),
        )


_LOOPS = {"uvicorn", "asgi", "gevent", "eventlet", "tornado"}
_LONG, _SHORT = 300, 5


def _b708(deployment: Deployment) -> Iterator[Finding]:
    for server in deployment.servers:
        timeout = number(server.settings, "timeout")
        if server.program != "gunicorn" or timeout is None or not 0 < timeout < _SHORT:
            continue
        if kind_of(server) not in _LOOPS or value(server.settings, "reload") is True:
            continue
        yield B708.finding(
            f"{name_of(server)} has timeout {timeout:g}: an event loop that is blocked for {seconds(timeout)} "
            "costs the "
            "worker and all of its requests",
            origin_of(server.settings, "timeout", server.origin),
            consequence="a short stall (garbage collection, a slow disk, a busy CPU) becomes 502 for every "
            "request of the "
            'worker; gunicorn logs "WORKER TIMEOUT"',
            fix="--timeout 40 for nginx's 60 s: it bounds a blocked loop only, not a request.",
            edits=set_option(server, "timeout", "--timeout", "40"),
        )


T301 = Rule(
    id="T301",
    slug="timeout-order",
    severity=Severity.WARNING,
    summary="nginx gives up before gunicorn does",
    source="https://gunicorn.org/reference/settings/#timeout",
    check=_t301,
)
T302 = Rule(
    id="T302",
    slug="regex-location-wins",
    severity=Severity.INFO,
    summary="a raised timeout does not apply where a regular expression matches as well",
    source="https://nginx.org/en/docs/http/ngx_http_core_module.html#location",
    check=_t302,
)
T303 = Rule(
    id="T303",
    slug="sync-worker-killed-first",
    severity=Severity.WARNING,
    summary="nginx was told to wait longer than a sync worker may work",
    source="https://gunicorn.org/reference/settings/#timeout",
    check=_t303,
)
T304 = Rule(
    id="T304",
    slug="front-gives-up-first",
    severity=Severity.WARNING,
    summary="the front proxy waits no longer than nginx",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout",
    check=_t304,
)
T305 = Rule(
    id="T305",
    slug="connect-timeout-too-long",
    severity=Severity.INFO,
    summary="proxy_connect_timeout is longer than the kernel waits",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_connect_timeout",
    check=_t305,
)
B706 = Rule(
    id="B706",
    slug="blocked-worker-never-replaced",
    severity=Severity.WARNING,
    summary="gunicorn's timeout is off, so a blocked worker stays",
    source="https://gunicorn.org/reference/settings/#timeout",
    check=_b706,
)
B708 = Rule(
    id="B708",
    slug="timeout-shorter-than-a-stall",
    severity=Severity.WARNING,
    summary="gunicorn kills an async worker whose event loop stalls for a few seconds",
    source="https://gunicorn.org/reference/settings/#timeout",
    check=_b708,
)
RULES = (T301, T302, T303, T304, T305, B706, B708)
