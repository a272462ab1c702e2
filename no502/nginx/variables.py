"""The variables of the nginx files: which there are, what they may hold, and what is wrong with those given."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

from no502.near import closest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "MAY_BE_EMPTY",
    "TRUSTED_PROXIES",
    "UPSTREAM",
    "VARIABLES",
    "Variable",
    "is_one_address",
    "problems_of",
    "unknown_names",
]

UPSTREAM = "NGINX_UPSTREAM"
TRUSTED_PROXIES = "NGINX_TRUSTED_PROXIES"

_PORT = r"(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"
_IPV4 = r"\d{1,3}(?:\.\d{1,3}){3}"
_IPV6 = r"\[[0-9A-Fa-f:.]+\]"
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
_PATH = r"/[^\s;{}'\"$\\:#]+"
_SECONDS = "seconds, digits only, 1 to 86400"
_LISTEN = rf"(?:(?:{_IPV4}|{_IPV6}|\*):)?{_PORT}"
_LISTEN_TEXT = "port, address:port or [address]:port"
_ORIGIN = rf"https?://(?:{_NAME}|{_IPV4}|{_IPV6})(?::{_PORT})?"
_HOST = rf"(?:\*\.)?{_NAME}|{_IPV4}|{_IPV6}"

# The official image sets these for its own start scripts.
_OF_THE_IMAGE = re.compile(r"NGINX_(?:VERSION|ENVSUBST_\w+|ENTRYPOINT_\w+|LOCAL_RESOLVERS)")


MAY_BE_EMPTY = {"NGINX_CORS_ORIGINS", "NGINX_HSTS"}
"""Variables whose empty value has a meaning."""


class Variable(NamedTuple):
    """What one variable may hold: a pattern for the whole value, and the same in words."""

    pattern: str
    allowed: str


VARIABLES = {
    "PROXY_CONNECT_TIMEOUT": Variable(r"[1-9]\d{0,4}", _SECONDS),
    "PROXY_READ_TIMEOUT": Variable(r"[1-9]\d{0,4}", _SECONDS),
    "PROXY_KEEPALIVE_TIMEOUT": Variable(r"[1-9]\d{0,4}", _SECONDS),
    "NGINX_LISTEN": Variable(_LISTEN, _LISTEN_TEXT),
    "NGINX_SERVER_NAME": Variable(rf"(?:{_HOST})(?: (?:{_HOST}))*", "host names, separated by spaces"),
    UPSTREAM: Variable(
        rf"(?:{_IPV4}|{_IPV6}|{_NAME}):{_PORT}|unix:{_PATH}", "unix:/path, address:port, [address]:port or name:port"
    ),
    "NGINX_CLIENT_MAX_BODY_SIZE": Variable(
        r"\d{1,9}[kKmMgG]?", "a number of bytes, or one with k, m or g; 0: no limit"
    ),
    "NGINX_REQUESTS_IN_FLIGHT": Variable(_PORT, "a whole number, 1 to 65535"),
    "NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT": Variable(_PORT, "a whole number, 1 to 65535"),
    "NGINX_KEEPALIVE_TIMEOUT": Variable(r"[1-9]\d{0,4}", _SECONDS),
    "NGINX_CORS_ORIGINS": Variable(
        rf"\*|{_ORIGIN}(?: *, *{_ORIGIN})*", "origins such as https://app.example.com, separated by commas, or *"
    ),
    "NGINX_HSTS": Variable(r"\d{1,9}", "seconds, digits only; 0 or empty: the header is not sent"),
    "NGINX_ACCESS_LOG": Variable(
        r"/[^\s;{}'\"$\\#]+", "an absolute path without spaces, quotes or any of ; { } $ # \\"
    ),
    "NGINX_RESOLVER": Variable(
        rf"(?:{_IPV4}|{_IPV6})(?::{_PORT})?", "the address of a DNS server, with :port if not 53"
    ),
    "NGINX_TLS_LISTEN": Variable(_LISTEN, _LISTEN_TEXT),
    "NGINX_TLS_PORT": Variable(_PORT, "a port, 1 to 65535"),
    "NGINX_TLS_CERTIFICATE": Variable(_PATH, "an absolute path without spaces, quotes or any of ; { } $ # : \\"),
    "NGINX_TLS_CERTIFICATE_KEY": Variable(_PATH, "an absolute path without spaces, quotes or any of ; { } $ # : \\"),
    TRUSTED_PROXIES: Variable(r".+", "a comma list of addresses and networks (10.0.0.0/8, without host bits)"),
}


def is_one_address(upstream: str) -> bool:
    """Tell whether it is a unix socket or a literal address, not a name that DNS may answer with several."""
    return re.fullmatch(rf"unix:.+|(?:{_IPV4}|{_IPV6}):\d+", upstream) is not None


def problems_of(settings: Mapping[str, str], needed: set[str]) -> Iterator[str]:
    """Yield one line for each variable that is needed and missing, or not what it may be."""
    for name, variable in VARIABLES.items():
        value = settings.get(name, "")
        if not value:
            if name in needed and name not in MAY_BE_EMPTY:
                yield f"{name} is not set; allowed: {variable.allowed}"
        elif name in needed and (not re.fullmatch(variable.pattern, value) or _has_bad_address(name, value)):
            yield f"{name}={value}: not allowed; allowed: {variable.allowed}"
        elif name == UPSTREAM and re.match(r"localhost\.?:", value, re.IGNORECASE):
            yield f"{name}={value}: localhost may be two addresses, 127.0.0.1 and a dead ::1; write 127.0.0.1"


def unknown_names(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield one line for each ``NGINX_*`` or ``PROXY_*`` variable that no file has, with the closest known name."""
    for name in sorted(settings):
        if name in VARIABLES or not name.startswith(("NGINX_", "PROXY_")) or _OF_THE_IMAGE.fullmatch(name):
            continue
        near = closest(name, VARIABLES)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(VARIABLES)}"
        yield f"{name}: unknown variable; {hint}"


def _has_bad_address(name: str, value: str) -> bool:
    """Catch what the patterns let through: 999.1.1.1, [:::], a network with host bits."""
    try:
        if name == TRUSTED_PROXIES:
            for item in value.split(","):
                ipaddress.ip_network(item.strip())
        else:
            for v4, v6 in re.findall(rf"(?<![\w.:/-])(?:({_IPV4})|\[([^\]]*)\])(?![\w.-])", value):
                ipaddress.ip_address(v4 or v6)
    except ValueError:
        return True
    return False
