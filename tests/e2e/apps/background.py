"""Work beside the requests: what the lifespan runs all the time, and what a request leaves behind.

``SERVICE`` chooses how the lifespan's service does each of its steps, three a second: always in a task that is younger
than the worker's readiness.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, Request, Response
from starlette.background import BackgroundTask

__all__ = ["REQUESTS", "SERVICES", "app"]

_STEP_SECONDS = 0.3
_WORK_SECONDS = 3.0


def _note(event: str) -> None:
    with Path("lifespan.log").open("a", encoding="ascii") as notes:
        notes.write(f"{event} {os.getpid()}\n")


async def _step() -> None:
    await asyncio.sleep(_STEP_SECONDS)
    _note("step")


# ------------------------------------------------------------------------------------------------ of the lifespan
async def _wait_for(stop: asyncio.Event) -> None:
    """Wait for the end with a timeout: a task of its own for each, on Python 3.11."""
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _STEP_SECONDS)
        _note("step")


async def _queue(stop: asyncio.Event) -> None:
    """Consume a queue that is always empty, and watch the end beside it."""
    queue: asyncio.Queue[None] = asyncio.Queue()
    while not stop.is_set():
        get, step = asyncio.create_task(queue.get()), asyncio.create_task(_step())
        await asyncio.wait({get, step}, return_when=asyncio.FIRST_COMPLETED)
        get.cancel()


async def _group(stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            await group.create_task(_step())


async def _anyio(stop: asyncio.Event) -> None:
    while not stop.is_set():
        async with anyio.create_task_group() as group:
            group.start_soon(_step)


async def _timer(stop: asyncio.Event) -> None:
    """Start a task in a callback that starts the next one, as schedulers do."""
    loop, tasks = asyncio.get_running_loop(), set()

    def fire() -> None:
        tasks.add(loop.create_task(_step()))
        if not stop.is_set():
            loop.call_later(_STEP_SECONDS / 2, fire)

    fire()
    await stop.wait()
    await asyncio.wait(tasks)


async def _thread(stop: asyncio.Event) -> None:
    """Run the steps for a thread, as message queues' clients do."""
    loop = asyncio.get_running_loop()

    def consume() -> None:
        while not stop.is_set():
            asyncio.run_coroutine_threadsafe(_step(), loop).result()

    thread = threading.Thread(target=consume, daemon=True)
    thread.start()
    await stop.wait()
    await asyncio.to_thread(thread.join)


async def _listener(stop: asyncio.Event) -> None:
    """Accept connections of its own: each is a task that ends with the client."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    while not stop.is_set():
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await _step()
        writer.close()
    server.close()


async def _factory(stop: asyncio.Event) -> None:
    """Create the tasks in a way of its own."""
    asyncio.get_running_loop().set_task_factory(lambda loop, coro, **rest: asyncio.Task(coro, loop=loop, **rest))
    await _queue(stop)


async def _eager(stop: asyncio.Event) -> None:
    """Start tasks at once, where Python can (3.12)."""
    if factory := getattr(asyncio, "eager_task_factory", None):
        asyncio.get_running_loop().set_task_factory(factory)
    await _queue(stop)


async def _none(stop: asyncio.Event) -> None:
    await stop.wait()


SERVICES: dict[str, Callable[[asyncio.Event], Awaitable[None]]] = {
    "wait_for": _wait_for,
    "queue": _queue,
    "group": _group,
    "anyio": _anyio,
    "timer": _timer,
    "thread": _thread,
    "listener": _listener,
    "factory": _factory,
    "eager": _eager,
}


async def _consume(jobs: asyncio.Queue[None]) -> None:
    while True:
        await jobs.get()
        await _work()
        jobs.task_done()


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
    stop, jobs = asyncio.Event(), asyncio.Queue[None]()
    async with asyncio.TaskGroup() as group:
        service = SERVICES.get(os.environ.get("SERVICE", ""), _none)(stop)
        running = [asyncio.ensure_future(service), asyncio.create_task(_consume(jobs))]
        yield {"group": group, "jobs": jobs, "loop": asyncio.get_running_loop()}
        await jobs.join()
        stop.set()
        running.pop().cancel()
        await asyncio.gather(*running)
    _note("shutdown")


app = FastAPI(lifespan=_lifespan)


@app.post("/")
def answer() -> dict[str, int]:
    """Say which process answers."""
    return {"pid": os.getpid()}


# -------------------------------------------------------------------------------------------------- of a request
async def _work() -> None:
    _note("begins")
    await asyncio.sleep(_WORK_SECONDS)
    _note("works")


def _work_in_thread() -> None:
    _note("begins")
    time.sleep(_WORK_SECONDS)
    _note("works")


_RUNNING: set[asyncio.Future[None]] = set()


def _start(work: Coroutine[Any, Any, None]) -> None:
    _RUNNING.add(asyncio.get_running_loop().create_task(work))


async def _chain() -> None:
    """Start what works when the response has long been sent."""
    await asyncio.sleep(0.5)
    _start(_work())


def _call_soon() -> None:
    asyncio.get_running_loop().call_soon(lambda: _start(_work()))


async def _with_timeout() -> None:
    await asyncio.wait_for(_work(), 60)


REQUESTS: dict[str, Callable[[Request], Response | None]] = {
    "async": lambda _: Response(background=BackgroundTask(_work)),
    "in-thread": lambda _: Response(background=BackgroundTask(_work_in_thread)),
    "task": lambda _: _start(_work()),
    "chain": lambda _: _start(_chain()),
    "wait_for": lambda _: _start(_with_timeout()),
    "to-thread": lambda _: _start(asyncio.to_thread(_work_in_thread)),
    "callback": lambda _: _call_soon(),
    "group": lambda request: _RUNNING.add(request.state.group.create_task(_work())),
    "jobs": lambda request: request.state.jobs.put_nowait(None),
}
"""How a request can start three seconds of work and be answered at once."""


@app.post("/work/{kind}")
async def work(kind: str, request: Request) -> Response:
    """Answer at once; work on for three seconds."""
    return REQUESTS[kind](request) or Response()


@app.post("/work-for-thread")
def work_for_thread(request: Request) -> None:
    """Answer at once, from a thread; have the event loop work on for three seconds."""
    asyncio.run_coroutine_threadsafe(_work(), request.state.loop)


@app.post("/thread")
def thread() -> dict[str, int]:
    """Answer from a thread, after three seconds."""
    _work_in_thread()
    return {"pid": os.getpid()}
