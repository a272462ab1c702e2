"""The request deadline."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio.to_thread
import pytest
from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from no502.asgi import OverloadMiddleware
from no502.asgi.deadline import DeadlineMiddleware, abandoned_threads, within
from tests.asgi import virtual_time

_DEADLINE = 10


async def _nothing_to_read() -> Message:
    return {"type": "http.disconnect"}


def _serve(
    handler: Callable[[Send], Any], *, seconds: float = _DEADLINE, slow_client: float = 0
) -> list[tuple[float, Message]]:
    """Serve one request, answered by a handler; return what was sent, and when."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await handler(send)

    return _serve_app(app, seconds=seconds, slow_client=slow_client)


def _serve_app(app: ASGIApp, *, seconds: float = _DEADLINE, slow_client: float = 0) -> list[tuple[float, Message]]:
    """Serve one request in virtual time; return what was sent, and when."""
    sent: list[tuple[float, Message]] = []

    async def collect(message: Message) -> None:
        sent.append((asyncio.get_running_loop().time(), message))
        await asyncio.sleep(slow_client)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    virtual_time.run(_call(DeadlineMiddleware(app, seconds=seconds), scope, collect))
    return sent


async def _call(app: ASGIApp, scope: Scope, send: Send) -> None:
    await app(scope, _nothing_to_read, send)


async def _respond(send: Send, *, status: int = 200, chunks: int = 1, pause: float = 0) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    for number in range(chunks):
        await asyncio.sleep(pause)
        await send({"type": "http.response.body", "body": b"x", "more_body": number < chunks - 1})


def _starts(sent: list[tuple[float, Message]]) -> list[tuple[float, int]]:
    return [(when, message["status"]) for when, message in sent if message["type"] == "http.response.start"]


def test_a_response_in_time_passes_unchanged() -> None:
    """A response that starts before the deadline is the handler's own."""

    async def handler(send: Send) -> None:
        await asyncio.sleep(9)
        await _respond(send)

    assert _starts(_serve(handler)) == [(9, 200)]


def test_a_late_handler_is_cancelled_and_the_client_gets_504(caplog: pytest.LogCaptureFixture) -> None:
    """At the deadline the client gets one 504, the handler a cancellation, the log a line."""
    cleaned: list[str] = []

    async def handler(send: Send) -> None:
        try:
            await asyncio.sleep(60)
            await _respond(send)
        except asyncio.CancelledError:
            cleaned.append("cancelled")
            raise

    with caplog.at_level(logging.WARNING, logger="app.deadline"):
        sent = _serve(handler)
    assert _starts(sent) == [(10, 504)]
    assert cleaned == ["cancelled"]
    assert [record.getMessage() for record in caplog.records] == ["request deadline passed"]


def test_a_stream_has_no_deadline_after_its_first_byte() -> None:
    """Once the response has started it may take as long as it likes."""

    async def handler(send: Send) -> None:
        await _respond(send, chunks=5, pause=8)

    sent = _serve(handler)
    assert _starts(sent) == [(0, 200)]
    assert sent[-1] == (40, {"type": "http.response.body", "body": b"x", "more_body": False})


@pytest.mark.parametrize("slow_client", [0, 1])
def test_the_504_and_the_clean_up_do_not_disturb_each_other(slow_client: float) -> None:
    """A handler that takes long to end after its cancellation neither delays the answer nor is cancelled twice."""
    ended: list[float] = []

    async def handler(_send: Send) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(7)
            ended.append(asyncio.get_running_loop().time())

    assert _starts(_serve(handler, slow_client=slow_client)) == [(10, 504)]
    assert ended == [17]


def test_an_error_in_the_clean_up_is_logged_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong after the 504 concerns the log only."""

    async def handler(_send: Send) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            msg = "clean-up"
            raise LookupError(msg)

    sent = _serve(handler)
    assert _starts(sent) == [(10, 504)]
    assert "the handler failed after its request had ended" in caplog.text


def test_an_error_in_time_goes_on_to_the_error_handling() -> None:
    """An exception before the deadline is not the deadline's business."""

    async def handler(_send: Send) -> None:
        await asyncio.sleep(1)
        msg = "handler"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="handler"):
        _serve(handler)


def test_cancelling_the_request_cancels_the_handler() -> None:
    """A server that cancels the request, as at the end of a drain, reaches the handler, and its clean-up runs."""
    ended: list[str] = []

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1)
            ended.append("clean")

    async def main() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}

        async def refuse(message: Message) -> None:
            raise AssertionError(message)

        request = asyncio.ensure_future(DeadlineMiddleware(app, seconds=_DEADLINE)(scope, _nothing_to_read, refuse))
        await asyncio.sleep(3)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    virtual_time.run(main())
    assert ended == ["clean"]


_moments = st.sampled_from([0.0, 1.0, 9.0, 9.999, 10.0, 10.001, 11.0, 60.0])


@given(
    before=_moments,
    pauses=st.lists(_moments, max_size=3),
    stubborn=st.booleans(),
    fails=st.booleans(),
    side_task=st.booleans(),
    deadline=st.sampled_from([0.5, 10.0, 10.001, 60.0]),
)
def test_there_is_exactly_one_answer_whatever_happens_when(
    *, before: float, pauses: list[float], stubborn: bool, fails: bool, side_task: bool, deadline: float
) -> None:
    """However the handler behaves, at whatever moment, the client gets one response: its own in time, or one 504.

    Stubborn handlers swallow the cancellation and answer nevertheless; a side task answers while the handler waits for
    it, as with middleware that uses task groups; start and deadline may fall on the same moment.
    """

    async def answer(send: Send) -> None:
        try:
            await asyncio.sleep(before)
        except asyncio.CancelledError:
            if not stubborn:
                raise
        if fails:
            raise LookupError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for pause in pauses:
            await asyncio.sleep(pause)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def handler(send: Send) -> None:
        await (asyncio.ensure_future(answer(send)) if side_task else answer(send))

    try:
        sent = _serve(handler, seconds=deadline)
    except LookupError:
        assert fails
        assert before <= deadline
        return
    kinds = [message["type"] for _, message in sent]
    assert kinds.count("http.response.start") == 1
    assert kinds[0] == "http.response.start"
    assert [message.get("more_body", False) for _, message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    [(when, status)] = _starts(sent)
    assert when <= deadline
    if status == 200:
        assert before <= deadline
        assert len(sent) == len(pauses) + 2
    else:
        assert status == 504
        assert when == deadline
        assert before >= deadline


def _application(seconds: float) -> FastAPI:
    app = FastAPI()
    app.add_middleware(DeadlineMiddleware, seconds=seconds)
    return app


def test_a_route_can_have_a_shorter_deadline() -> None:
    """``within`` shortens the deadline of one route; the answer names it."""
    app = _application(30)

    @app.get("/quick", dependencies=[within(0.05)])
    async def quick() -> None:
        await asyncio.sleep(20)

    response = TestClient(app).get("/quick")
    assert response.status_code == 504
    assert response.json()["detail"] == "No response within 0.05 s."


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_route_can_have_a_longer_deadline(kind: str) -> None:
    """``within`` lengthens it, for a sync handler too; other routes keep the service's."""
    app = _application(0.2)

    @app.get("/async", dependencies=[within(60)])
    async def slow() -> str:
        await asyncio.sleep(0.6)
        return "whole"

    @app.get("/sync", dependencies=[within(60)])
    def slow_sync() -> str:
        time.sleep(0.6)
        return "whole"

    @app.get("/other")
    async def other() -> None:
        await asyncio.sleep(20)

    client = TestClient(app)
    assert client.get(f"/{kind}").json() == "whole"
    assert client.get("/other").json()["detail"] == "No response within 0.2 s."


def test_a_longer_deadline_ends_too() -> None:
    """A lengthened deadline is still one; the answer names it."""
    app = _application(0.05)

    @app.get("/slow", dependencies=[within(0.2)])
    async def slow() -> None:
        await asyncio.sleep(20)

    assert TestClient(app).get("/slow").json()["detail"] == "No response within 0.2 s."


def test_a_routes_deadline_replaces_its_routers() -> None:
    """The innermost ``within`` decides, whichever is longer."""
    app = _application(30)
    router = APIRouter(dependencies=[within(0.05)])

    @router.get("/slow", dependencies=[within(20)])
    async def slow() -> str:
        await asyncio.sleep(0.3)
        return "whole"

    @router.get("/quick")
    async def quick() -> None:
        await asyncio.sleep(20)

    app.include_router(router)
    client = TestClient(app)
    assert client.get("/slow").json() == "whole"
    assert client.get("/quick").json()["detail"] == "No response within 0.05 s."


@pytest.mark.parametrize("seconds", [2, 100])
@pytest.mark.parametrize("too_late", [False, True])
def test_a_deadline_cannot_be_set_once_it_is_decided(
    *, too_late: bool, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a response that has started nor one that came too late is decided again."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(60 if too_late else 1)
            await send({"type": "http.response.start", "status": 200, "headers": []})
        finally:
            scope["state"]["deadline"].change(seconds)
            await asyncio.sleep(5)
        await send({"type": "http.response.body", "body": b"whole"})

    sent = _serve_app(app)
    assert [status for _, status in _starts(sent)] == [504 if too_late else 200]
    assert (sent[-1][1]["body"] == b"whole") is not too_late
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_within_refuses_what_is_no_time(seconds: float) -> None:
    """A route's deadline must be positive."""
    with pytest.raises(ValueError, match=rf"within\({seconds}\): must be more than 0 seconds"):
        within(seconds)


def test_a_sync_handler_gives_504_in_time_although_its_thread_runs_on() -> None:
    """The documented limit: the client has its answer, the thread ends when it ends."""
    app = _application(0.05)
    release, ended = threading.Event(), threading.Event()
    statuses: list[int] = []

    @app.get("/sync")
    def sync() -> None:
        release.wait(10)
        ended.set()

    async def main() -> None:
        answered = asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            else:
                answered.set()

        scope = {"type": "http", "method": "GET", "path": "/sync", "headers": [], "query_string": b""}
        request = asyncio.ensure_future(app(scope, _nothing_to_read, send))
        await asyncio.wait_for(answered.wait(), 5)
        assert not ended.is_set()
        release.set()
        await asyncio.wait_for(request, 5)

    asyncio.run(main())
    assert statuses == [504]
    assert ended.wait(5)


def test_a_websocket_has_no_deadline() -> None:
    """A WebSocket lives longer than the deadline."""
    app = _application(0.01)

    @app.websocket("/ws")
    async def echo(socket: WebSocket) -> None:
        await asyncio.sleep(0.05)
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    with TestClient(app).websocket_connect("/ws") as socket:
        socket.send_text("still here")
        assert socket.receive_text() == "still here"


def test_a_streaming_response_outlives_the_deadline() -> None:
    """The same through FastAPI: a stream that goes on after the deadline arrives whole."""
    app = _application(0.1)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first "
            await asyncio.sleep(0.3)
            yield b"last"

        return StreamingResponse(chunks())

    assert TestClient(app).get("/stream").text == "first last"


def _pass_on(app: FastAPI) -> None:
    """Put the middleware of ``@app.middleware("http")`` around what the application has: the routes get a task each."""

    @app.middleware("http")
    async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        return await call_next(request)


class _Handover:
    """What ``gunicorn_handover`` puts into the state."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def request_replacement(self, why: str) -> None:
        self.asked.append(why)


@pytest.mark.parametrize("behind", ["nothing", "inside", "outside"])
def test_hung_threads_keep_their_places(behind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A dependency that hangs behind sync handlers leads to 503, not to more and more threads, whatever is around.

    The worker asks to be replaced from the second abandoned thread on, which is the limit here.
    """
    app = FastAPI()
    if behind == "inside":
        _pass_on(app)
    app.add_middleware(DeadlineMiddleware, seconds=0.2, too_many_threads=2)
    if behind == "outside":
        _pass_on(app)
    app.add_middleware(OverloadMiddleware, limit=3)
    release, handover = threading.Event(), _Handover()

    @app.get("/hangs")
    def hangs() -> None:
        release.wait(30)

    statuses: list[int] = []
    all_late = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            if len(statuses) == 3:
                all_late.set()

    async def main() -> None:
        scope: Scope = {"type": "http", "method": "GET", "path": "/hangs", "headers": [], "query_string": b""}
        scope["state"] = {"handover": handover}
        before = threading.active_count()
        requests = [asyncio.create_task(app(_copied(scope), _nothing_to_read, send)) for _ in range(3)]
        await asyncio.wait_for(all_late.wait(), 10)
        assert statuses == [504, 504, 504]
        assert abandoned_threads() == 3
        for _ in range(20):
            await app(_copied(scope), _nothing_to_read, send)
        assert threading.active_count() <= before + 3
        release.set()
        await asyncio.wait_for(asyncio.gather(*requests), 10)
        assert abandoned_threads() == 0
        await app(_copied(scope), _nothing_to_read, send)

    with caplog.at_level(logging.WARNING, logger="app.deadline"):
        asyncio.run(main())
    assert statuses == [504] * 3 + [503] * 20 + [200]
    late = [vars(record)["fields"] for record in caplog.records if record.name == "app.deadline"]
    assert [fields["abandoned_threads"] for fields in late] == [1, 2, 3]
    assert [why.split()[0] for why in handover.asked] == ["2", "3"]


def _copied(scope: Scope) -> Scope:
    return {**scope, "state": dict(scope["state"])}


def test_a_request_that_waits_for_a_thread_is_no_abandoned_thread(caplog: pytest.LogCaptureFixture) -> None:
    """Where every thread of the pool hangs, the next requests are cancelled at their deadline."""
    app = FastAPI()
    app.add_middleware(DeadlineMiddleware, seconds=0.2)
    app.add_middleware(OverloadMiddleware, limit=3)
    release = threading.Event()

    @app.get("/hangs")
    def hangs() -> None:
        release.wait(30)

    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def main() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        scope = {"type": "http", "method": "GET", "path": "/hangs", "headers": [], "query_string": b"", "state": {}}
        first, *others = [asyncio.create_task(app(_copied(scope), _nothing_to_read, send)) for _ in range(3)]
        await asyncio.wait_for(asyncio.gather(*others), 10)
        assert abandoned_threads() == 1
        release.set()
        await asyncio.wait_for(first, 10)

    with caplog.at_level(logging.WARNING, logger="app.deadline"):
        asyncio.run(main())
    assert statuses == [504] * 3
    late = [vars(record)["fields"] for record in caplog.records if record.name == "app.deadline"]
    assert [fields.get("abandoned_threads") for fields in late] == [1, None, None]
