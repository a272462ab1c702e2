"""Headers by which a proxy says who the client is: a client cannot send them itself."""

import re

import pytest

from no502.data import data_path
from tests.nginx.proxy import ProxyFactory
from tests.support.backend import Backend

_TEXT = (data_path("nginx") / "snippets" / "application.conf").read_text(encoding="utf-8")
REMOVED = re.findall(r'^proxy_set_header (\S+) "";$', _TEXT, re.MULTILINE)


def test_the_list_has_what_is_known() -> None:
    """The headers of common proxies and authenticating proxies are in it."""
    known = {
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded-Ssl",
        "X-Forwarded-Scheme",
        "X-Original-URL",
        "X-Rewrite-URL",
        "True-Client-IP",
        "X-Client-IP",
        "Forwarded",
        "Remote-User",
        "Proxy",
    }
    assert known - set(REMOVED) == set()


@pytest.mark.parametrize("name", [*REMOVED, "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"])
def test_a_client_cannot_send_it(start: ProxyFactory, name: str) -> None:
    """Whatever its case, the application gets it without the client's value, or not at all."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        for spelling in (name, name.lower(), name.upper()):
            assert proxy.ask(headers={spelling: "forged-by-client"}).status == 200
        values = [request.all(name) for request in backend.requests]
    assert len(values) == 3
    assert [value for found in values for value in found if "forged" in value] == []
    if name in REMOVED:
        assert values == [[], [], []]
