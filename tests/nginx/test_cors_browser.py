"""What a page of another origin sees of nginx's own errors, in a real browser."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nginx.proxy import ProxyFactory
from tests.support.backend import Backend, Request, response
from tests.support.browser import Tab
from tests.support.front_end import front_end

_SCRIPT = """
const api = {api!r}, seen = {{}};
async function ask(path, init) {{
    try {{
        const answer = await fetch(api + path, {{credentials: "include", ...init}});
        const type = (answer.headers.get("Content-Type") || "").split(";")[0];
        const problem = type === "application/problem+json" ? (await answer.json()) : {{}};
        return {{
            status: answer.status,
            problem: problem.status || 0,
            sameId: Boolean(problem.request_id) && problem.request_id === answer.headers.get("X-Request-ID"),
            retryAfter: answer.headers.get("Retry-After"),
        }};
    }} catch (error) {{
        return {{status: String(error)}};
    }}
}}
seen.login = await ask("/login");
seen.mine = await ask("/mine");
seen.changed = await ask("/mine", {{method: "PUT", headers: {{"Content-Type": "application/json"}}, body: "{{}}"}});
seen[413] = await ask("/mine", {{method: "POST", body: "x".repeat(3 << 20)}});
seen[502] = await ask("/broken");
let ended = false;
const silent = ask("/silent").then(answer => {{ ended = true; return answer; }});
let busy;
do busy = await ask("/mine"); while (busy.status === 200 && !ended);
seen[503] = busy;
seen[504] = await silent;
return seen;
"""


@pytest.fixture(name="origin")
def _origin() -> Iterator[str]:
    """The origin of a page on a port of its own."""
    with front_end() as origin:
        yield origin


class _Api:
    """An application that allows one origin, and breaks where it is asked to."""

    def __init__(self, origin: str) -> None:
        self.end = threading.Event()
        self._headers = (
            f"Access-Control-Allow-Origin: {origin}",
            "Access-Control-Allow-Credentials: true",
            "Access-Control-Allow-Methods: PUT",
            "Access-Control-Allow-Headers: content-type",
            "Vary: Origin",
        )

    def __call__(self, request: Request, _connection: socket.socket) -> bytes | None:
        """Answer one request."""
        if request.method == "OPTIONS":
            return response("204 No Content", b"", *self._headers)
        if request.target == "/broken":
            return None
        if request.target == "/silent":
            self.end.wait(60)
            return None
        if request.target == "/login":
            return response("200 OK", b"", *self._headers, "Set-Cookie: session=1; Path=/; HttpOnly; SameSite=Lax")
        status = "200 OK" if "session=1" in request.all("cookie") else "401 Unauthorized"
        return response(status, b"", *self._headers)


def _seen(start: ProxyFactory, origin: str, origins: str, profile: Path) -> dict[str, dict[str, Any]]:
    """Return what the page sees of each request."""
    api = _Api(origin)
    with Backend(api) as backend:
        proxy = start(
            backend.upstream,
            NGINX_SERVER_NAME="127.0.0.1",
            NGINX_CORS_ORIGINS=origins,
            NGINX_REQUESTS_IN_FLIGHT="1",
            PROXY_READ_TIMEOUT="3",
        )
        with Tab(f"{origin}/", profile=profile) as tab:
            seen: dict[str, dict[str, Any]] = tab.run(_SCRIPT.format(api=f"http://127.0.0.1:{proxy.port}"))
        api.end.set()
    return seen


def test_a_page_of_another_origin_sees_the_status_of_every_error(
    start: ProxyFactory, origin: str, tmp_path: Path
) -> None:
    """With credentials: nginx's own 413, 502, 503 and 504 are statuses with a problem, a request id and Retry-After."""
    seen = _seen(start, origin, f"https://other.example,{origin}", tmp_path / "chromium")
    own = ("login", "mine", "changed")
    assert {name: seen[name]["status"] for name in own} == dict.fromkeys(own, 200)
    for status in (413, 502, 503, 504):
        answer = seen[str(status)]
        assert answer["status"] == status, seen
        assert answer["problem"] == status, seen
        assert answer["sameId"], seen
    assert seen["503"]["retryAfter"], seen
    assert seen["413"]["retryAfter"] is None


def test_a_page_of_an_origin_that_is_not_listed_sees_failed_to_fetch(
    start: ProxyFactory, origin: str, tmp_path: Path
) -> None:
    """nginx's errors are hidden from it by the browser, although the application allows it."""
    seen = _seen(start, origin, "https://other.example", tmp_path / "chromium")
    assert seen["mine"]["status"] == 200
    assert {seen[status]["status"] for status in ("413", "502", "503", "504")} == {"TypeError: Failed to fetch"}
