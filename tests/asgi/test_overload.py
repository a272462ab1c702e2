"""The bound on requests in flight."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from no502.asgi import OverloadMiddleware
from tests.asgi.application import create_app

_LIMIT = 2
_START = {"type": "http.response.start", "status": 200, "headers": []}
_END = {"type": "http.response.body", "body": b"ok"}


class _Held:
    """An application whose requests wait until they are told to go on, and what its clients got."""

    def __init__(self, *, starts_first: bool = False, fails: bool = False) -> None:
        self.go = asyncio.Event()
        self.arrived = 0
        self.sent: list[Message] = []
        self._starts_first, self._fails = starts_first, fails
        self._middleware = OverloadMiddleware(self._app, limit=_LIMIT)
        self._tasks: list[asyncio.Task[None]] = []

    async def _app(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        self.arrived += 1
        if self._starts_first:
            await send(_START)
        await self.go.wait()
        if self._fails:
            raise LookupError
        if not self._starts_first:
            await send(_START)
        await send(_END)

    async def request(self, path: str = "/", kind: str = "http") -> asyncio.Task[None]:
        """Begin a request and return when it cannot go on by itself."""

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.sent.append(message)

        scope = {"type": kind, "method": "GET", "path": path, "headers": [], "state": {"request_id": "id-1"}}
        task = asyncio.create_task(self._middleware(scope, receive, send))
        self._tasks.append(task)
        for _ in range(10):
            await asyncio.sleep(0)
        return task

    async def end(self) -> list[BaseException | None]:
        """Let all of them go on, and return how each ended."""
        self.go.set()
        return await asyncio.gather(*self._tasks, return_exceptions=True)

    def statuses(self) -> list[int]:
        """Return the statuses that were sent so far."""
        return [message["status"] for message in self.sent if message["type"] == "http.response.start"]


def _run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def test_beyond_the_limit_503_at_once() -> None:
    """One more than the limit is refused with a problem, Retry-After and the request id; the others are served."""

    async def main() -> None:
        held = _Held()
        for _ in range(_LIMIT + 1):
            await held.request()
        assert held.arrived == _LIMIT
        assert held.statuses() == [503]
        headers = dict(held.sent[0]["headers"])
        assert headers[b"retry-after"] == b"1"
        assert headers[b"content-type"] == b"application/problem+json"
        problem = json.loads(held.sent[1]["body"])
        assert problem["status"] == 503
        assert problem["request_id"] == "id-1"
        assert await held.end() == [None] * (_LIMIT + 1)
        assert held.statuses() == [503, 200, 200]

    _run(main)


def test_a_place_becomes_free() -> None:
    """After the responses new requests are served."""

    async def main() -> None:
        held = _Held()
        for _ in range(_LIMIT):
            await held.request()
        await held.end()
        await held.request()
        assert held.statuses() == [200] * (_LIMIT + 1)

    _run(main)


def test_a_stream_takes_no_place_once_it_has_started() -> None:
    """Responses that have started, however long they go on, leave room for all others."""

    async def main() -> None:
        held = _Held(starts_first=True)
        for _ in range(3 * _LIMIT):
            await held.request()
        assert held.statuses() == [200] * (3 * _LIMIT)
        await held.end()

    _run(main)


def test_a_place_becomes_free_after_a_failure_and_after_a_cancellation() -> None:
    """A handler that raises, and one that is cancelled, give their places back, once each."""

    async def main() -> None:
        failing = _Held(fails=True)
        for _ in range(_LIMIT):
            await failing.request()
        assert [type(ended) for ended in await failing.end()] == [LookupError] * _LIMIT
        failing.go.clear()
        await failing.request()
        cancelled = await failing.request()
        cancelled.cancel()
        await asyncio.wait({cancelled})
        await failing.request()
        assert failing.arrived == 2 * _LIMIT + 1
        assert failing.statuses() == []
        await failing.request()
        assert failing.statuses() == [503]
        await failing.end()

    _run(main)


@pytest.mark.parametrize(
    ("path", "kind"), [("/health/live", "http"), ("/health/ready", "http"), ("/", "websocket"), ("/", "lifespan")]
)
def test_what_is_never_refused(path: str, kind: str) -> None:
    """Health checks and WebSockets pass at the limit, and take no place themselves."""

    async def main() -> None:
        held = _Held()
        for _ in range(_LIMIT + 1):
            await held.request(path, kind)
        for _ in range(_LIMIT):
            await held.request()
        await held.request(path, kind)
        assert held.arrived == 2 * _LIMIT + 2
        await held.request("/healthy")
        assert held.statuses() == [503]
        await held.end()

    _run(main)


def test_an_overload_is_two_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Its beginning and its end, with the number of refusals; not one line for each."""

    async def main() -> None:
        held = _Held()
        for _ in range(_LIMIT + 5):
            await held.request()
        await held.end()

    with caplog.at_level(logging.WARNING, logger="app.overload"):
        _run(main)
    lines = [(record.getMessage(), vars(record)["fields"]) for record in caplog.records]
    assert lines == [
        ("overload: requests are refused", {"in_flight": _LIMIT}),
        ("overload: over", {"refused": 5}),
    ]


def test_a_refusal_has_its_line_in_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """Through the whole application: the refused request has its id in the answer, and a line with status 503."""
    application: FastAPI = create_app(limit=1)

    @application.get("/nested")
    async def nested() -> dict[str, object]:
        # A request within a request: the only place is taken.
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/inner",
            "raw_path": b"/inner",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"x-request-id", b"inner-1")],
        }
        await application(scope, receive, send)
        return {"status": sent[0]["status"], "id": dict(sent[0]["headers"])[b"x-request-id"].decode()}

    with caplog.at_level(logging.INFO, logger="app.access"):
        answer = TestClient(application, base_url="http://localhost").get("/nested")
    assert answer.json() == {"status": 503, "id": "inner-1"}
    assert [vars(record)["fields"]["status"] for record in caplog.records if record.name == "app.access"] == [503, 200]
