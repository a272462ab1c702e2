"""Where the configuration file of a proxy other than nginx connects to, and what it says of each target alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

from no502.doctor.model import Fact, Origin, ProxyTarget
from no502.doctor.readers.proxy_target import FileOfProxy, first_time, lines_of, target_of
from no502.doctor.readers.proxy_times import seconds_of
from no502.doctor.readers.traefik_file import read_traefik_file

__all__ = ["kind_of_proxy", "read_proxy_file"]

_MOST_BLOCKS, _LONGEST_BLOCK = 500, 20_000
"""Blocks of a Caddyfile that are looked into, and characters of each."""


def kind_of_proxy(name: str, text: str) -> str:
    """Return which proxy a file is for.

    Args:
        name: The file's name.
        text: What it holds.
    """
    if "caddy" in name.lower() or '"reverse_proxy"' in text:
        return "caddy"
    if name.endswith(".vcl"):
        return "varnish"
    if re.search(r"^[ \t]*+(?:ProxyPass|BalancerMember|<VirtualHost)\b", text, re.MULTILINE):
        return "httpd"
    if re.search(r"^(?:tunnel|ingress):", text, re.MULTILINE) and re.search(r"^[ \t-]*+service:", text, re.MULTILINE):
        return "cloudflared"
    if name.startswith("traefik") or re.search(r"loadBalancer|serversTransport", text):
        return "traefik"
    return "envoy" if "static_resources:" in text else "haproxy"


def read_proxy_file(kind: str, text: str, shown: str) -> FileOfProxy:
    """Return what the file of a proxy says.

    Args:
        kind: Which proxy, as ``kind_of_proxy`` says.
        text: What it holds, variables filled in.
        shown: The file, as shown to the user.
    """
    return _READERS[kind](text, shown)


# --- Caddy -----------------------------------------------------------------------------------------------------------

_CADDY_READ, _CADDY_IDLE = r"response_header_timeout[ \t]++(\S++)", r"^[ \t]*+keepalive[ \t]++(\S++)"


def _block(text: str, start: int) -> str:
    """Return the block in braces that begins on the line of a place; empty where none does."""
    text = text[start : start + _LONGEST_BLOCK]
    line = text.partition("\n")[0].partition(" #")[0].rstrip()
    if not line.endswith("{"):
        return ""
    depth = 0
    for found in re.finditer(r"(?:^|(?<=\s))[{}](?=\s|$)", text):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return text[: found.end()]
    return text


def _caddy(text: str, shown: str) -> FileOfProxy:
    if text.lstrip().startswith("{") and '"apps"' in text:
        return _caddy_json(text, shown)
    targets: list[ProxyTarget] = []
    rest = text
    starts = list(lines_of(r"^[ \t]*+(reverse_proxy)\b[ \t]*+([^#{\n]*+)", text, shown))
    for found, origin in starts[:_MOST_BLOCKS]:
        block, above = _block(text, found.start()), (origin.line or 1) - 1
        read = first_time("caddy", _CADDY_READ, block, shown, above)
        idle = first_time("caddy", _CADDY_IDLE, block, shown, above)
        rest = rest.replace(block, "\n" * block.count("\n"), 1) if read or idle else rest
        targets += [replace(one, read=read, idle=idle) for one in _upstreams(found[2], block, origin)]
    own = (first_time("caddy", _CADDY_READ, rest, shown), first_time("caddy", _CADDY_IDLE, rest, shown))
    return FileOfProxy(targets=tuple(targets), own=own)


def _upstreams(words: str, block: str, origin: Origin) -> list[ProxyTarget]:
    """Return the targets of a reverse_proxy of Caddy: behind it, or in its block.

    https://caddyserver.com/docs/caddyfile/directives/reverse_proxy
    """
    above = (origin.line or 1) - 1
    named = [(word, origin) for word in words.split()]
    for to, at in lines_of(r"^[ \t]*+to[ \t]++([^#{\n]++)", block, origin.file, above):
        named += [(word, at) for word in to[1].split()]
    for found, at in lines_of(
        r"^[ \t]*+dynamic[ \t]++a(?:aaa)?[ \t]++(\S++[ \t]++\d++)[ \t]*+$", block, origin.file, above
    ):
        named.append((":".join(found[1].split()), at))
    secure = re.search(r"^[ \t]*+tls(?:_\w++)?\b", block, re.MULTILINE) is not None
    http2 = re.search(r"^[ \t]*+versions[ \t]++h2c[ \t]*+$", block, re.MULTILINE) is not None
    found_targets = [target_of(word, at) for word, at in named]
    return [
        replace(one, tls=secure or one.tls is True, http2=http2 or one.http2)
        for one in found_targets
        if one is not None
    ]


def _caddy_json(text: str, shown: str) -> FileOfProxy:
    targets = [target_of(found[1], at) for found, at in lines_of(r'"dial"\s*+:\s*+"([^"]++)"', text, shown)]
    read = first_time("caddy", r'"response_header_timeout"\s*+:\s*+"([^"]++)"', text, shown)
    idle = first_time("caddy", r'"idle_timeout"\s*+:\s*+"([^"]++)"', text, shown)
    return FileOfProxy(targets=tuple(one for one in targets if one is not None), own=(read, idle))


# --- HAProxy ---------------------------------------------------------------------------------------------------------

_SECTION = re.compile(r"^(?:global|defaults|frontend|backend|listen|resolvers|userlist|peers|cache|program)\b")
_SERVER = re.compile(r"^[ \t]++server(?:-template[ \t]++\S++)?[ \t]++\S++[ \t]++(\S++)([^#\n]*+)")
_WAIT = re.compile(r"^[ \t]++timeout[ \t]++server[ \t]++(\S++)")


def _haproxy(text: str, shown: str) -> FileOfProxy:
    """Return HAProxy's servers, each with the time of its section, else that of the ``defaults`` above it."""
    found: list[tuple[ProxyTarget, Fact[float] | None]] = []
    default: Fact[float] | None = None
    section: list[ProxyTarget] = []
    own: Fact[float] | None = None
    kind = ""

    def close() -> None:
        found.extend((one, own or default) for one in section)

    for number, line in enumerate(text.split("\n"), start=1):
        head = _SECTION.match(line)
        if head is not None:
            close()
            default = own if kind == "defaults" else default
            kind, section, own = head[0], [], None
            continue
        origin = Origin(file=shown, line=number)
        wait, server = _WAIT.match(line), _SERVER.match(line)
        if wait is not None:
            own = seconds_of("haproxy", wait[1], origin)
        elif server is not None:
            words = server[2].split()
            http2 = any(pair in (("proto", "h2"), ("alpn", "h2")) for pair in pairwise(words))
            target = target_of(server[1], origin)
            section += [replace(target, tls="ssl" in words, http2=http2)] if target is not None else []
    close()
    targets = tuple(replace(one, read=read, tls=one.tls is True) for one, read in found)
    times = {fact.value for _, fact in found if fact is not None}
    whole = next((fact for _, fact in found if fact is not None), default if not found else None)
    return FileOfProxy(targets=targets, own=(whole if len(times) <= 1 else None, None))


# --- the others ------------------------------------------------------------------------------------------------------


def _envoy(text: str, shown: str) -> FileOfProxy:
    clusters = _clusters(text)
    pattern = r"\baddress:[ \t]*+([\w.-]++)\s*+,?[ \t]*+port_value:[ \t]*+(\d++)"
    targets = [target_of(f"{found[1]}:{found[2]}", at) for found, at in lines_of(pattern, clusters, shown)]
    idle = first_time("envoy", r"\bidle_timeout:[ \t]*+[\"']?([^\s,}\"']++)", clusters, shown)
    return FileOfProxy(targets=tuple(one for one in targets if one is not None), own=(None, idle))


def _clusters(text: str) -> str:
    """Return Envoy's file with its clusters only, at their lines: listeners have addresses and idle times, too."""
    head = re.search(r"^([ \t]*+)clusters:", text, re.MULTILINE)
    if head is None:
        return text
    after = re.compile(rf"^{head[1]}(?![ \t#-])\S", re.MULTILINE).search(text, head.end())
    return "\n" * text.count("\n", 0, head.start()) + text[head.start() : after.start() if after else None]


def _httpd(text: str, shown: str) -> FileOfProxy:
    """Return what Apache's ProxyPass and BalancerMember name. https://httpd.apache.org/docs/2.4/mod/mod_proxy.html."""
    targets = []
    pattern = r"^[ \t]*+(?:ProxyPass(?:Match)?|BalancerMember)[ \t]++(?:[\"']?/[^\s]*+[ \t]++)?[\"']?((?:https?|h2c)://[^\s\"']++)([^\n]*+)"
    whole = first_time("httpd", r"^[ \t]*+ProxyTimeout[ \t]++(\d++)", text, shown)
    for found, at in lines_of(pattern, text, shown):
        target = target_of(found[1], at)
        if target is not None:
            read = first_time("httpd", r"\btimeout=(\d++)", found[2], shown, (at.line or 1) - 1)
            idle = first_time("httpd", r"\bttl=(\d++)", found[2], shown, (at.line or 1) - 1)
            targets.append(replace(target, read=read, idle=idle))
    return FileOfProxy(targets=tuple(targets), own=(whole, None))


def _varnish(text: str, shown: str) -> FileOfProxy:
    """Return the backends of a VCL file. https://varnish-cache.org/docs/trunk/reference/vcl-backend.html."""
    targets = []
    for found, at in lines_of(r"^[ \t]*+backend[ \t]++(\w++)\s*+\{([^{}]*+)\}", text, shown):
        host = re.search(r"\.host\s*+=\s*+\"([^\"]++)\"", found[2])
        port = re.search(r"\.port\s*+=\s*+\"(\d++)\"", found[2])
        target = target_of(f"{host[1]}:{port[1] if port is not None else 80}", at) if host is not None else None
        if target is not None:
            read = first_time("varnish", r"\.first_byte_timeout\s*+=\s*+(\w++)", found[2], shown, (at.line or 1) - 1)
            targets.append(replace(target, read=read, tls=target.tls is True))
    return FileOfProxy(targets=tuple(targets))


def _cloudflared(text: str, shown: str) -> FileOfProxy:
    targets = [target_of(found[1], at) for found, at in lines_of(r"^[ \t-]*+service:[ \t]*+(\S++)", text, shown)]
    idle = first_time("cloudflared", r"^[ \t]*+keepAliveTimeout:[ \t]*+(\w++)", text, shown)
    return FileOfProxy(targets=tuple(one for one in targets if one is not None), own=(None, idle))


_READERS: Mapping[str, Callable[[str, str], FileOfProxy]] = {
    "caddy": _caddy,
    "haproxy": _haproxy,
    "traefik": read_traefik_file,
    "envoy": _envoy,
    "httpd": _httpd,
    "varnish": _varnish,
    "cloudflared": _cloudflared,
}
