"""Arguments with which nginx does not load: values that are none, targets that it refuses, what its version lacks.

Each was given to nginx 1.22.1 and 1.31.3 (tests/doctor/test_nginx_refusals.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from no502.doctor.model import Version
from no502.doctor.readers.nginx.effective import SCALARS
from no502.doctor.readers.nginx.syntax import Directive
from no502.doctor.readers.nginx.values import is_template, parse_flag, parse_int, parse_size, parse_time, shown
from no502.nginx.versions import (
    HTTP2_TO_UPSTREAM,
    LISTEN_QUIC,
    POOL_BY_DEFAULT,
    SSL_REMOVED,
    UPSTREAM_RESOLVER,
    directives,
    dotted,
)

__all__ = ["check_arguments"]

_Refusal = tuple[str, str]
"""What nginx refuses, and what to write."""

_LISTEN = {"default_server", "default", "ssl", "http2", "quic", "proxy_protocol", "deferred", "bind", "reuseport"}
_LISTEN |= {"multipath", "spdy"}
_NEXT = {"error", "timeout", "invalid_header", "non_idempotent", "off", "updating", "denied"}
_NEXT |= {f"http_{status}" for status in (403, 404, 429, 500, 502, 503, 504)}
_NOT_TIMES = {"proxy_http_version", "proxy_next_upstream", "proxy_buffers", "resolver"}
_POOL: Mapping[str, Callable[[str], object]] = {
    "keepalive": parse_int,
    "keepalive_timeout": parse_time,
    "keepalive_requests": parse_int,
    "keepalive_time": parse_time,
}
_ALLOWED = {
    parse_time: "a number with ms, s, m, h or d",
    parse_size: "a number of bytes, or one with k or m",
    parse_int: "a whole number",
    parse_flag: "on or off",
}
_URI = "proxy_pass cannot have a URI in a location of a regular expression, a named location, an if or a limit_except"


def check_arguments(one: Directive, context: str, versions: Sequence[Version]) -> Iterator[_Refusal]:
    """Yield what nginx of every one of the versions refuses about a directive's arguments.

    Args:
        one: The directive.
        context: The block that it stands in, as ``refusals`` names it.
        versions: What to judge by.
    """
    if any(is_template(argument) for argument in one.args):
        return
    yield from _newer(one, context, versions)
    if one.name == "upstream":
        yield from _not_shared(one)
    if not one.args:
        return
    if one.name == "listen" and context == "server":
        yield from _listen(one)
    elif one.name == "proxy_pass":
        yield from _target(one.args[0], context)
    elif one.name == "proxy_http_version":
        yield from _http_version(one.args[0], versions)
    elif one.name == "proxy_next_upstream":
        yield from (
            (f'proxy_next_upstream has no value "{shown(word)}"', f"one of {', '.join(sorted(_NEXT))}")
            for word in one.args
            if word not in _NEXT
        )
    elif not any("$" in argument for argument in one.args):
        yield from _value(one, context, versions)


def _not_shared(upstream: Directive) -> Iterator[_Refusal]:
    """Yield an upstream whose names are looked up while nginx runs, without the memory that its workers share."""
    resolves = any("resolve" in server.args[1:] for server in upstream.all("server"))
    if resolves and not any(one.name == "zone" or is_template(one.name) for one in upstream.block or ()):
        name = shown(" ".join(upstream.args))
        yield f"upstream {name} has a server with resolve, and no zone", f"add zone {name} 64k; to upstream{{}}"


def _value(one: Directive, context: str, versions: Sequence[Version]) -> Iterator[_Refusal]:
    """Yield a time, size, number or flag that is none."""
    given = shown(one.args[0])
    if context == "upstream" and one.name in _POOL:
        if one.name == "keepalive" and one.args[0] == "0" and _all_before(POOL_BY_DEFAULT, versions):
            yield f"keepalive 0 needs nginx {dotted(POOL_BY_DEFAULT)}", "remove keepalive from upstream{}"
        elif _POOL[one.name](one.args[0]) is None:
            yield _no_value(one.name, given, _POOL[one.name])
    elif context == "upstream" or one.name not in SCALARS or one.name in _NOT_TIMES:
        return
    elif one.name == "keepalive_timeout":
        wrong = next((argument for argument in one.args if parse_time(argument) is None), None)
        if wrong is not None:
            yield _no_value(one.name, shown(wrong), parse_time)
    elif SCALARS[one.name](one.args) is None:
        kinds = (parse_time, parse_size, parse_int, parse_flag)
        examples = {parse_time: ("60s",), parse_size: ("8k",), parse_int: ("3",), parse_flag: ("on",)}
        kind = next((kind for kind in kinds if SCALARS[one.name](examples[kind]) is not None), parse_int)
        yield _no_value(one.name, given, kind)


def _no_value(name: str, given: str, kind: Callable[[str], object]) -> _Refusal:
    return f'{name} has an invalid value "{given}"', f"write {_ALLOWED[kind]}"  # type: ignore[index]


def _listen(one: Directive) -> Iterator[_Refusal]:
    for word in one.args[1:]:
        if word not in _LISTEN and "=" not in word and "$" not in word:
            yield f'listen has an invalid parameter "{shown(word)}"', 'check for a missing ";" after listen'
            return


def _target(target: str, context: str) -> Iterator[_Refusal]:
    """Yield a ``proxy_pass`` without a scheme, or with a URI where nginx takes none; variables are looked up later."""
    if "$" in target:
        return
    found = re.match(r"https?://", target, re.IGNORECASE)
    if found is None:
        yield f'proxy_pass {shown(target)} has no scheme ("invalid URL prefix")', f"write http://{shown(target)}"
        return
    rest = target[found.end() :]
    uri = re.match(r"unix:[^:]*:(?=.)", rest) if rest.startswith("unix:") else re.search(r"[/?]", rest)
    if uri is not None and context in {"location-regex", "location-named", "location-if", "limit_except"}:
        yield _URI, "remove the URI; a rewrite with break before proxy_pass changes the path"


def _http_version(given: str, versions: Sequence[Version]) -> Iterator[_Refusal]:
    if given in {"1.0", "1.1"}:
        return
    if given != "2":
        yield f'proxy_http_version has no value "{shown(given)}"', "write 1.1"
    elif _all_before(HTTP2_TO_UPSTREAM, versions):
        yield f"proxy_http_version 2 needs nginx {dotted(HTTP2_TO_UPSTREAM)}: {_this(versions)}", "write 1.1"


def _newer(one: Directive, context: str, versions: Sequence[Version]) -> Iterator[_Refusal]:
    """Yield a directive or a parameter that none of the versions has."""
    place = "location" if context.startswith("location") else context
    since = [found.since for found in directives() if found.name == one.name and (not place or place in found.contexts)]
    if since and all(first is not None and _all_before(first, versions) for first in since):
        first = min(found for found in since if found is not None)
        fix = "write http2 as a parameter of listen" if one.name == "http2" else "remove it, or use a newer nginx"
        yield f"{one.name} needs nginx {dotted(first)}: {_this(versions)}", fix
    if one.name == "ssl" and context in {"http", "server"} and all(version >= SSL_REMOVED for version in versions):
        yield f"nginx {dotted(SSL_REMOVED)} and later have no ssl directive", "write ssl as a parameter of listen"
    words = [word.partition("=")[0] for word in one.args[1:]]
    for name, where, word, first in (
        ("server", "upstream", "resolve", UPSTREAM_RESOLVER),
        ("server", "upstream", "service", UPSTREAM_RESOLVER),
        ("listen", "server", "quic", LISTEN_QUIC),
    ):
        if (one.name, context) == (name, where) and word in words and _all_before(first, versions):
            yield (
                f"{word} of {name} needs nginx {dotted(first)}: {_this(versions)}",
                f"remove {word}, or use a newer nginx",
            )


def _all_before(first: Version, versions: Sequence[Version]) -> bool:
    """Whether every version is surely older; of a tag such as 1.25 the last number is not known, and is 0 here."""
    return all(version < first and (version[2] != 0 or version[:2] < first[:2]) for version in versions)


def _this(versions: Sequence[Version]) -> str:
    return "this one is " + " or ".join(map(dotted, versions))
