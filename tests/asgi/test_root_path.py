"""The service below a path of its host."""

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.responses import RedirectResponse

from no502.asgi.root_path import checked
from tests.asgi.application import create_app


def _application(prefix: str) -> FastAPI:
    application = create_app(prefix=prefix)

    @application.get("/where/{name}")
    async def where(request: Request, name: str) -> dict[str, str]:
        return {"url": str(request.url), "link": str(request.url_for("where", name=name)), "name": name}

    @application.get("/there")
    async def there(request: Request) -> RedirectResponse:
        return RedirectResponse(request.url_for("where", name="x"))

    @application.get("/slash/")
    async def slash() -> None:
        pass

    return application


# What the client asks for is the prefix and this; what arrives here is this only.
@pytest.mark.parametrize("prefix", ["", "/billing", "/a/b", "/api", "/where"])
def test_links_lead_back_through_the_proxy(prefix: str) -> None:
    """Routes are found, and addresses have the prefix, also when a route begins like it."""
    client = TestClient(_application(prefix), base_url="http://localhost", follow_redirects=False)
    base = f"http://localhost{prefix}"
    assert client.get("/where/x").json() == {"url": f"{base}/where/x", "link": f"{base}/where/x", "name": "x"}
    assert client.get("/there").headers["location"] == f"{base}/where/x"
    assert client.get("/slash").headers["location"] == f"{base}/slash/"
    assert client.post("/api/greetings", json={"text": "you"}).status_code == 201
    assert client.get("/openapi.json").json().get("servers", [{"url": ""}]) == [{"url": prefix}]
    assert f"'{prefix}/openapi.json'" in client.get("/docs").text
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize(("given", "expected"), [("", ""), ("/", ""), ("/billing", "/billing"), ("/a/b/", "/a/b")])
def test_a_prefix_is_written_in_one_way(given: str, expected: str) -> None:
    """A slash at the end makes no difference."""
    assert checked(given) == expected


@pytest.mark.parametrize("given", ["billing", "//billing", "/a//b", "/a?b", "/a b", "https://example.com/billing"])
def test_what_is_no_path_is_refused(given: str) -> None:
    """Neither a name nor an address is a path."""
    with pytest.raises(ValueError, match="must be a path such as /billing"):
        checked(given)
