"""One id for a request, everywhere."""

import re

import pytest

from tests.nginx.proxy import ProxyFactory
from tests.support.backend import Backend, response


@pytest.mark.parametrize("sent", ["abcd1234", "3f2b8a52-97f1-4f3e-9b0e-6a3f6d2c1b11", "A.b_c-" + "9" * 122])
def test_a_harmless_id_is_kept(start: ProxyFactory, sent: str) -> None:
    """The client's own id reaches the application, the response and the access log."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        answer = proxy.ask(headers={"X-Request-ID": sent})
        (line,) = proxy.access_log()
    (request,) = backend.requests
    assert request.all("x-request-id") == answer.headers.get_all("X-Request-ID") == [line["request_id"]] == [sent]


@pytest.mark.parametrize(
    "sent", [None, "", "short", "x" * 129, 'quote"12345', "two words", "line\\n1234", "gr\xfc\xdfe1234"]
)
def test_any_other_id_is_replaced(start: ProxyFactory, sent: str | None) -> None:
    """Nothing that could break a log line or a JSON body is passed on."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        answer = proxy.ask(headers={} if sent is None else {"X-Request-ID": sent})
        (line,) = proxy.access_log()
    (request,) = backend.requests
    (given,) = request.all("x-request-id")
    assert re.fullmatch("[0-9a-f]{32}", given)
    assert answer.headers.get_all("X-Request-ID") == [line["request_id"]] == [given]


def test_response_has_it_once(start: ProxyFactory) -> None:
    """An application that returns the header as well does not double it."""
    with Backend(lambda _request, _connection: response("200 OK", b"", "X-Request-ID: mine-1234")) as backend:
        answer = start(backend.upstream).ask(headers={"X-Request-ID": "client-1234"})
    assert answer.headers.get_all("X-Request-ID") == ["client-1234"]
