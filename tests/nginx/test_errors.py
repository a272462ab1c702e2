"""The errors that nginx answers itself."""

import socket

import pytest

from tests.nginx.proxy import HOST, Answer, ProxyFactory
from tests.support.backend import OK, Backend, Request, response
from tests.support.ports import free_port

_ID = "client-id.42"


def _is_problem(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_application_down(start: ProxyFactory, method: str) -> None:
    """No process listens: 502 at once, as a problem with the request id, and a line in the error log."""
    proxy = start(f"127.0.0.1:{free_port()}")
    answer = proxy.ask(method, headers={"X-Request-ID": _ID})
    _is_problem(answer, 502)
    assert answer.json()["request_id"] == _ID
    assert answer.headers["Server"] == "nginx"
    assert answer.headers["Retry-After"] is None
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    proxy.wait_for_log("while connecting to upstream")
    assert proxy.access_log()[0]["upstream_status"] == "502"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_application_silent(start: ProxyFactory, method: str) -> None:
    """No byte within PROXY_READ_TIMEOUT: one attempt and 504, although a GET may be sent twice."""

    def say_nothing(_request: Request, connection: socket.socket) -> None:
        connection.recv(1)

    with Backend(say_nothing) as backend:
        proxy = start(backend.upstream, PROXY_READ_TIMEOUT="2")
        answer = proxy.ask(method)
        _is_problem(answer, 504)
        assert answer.seconds > 1.5
        assert len(backend.requests) == 1
        proxy.wait_for_log("while reading response header from upstream")
        (line,) = proxy.access_log()
    assert line["upstream_status"] == "504"
    assert line["upstream_header_time"] == "-"


@pytest.mark.parametrize("chunked", [False, True])
def test_body_too_large(start: ProxyFactory, chunked: bool) -> None:
    """A body above NGINX_CLIENT_MAX_BODY_SIZE is refused with 413 as a problem; one of just that size passes."""
    with Backend() as backend:
        proxy = start(backend.upstream, NGINX_CLIENT_MAX_BODY_SIZE="100k")
        assert proxy.ask("POST", body=b"x" * 102400).status == 200
        too_large = b"x" * 102401
        answer = proxy.ask("POST", body=iter([too_large]) if chunked else too_large)
        _is_problem(answer, 413)
        proxy.wait_for_log("client intended to send too large")
    assert [len(request.body) for request in backend.requests] == [102400]


@pytest.mark.parametrize("status", [404, 413, 429, 500, 502, 503, 504])
def test_own_errors_of_the_application_pass(start: ProxyFactory, status: int) -> None:
    """Whatever error the application answers reaches the client as it is."""
    own = response(f"{status} Mine", b'{"mine":true}', "Content-Type: application/vnd.mine+json")
    with Backend(lambda _request, _connection: own) as backend:
        answer = start(backend.upstream).ask()
    assert answer.status == status
    assert answer.json() == {"mine": True}
    assert answer.headers["Content-Type"] == "application/vnd.mine+json"


@pytest.mark.parametrize(("own", "expected"), [([], ["5"]), (["Retry-After: 30"], ["30"])])
def test_retry_after_on_503(start: ProxyFactory, own: list[str], expected: list[str]) -> None:
    """A 503 says when to come back: the application's word, else five seconds."""
    with Backend(lambda _request, _connection: response("503 Busy", b"", *own)) as backend:
        answer = start(backend.upstream).ask()
    assert answer.headers.get_all("Retry-After") == expected


def test_only_public_health_paths_pass(start: ProxyFactory) -> None:
    """Liveness and readiness are public; startup, anything else below /health/ and metrics are not."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        for path in ("/health/live", "/health/ready", "/health", "/healthy"):
            assert proxy.ask(path=path).status == 200
        for path in (
            "/health/startup",
            "/health/",
            "/health/ready/details",
            "/health//startup",
            "/%68ealth/startup",
            "/metrics",
        ):
            for method in ("GET", "POST"):
                _is_problem(proxy.ask(method, path), 404)
    assert [request.target for request in backend.requests] == ["/health/live", "/health/ready", "/health", "/healthy"]


def test_security_headers(start: ProxyFactory) -> None:
    """Every answer has them; the application's own value stands."""
    own = ["X-Frame-Options: DENY", "Referrer-Policy: no-referrer", "X-Content-Type-Options: nosniff"]

    def answer(request: Request, _connection: socket.socket) -> bytes:
        return response("200 OK", b"", *own) if request.target == "/own" else OK

    names = ("X-Frame-Options", "Referrer-Policy", "X-Content-Type-Options")
    with Backend(answer) as backend:
        proxy = start(backend.upstream)
        ours = proxy.ask().headers
        theirs = proxy.ask(path="/own").headers
    assert [ours.get_all(name) for name in names] == [
        ["SAMEORIGIN"],
        ["strict-origin-when-cross-origin"],
        ["nosniff"],
    ]
    assert [theirs.get_all(name) for name in names] == [["DENY"], ["no-referrer"], ["nosniff"]]
    assert ours.get_all("Server") == ["nginx"]


@pytest.mark.parametrize(
    ("seconds", "expected"), [("31536000", ["max-age=31536000"]), ("300", ["max-age=300"]), ("0", None), ("", None)]
)
def test_hsts_is_sent_where_it_is_asked_for(start: ProxyFactory, seconds: str, expected: list[str] | None) -> None:
    """Only to a client that came by HTTPS, with the seconds of NGINX_HSTS; the application's own value stands."""

    def answer(request: Request, _connection: socket.socket) -> bytes:
        return response("200 OK", b"", "Strict-Transport-Security: max-age=7") if request.target == "/own" else OK

    by_https = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    with Backend(answer) as backend:
        proxy = start(backend.upstream, NGINX_TRUSTED_PROXIES="127.0.0.1", NGINX_HSTS=seconds)
        answers = [
            proxy.ask(path=path, headers=headers) for path, headers in (("/", {}), ("/", by_https), ("/own", by_https))
        ]
    assert [a.headers.get_all("Strict-Transport-Security") for a in answers] == [None, expected, ["max-age=7"]]


def test_errors_of_nginx_before_the_application_hide_the_version(start: ProxyFactory) -> None:
    """Even a request that nginx cannot read is answered without its version."""
    with Backend() as backend:
        answer = start(backend.upstream).raw(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"nginx/" not in answer
