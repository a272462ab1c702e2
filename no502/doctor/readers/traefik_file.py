"""Traefik's files: the servers of each service, and the times of the transport that it uses.

https://doc.traefik.io/traefik/reference/routing-configuration/http/load-balancing/serverstransport/
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from no502.doctor.model import Origin, ProxyTarget
from no502.doctor.readers.proxy_target import FileOfProxy, first_time, lines_of, target_of
from no502.doctor.readers.proxy_times import Times, seconds_of
from no502.doctor.readers.yaml_nodes import Node, YamlProblem, load_all

__all__ = ["forwarding_times", "read_traefik_file"]

_DEEPEST = 40
_READ = r"responseHeaderTimeout[\"']?[ \t]*+[:=][ \t]*+[\"']?(\w++)"
_IDLE = r"idleConnTimeout[\"']?[ \t]*+[:=][ \t]*+[\"']?(\w++)"
_URL = r"\burl[\"']?[ \t]*+[:=][ \t]*+[\"']?([^\s\"'{}\[\],]++)"


def read_traefik_file(text: str, shown: str) -> FileOfProxy:
    """Return what a static or dynamic configuration says, in YAML or TOML; a template only line by line.

    Args:
        text: What the file holds.
        shown: The file, as shown to the user.
    """
    nodes = _parsed(text, shown)
    if not nodes:
        targets = [target_of(found[1], at) for found, at in lines_of(_URL, text, shown)]
        times = (first_time("traefik", _READ, text, shown), first_time("traefik", _IDLE, text, shown))
        return FileOfProxy(targets=tuple(one for one in targets if one is not None), own=times)
    found: list[ProxyTarget] = []
    transports: dict[str, Times] = {}
    own: Times = (None, None)
    for node in nodes:
        static = forwarding_times(_get(node, "serversTransport"), shown)
        own = (own[0] or static[0], own[1] or static[1])
        services, named = _get(node, "http", "services"), _get(node, "http", "serversTransports")
        for _, service in services.items() if services is not None else ():
            found += _servers(service, shown)
        for name, transport in named.items() if named is not None else ():
            transports[name] = forwarding_times(transport, shown)
    return FileOfProxy(targets=tuple(found), own=own, transports=transports)


def forwarding_times(transport: Node | None, shown: str) -> Times:
    """Return the times of a ``serversTransport``.

    Args:
        transport: It; None for none.
        shown: The file, as shown to the user.
    """
    times = _get(transport, "forwardingTimeouts") if transport is not None else None
    if times is None:
        return None, None
    nodes = [_get(times, name) for name in ("responseHeaderTimeout", "idleConnTimeout")]
    read, idle = (
        seconds_of("traefik", node.text, Origin(file=shown, line=node.line)) if node is not None and node.text else None
        for node in nodes
    )
    return read, idle


def _servers(service: Node, shown: str) -> Iterator[ProxyTarget]:
    balancer = _get(service, "loadBalancer")
    servers, transport = _get(balancer, "servers"), _get(balancer, "serversTransport")
    for server in servers.elements() if servers is not None else ():
        url = _get(server, "url")
        target = target_of(url.text, Origin(file=shown, line=url.line)) if url is not None and url.text else None
        if target is not None:
            name = (transport.text or "").partition("@")[0] if transport is not None else ""
            yield ProxyTarget(address=target.address, tls=target.tls, http2=target.http2, transport=name)


def _get(node: Node | None, *path: str) -> Node | None:
    """Return the node at a path of names, which Traefik reads without regard to case."""
    for name in path:
        node = next((value for key, value in node.items() if key.lower() == name.lower()), None) if node else None
    return node


def _parsed(text: str, shown: str) -> list[Node]:
    """Return the documents of a text; none where it is neither YAML nor TOML, as a template is."""
    if re.search(r"^[ \t]*+\[+[\w.\"-]++\]+[ \t]*+(?:#[^\n]*+)?$", text, re.MULTILINE):
        try:
            return [_of_toml(tomllib.loads(text), _lines(text), shown)]
        except (tomllib.TOMLDecodeError, RecursionError):
            return []
    try:
        return [node for node in load_all(text, shown) if isinstance(node.value, dict)]
    except YamlProblem:
        return []


def _of_toml(value: Any, lines: Mapping[str, int], shown: str, depth: int = 0) -> Node:
    """Return a TOML value as a node: the line of a text is that on which it stands for the first time."""
    if depth > _DEEPEST:
        return Node(None, 1, shown)
    if isinstance(value, dict):
        return Node({key: _of_toml(one, lines, shown, depth + 1) for key, one in value.items()}, 1, shown)
    if isinstance(value, list):
        return Node([_of_toml(one, lines, shown, depth + 1) for one in value], 1, shown)
    return Node(str(value), lines.get(str(value), 1), shown)


def _lines(text: str) -> dict[str, int]:
    """Return the line of each text in quotation marks."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        for one in re.finditer(r"\"([^\"]*+)\"|'([^']*+)'", line):
            found.setdefault(one[1] or one[2] or "", number)
    return found
