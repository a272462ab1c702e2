"""nginx's side: the times that gunicorn's numbers are computed from, written where they are only defaults."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from no502.adopt.diagnosis import Front, proxy_of, seconds_of, upstream_is_set
from no502.adopt.locate import indent_at, line_start
from no502.adopt.workspace import Workspace
from no502.doctor.model import AppServer, Deployment, Location, Origin, Upstream
from no502.ladder.rungs import rung_of
from no502.nginx.versions import default_seconds, directive

__all__ = ["Numbers", "adopt_nginx", "adopt_proxy"]

_READ, _IDLE = rung_of("PROXY_READ_TIMEOUT"), rung_of("PROXY_KEEPALIVE_TIMEOUT")


@dataclass
class Numbers:
    """What nginx waits for, as the variables of the ladder have it."""

    variables: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    source: str = "nginx"
    """Whose numbers they are."""


def adopt_proxy(deployment: Deployment, server: AppServer) -> Numbers:
    """Return the idle time of the proxy directly before a server, where that is no nginx of the project.

    Its times are those of its own files, else its usual ones.
    """
    found = Numbers()
    proxy = proxy_of(deployment, server)
    if proxy is None:
        return found
    name, idle = proxy
    found.source = name
    if idle is not None and idle > _IDLE.high:
        found.notes.append(
            f"{name} keeps idle connections for {idle:g} s, and the ladder allows at most {_IDLE.high} s: lower it "
            f"there to {_IDLE.high} s or less, and set PROXY_KEEPALIVE_TIMEOUT to the same number"
        )
    elif idle is not None:
        found.variables["PROXY_KEEPALIVE_TIMEOUT"] = str(max(1, math.ceil(idle)))
    return found


def adopt_nginx(space: Workspace, front: Front) -> Numbers:
    """Write the times that count into nginx's files, values unchanged, and return them as variables.

    ``proxy_read_timeout`` stays what it is in force. An idle connection to the application gets 15 s where no
    ``keepalive_timeout`` of the upstream says anything: nginx's 60 s would make each drain as long.
    """
    found = Numbers()
    if not front.exists:
        return found
    read = _read(front, found)
    if read is not None:
        found.variables["PROXY_READ_TIMEOUT"] = str(read)
    idle = _idle(space, front, found)
    if idle is not None:
        found.variables["PROXY_KEEPALIVE_TIMEOUT"] = str(idle)
    if found.problems:
        return found
    places: set[tuple[str, int | None]] = set()
    for location in front.locations:
        seconds, is_written = seconds_of(location, "proxy_read_timeout")
        place = location.proxy_pass.origin.file, location.proxy_pass.origin.line
        if place in places:
            continue  # several locations include it
        places.add(place)
        if not is_written and seconds is not None:
            why = (
                f"proxy_read_timeout {seconds:g}s is the default in force: written, because gunicorn's numbers need it"
            )
            _behind(space, location.proxy_pass.origin, f"proxy_read_timeout {seconds:g}s;", why)
    for location in front.locations:
        words = location.settings.proxy_next_upstream
        if words is not None and words.known and tuple(words.value or ()) == ("off",) and words.origin.line:
            _retry(space, words.origin)
    return found


def _read(front: Front, found: Numbers) -> int | None:
    """Return the shortest wait of the locations that are not for WebSockets or streams alone."""
    waits: dict[float, Location] = {}
    for location in front.locations:
        seconds, _ = seconds_of(location, "proxy_read_timeout")
        if seconds is not None:
            waits.setdefault(seconds, location)
    ordinary = {seconds: one for seconds, one in waits.items() if not _is_stream(one)} or waits
    if not ordinary:
        return None
    least = min(ordinary)
    if not _READ.low <= least <= _READ.high:
        place = ordinary[least].origin
        found.problems.append(
            f"{place.file}:{place.line}: nginx waits {least:g} s at {ordinary[least].path}: the ladder needs "
            f"proxy_read_timeout from {_READ.low} to {_READ.high} s"
        )
        return None
    longer = sorted(seconds for seconds in ordinary if seconds > least)
    if longer:
        slow = ordinary[longer[-1]]
        found.notes.append(
            f"nginx waits {longer[-1]:g} s at {slow.path} ({slow.origin.file}) and {least:g} s "
            f"elsewhere: a worker that is replaced cancels requests after about 2/3 of {least:g} s; "
            "GUNICORN_GRACEFUL_TIMEOUT gives longer ones their time"
        )
    return int(least)


def _is_stream(location: Location) -> bool:
    upgrade = location.headers.get("upgrade")
    return upgrade is not None and upgrade.known and location.path not in {"/", "= /"}


def _idle(space: Workspace, front: Front, found: Numbers) -> int | None:
    explicit = [one for one in front.upstreams if one.explicit]
    if not explicit:
        return None
    written = [value for one in explicit if (value := upstream_is_set(one, "keepalive_timeout")) is not None]
    if written and max(written) > _IDLE.high:
        found.problems.append(
            f"{explicit[0].origin.file}:{explicit[0].origin.line}: keepalive_timeout {max(written):g} s in "
            f"upstream {explicit[0].name}: the ladder allows at most {_IDLE.high} s"
        )
        return None
    silent = [one for one in explicit if upstream_is_set(one, "keepalive_timeout") is None]
    whole = [math.ceil(value) for value in written]
    if silent and front.oldest < (directive("keepalive_timeout", "upstream").since or front.oldest):
        return max([math.ceil(default_seconds("keepalive_timeout", "upstream")), *whole])
    chosen = max(whole, default=_IDLE.default)
    for one in {(one.origin.file, one.origin.line): one for one in silent}.values():
        _upstream(space, one, chosen)
    return max(1, chosen)


def _upstream(space: Workspace, upstream: Upstream, seconds: int) -> None:
    default = default_seconds("keepalive_timeout", "upstream")
    why = (
        f"upstream {upstream.name}: nginx closes idle connections after {seconds} s ({default:g} s by default), before "
        "gunicorn does, and a worker that drains waits for no longer than that"
    )
    last = max((server.origin.line or 0 for server in upstream.servers), default=0)
    if last:
        place = Origin(file=upstream.servers[0].origin.file, line=last)
        _behind(space, place, f"keepalive_timeout {seconds}s;", why)


def _behind(space: Workspace, origin: Origin, line_of_nginx: str, why: str) -> None:
    """Add a directive behind the one on a line: on a line of its own where that one has one."""
    if origin.line is None or not space.has(origin.file):
        return
    text = space.text(origin.file)
    line = _current(space, origin)
    start = line_start(text, line)
    end = text.find(";", start)
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop
    rest = text[end + 1 : stop].strip()
    if end < 0 or (rest and not rest.startswith("#")):
        if end >= 0:
            space.put(origin.file, f"{text[: end + 1]} {line_of_nginx}{text[end + 1 :]}", why, origin.line)
        return
    space.put(origin.file, f"{text[:stop]}\n{indent_at(text, start)}{line_of_nginx}{text[stop:]}", why, origin.line)
    space.added.setdefault(origin.file, []).append(origin.line)


def _retry(space: Workspace, origin: Origin) -> None:
    text = space.text(origin.file)
    start = line_start(text, _current(space, origin))
    new, count = re.subn(r"proxy_next_upstream\s+off\s*;", "proxy_next_upstream error timeout;", text[start:], count=1)
    if count:
        why = "a request that reached no worker is tried again; a POST that was sent never is"
        space.put(origin.file, text[:start] + new, why, origin.line)


def _current(space: Workspace, origin: Origin) -> int:
    """Return where a line is now: one line was added behind each of those that are noted."""
    line = origin.line or 1
    return line + sum(at < line for at in space.added.get(origin.file, ()))
