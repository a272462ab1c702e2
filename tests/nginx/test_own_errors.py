"""What nginx answers itself before a request reaches a location, and who may read its errors."""

import json
import re

import pytest

from tests.nginx.proxy import HOST, ProxyFactory
from tests.support.backend import Backend, response
from tests.support.ports import free_port

_ORIGIN = "https://app.example.net"
_CORS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Vary")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (f"GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        (f"TRACE / HTTP/1.1\r\nHost: {HOST}\r\n\r\n", 405),
        (f"GET /{'x' * 20000} HTTP/1.1\r\nHost: {HOST}\r\n\r\n", 414),
        (f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Long: {'x' * 20000}\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: unknown\r\n\r\n", 501),
        (f"GET / HTTP/9.9\r\nHost: {HOST}\r\n\r\n", 505),
    ],
    ids=["two hosts", "no host", "no request", "TRACE", "long address", "long header", "encoding", "version"],
)
def test_unreadable_requests_get_a_problem(start: ProxyFactory, request_head: str, status: int) -> None:
    """A request that nginx refuses before it knows where it belongs is answered as problem+json, with a request id."""
    with Backend() as backend:
        answer = start(backend.upstream).raw(request_head)
        assert backend.requests == []
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nContent-Type: application/problem+json\r\n" in head
    problem = json.loads(body)
    assert problem["status"] == status
    assert f"\r\nX-Request-ID: {problem['request_id']}".encode() in head


def _origins(start: ProxyFactory, origins: str, origin: str | None, upstream: str) -> list[str | None]:
    headers = {} if origin is None else {"Origin": origin}
    answer = start(upstream, NGINX_CORS_ORIGINS=origins).ask("POST", headers=headers)
    return [answer.headers[name] for name in _CORS]


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (_ORIGIN, _ORIGIN, True),
        (f"https://other.example,{_ORIGIN}", _ORIGIN, True),
        (f"{_ORIGIN}, https://other.example", _ORIGIN, True),
        ("", _ORIGIN, False),
        ("https://other.example", _ORIGIN, False),
        (_ORIGIN, f"{_ORIGIN}.evil.example", False),
        (_ORIGIN, "https://app-example.net", False),
        (_ORIGIN, "null", False),
        (_ORIGIN, None, False),
    ],
)
def test_listed_origins_may_read_nginx_own_errors(
    start: ProxyFactory, origins: str, origin: str | None, *, allowed: bool
) -> None:
    """A 502 of nginx has CORS headers for the origins of the list, and for no other."""
    found = _origins(start, origins, origin, f"127.0.0.1:{free_port()}")
    vary = "Origin" if origins else None
    expected = [_ORIGIN, "true", "X-Request-ID, Retry-After", vary] if allowed else [None, None, None, vary]
    assert found == expected


def test_any_origin(start: ProxyFactory) -> None:
    """With "*" every page may read them, and none with cookies."""
    found = _origins(start, "*", _ORIGIN, f"127.0.0.1:{free_port()}")
    assert found[:2] == ["*", None]


def test_the_applications_answers_keep_their_own_cors_headers(start: ProxyFactory) -> None:
    """On an answer of the application nginx adds nothing."""
    own = response("502 Mine", b"", "Access-Control-Allow-Origin: https://mine.example")
    with Backend(lambda _request, _connection: own) as backend:
        assert _origins(start, _ORIGIN, _ORIGIN, backend.upstream) == ["https://mine.example", None, None, None]


@pytest.mark.parametrize(
    "agent", [b"\xff\xfe", b"ok \x80 no", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"], ids=lambda value: value.hex()
)
def test_the_access_log_is_valid_json_whatever_is_sent(start: ProxyFactory, agent: bytes) -> None:
    """Bytes that are not UTF-8 do not get into the log; what is before them does."""
    proxy = start(f"127.0.0.1:{free_port()}")
    rest = f" HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n".encode()
    proxy.raw(b"GET /health/a" + rest + b"User-Agent: x " + agent + b"\r\n\r\n")
    proxy.raw(b"GET /health/b" + agent.replace(b" ", b"") + rest + b"\r\n")
    lines = {line["uri"].partition("(")[0][:9]: line for line in proxy.access_log(2)}
    assert re.fullmatch(r"x .*\(not UTF-8\)", lines["/health/a"]["user_agent"])
    assert re.fullmatch(r"/health/b.*\(not UTF-8\)", lines["/health/b"]["uri"])


def test_text_in_other_scripts_is_logged_as_it_is(start: ProxyFactory) -> None:
    """Valid UTF-8 passes, of every length."""
    proxy = start(f"127.0.0.1:{free_port()}")
    agent = "Zürich, ÄÖ, 日本, 😀"
    proxy.raw(f"GET /health/a HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nUser-Agent: {agent}\r\n\r\n".encode())
    assert proxy.access_log()[0]["user_agent"] == agent


def test_the_log_has_the_method_that_was_sent(start: ProxyFactory) -> None:
    """A refused POST is logged as a POST."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        proxy.raw(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n")
        proxy.raw(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: unknown\r\n\r\n")
        methods = [line["method"] for line in proxy.access_log(1)]
    assert set(methods) == {"POST"}
