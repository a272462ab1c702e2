"""Which tasks descend from a request: the real marks, on the running Python, without a server."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gunicorn_handover import _Requests

_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


async def _no_message() -> dict[str, Any]:
    return {}


async def _nothing(message: dict[str, Any]) -> None: ...


async def _names(kind: str, seconds: float = 60.0) -> set[str]:
    """Return the names of the tasks that a drain waits for, after an application of that kind has started one."""

    async def app(scope: dict[str, Any], receive: _Receive, send: _Send) -> None:  # noqa: ARG001
        started.append(asyncio.create_task(asyncio.sleep(60), name="child"))

    started: list[asyncio.Task[None]] = []
    requests = _Requests(app, seconds)
    await asyncio.create_task(requests({"type": kind}, _no_message, _nothing), name="call")
    found = {task.get_name() for task in requests.tasks()}
    started[0].cancel()
    return found


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_task_of_a_request_is_waited_for(kind: str) -> None:
    """What a request or a WebSocket has started is its own."""
    assert asyncio.run(_names(kind)) == {"child"}


def test_task_of_the_lifespan_is_not_waited_for() -> None:
    """What the lifespan has started is a service."""
    assert asyncio.run(_names("lifespan")) == set()


def test_task_that_has_outlived_its_request_is_a_service() -> None:
    """After the seconds that a drain may take, the task of a request that is over is not waited for."""
    assert asyncio.run(_names("http", seconds=0.0)) == set()


def test_task_of_a_request_in_progress_is_waited_for_however_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The helpers of a WebSocket that has been open for an hour are its own as long as it is open."""

    async def found() -> set[str]:
        async def app(scope: dict[str, Any], receive: _Receive, send: _Send) -> None:  # noqa: ARG001
            async with asyncio.TaskGroup() as group:
                helper = group.create_task(asyncio.sleep(60), name="helper")
                await asyncio.sleep(0)
                monkeypatch.setattr(time, "monotonic", lambda: later)
                names.update(task.get_name() for task in requests.tasks())
                monkeypatch.undo()
                helper.cancel()

        names: set[str] = set()
        later = time.monotonic() + 3600
        requests = _Requests(app, 60.0)
        await asyncio.create_task(requests({"type": "websocket"}, _no_message, _nothing), name="call")
        return names

    assert asyncio.run(found()) == {"call", "helper"}


def test_callback_of_another_context_does_not_make_a_task_a_requests() -> None:
    """A request that awaits a task of the lifespan leaves its context in a callback of that task only."""

    async def found() -> set[str]:
        service = asyncio.create_task(asyncio.sleep(60), name="service")

        async def app(scope: dict[str, Any], receive: _Receive, send: _Send) -> None:  # noqa: ARG001
            await asyncio.shield(service)

        requests = _Requests(app, 60.0)
        call = asyncio.create_task(requests({"type": "http"}, _no_message, _nothing), name="call")
        await asyncio.sleep(0)
        names = {task.get_name() for task in requests.tasks()}
        call.cancel()
        service.cancel()
        return names

    assert asyncio.run(found()) == {"call"}
