"""The background worker: one job, again and again, in a process of its own without HTTP.

``python -m app.worker`` (``make worker``). Replace :func:`job`; the rest keeps its promises:

- A heartbeat file is rewritten every second while the event loop runs and the job is within its limit. The container's
  health check (ops/heartbeat.py) and systemd (WatchdogSec) judge by its age: a process that was killed, stopped or is
  blocked stops writing.
- An event loop that is blocked for ``stalled`` seconds ends the process with the traceback of every thread; Compose,
  systemd or Kubernetes starts it again. So blocking code belongs in ``await asyncio.to_thread(...)``, with a timeout of
  its own.
- SIGTERM between jobs ends the process at once; in a job, when that is done. At the ladder's drain timeout the job is
  cancelled, which leaves at least ten seconds until SIGKILL.
- A job that raises is logged, and the next one runs.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from app import asgi
{%- if cookiecutter.database == 'postgresql' %}
from app.database import Database
{%- endif %}
from app.settings import Settings, load
from gunicorn_conf import settings as ladder

__all__ = ["Worker", "job", "main"]

_logger = logging.getLogger("app.worker")
_BEAT = 1.0  # seconds
_TIDY = 3.0  # seconds that a cancelled job has for its own finally blocks

{% if cookiecutter.database == 'postgresql' %}
async def job(database: Database) -> None:
    """Do one piece of work: an example, replace it."""
    await database.ping()
{% else %}
async def job() -> None:
    """Do one piece of work: an example, replace it."""
    await asyncio.sleep(0.1)
{% endif %}

class Worker:
    """Runs a job every few seconds until SIGTERM.

    Args:
        job: What to run; never twice at the same time.
        every: Seconds between the end of one job and the begin of the next.
        limit: Seconds that a job may take before it is cancelled.
        drain: Seconds that a job may go on after SIGTERM before it is cancelled.
        stalled: Seconds without a heartbeat after which the process ends itself.
        heartbeat: The file for the health check.
    """

    def __init__(  # noqa: PLR0913
        self,
        job: Callable[[], Awaitable[None]],
        *,
        every: float,
        limit: float = ladder.drain_timeout,
        drain: float = ladder.drain_timeout,
        stalled: float = 60,
        heartbeat: Path | None = None,
    ) -> None:
        self._job = job
        self._every = every
        self._limit = limit
        self._drain = drain
        self._stalled = stalled
        self._heartbeat = heartbeat or Path(os.environ.get("WORKER_HEARTBEAT") or "/tmp/worker-heartbeat")  # noqa: S108
        self._stop = asyncio.Event()
        self._overdue = float("inf")
        self._finished = True

    async def run(self) -> bool:
        """Work until SIGTERM or SIGINT; return whether the job in hand was finished.

        Raises:
            OSError: The heartbeat cannot be written any more.
            SystemExit: It cannot be written at the start; the message says where.
        """
        faulthandler.enable()  # SIGABRT, which systemd's watchdog sends, shows where it was
        try:
            self._beat()
        except OSError as error:
            sys.exit(f"worker: heartbeat {self._heartbeat}: {error.strerror}; WORKER_HEARTBEAT names another file")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        beats, work = asyncio.create_task(self._beats()), asyncio.create_task(self._work())
        _notify("READY=1")
        _logger.info("worker started")
        try:
            await asyncio.wait({beats, work}, return_when=asyncio.FIRST_COMPLETED)
            if beats.done():
                beats.result()
            await work
        finally:
            beats.cancel()
            work.cancel()
            faulthandler.cancel_dump_traceback_later()
        _logger.info("worker stopped", extra={"fields": {"finished": self._finished}})
        return self._finished

    async def _work(self) -> None:
        while not self._stop.is_set():
            await self._one()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._every)
        _notify("STOPPING=1")

    async def _one(self) -> None:
        """Run the job once, within its limit and, after SIGTERM, within the drain."""
        began = time.monotonic()
        self._overdue = began + self._limit + 2 * _TIDY
        task = asyncio.ensure_future(self._job())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, timeout=self._limit, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and stop.done():
            left = min(self._drain, began + self._limit - time.monotonic())
            _logger.info("finishing the job in hand", extra={"fields": {"seconds_left": round(left, 1)}})
            await asyncio.wait({task}, timeout=left)
        stop.cancel()
        cancelled = task.cancelled() or not task.done()
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_TIDY)
        fields = {"seconds": round(time.monotonic() - began, 3)}
        self._finished = not cancelled
        if cancelled:
            _logger.error("job cancelled", extra={"fields": fields})
            if not task.done() and not self._stop.is_set():
                await task  # it refuses to end: without heartbeats the process is replaced
        elif error := task.exception():
            _logger.error("job failed", exc_info=error, extra={"fields": fields})
        else:
            _logger.info("job done", extra={"fields": fields})
        self._overdue = float("inf")

    async def _beats(self) -> None:
        while True:
            if time.monotonic() < self._overdue:
                self._beat()
            await asyncio.sleep(_BEAT)

    def _beat(self) -> None:
        new = self._heartbeat.with_suffix(".new")
        new.write_text(f"{time.monotonic()}\n", encoding="ascii")
        new.replace(self._heartbeat)
        faulthandler.dump_traceback_later(self._stalled, exit=True)
        _notify("WATCHDOG=1")


def _notify(state: str) -> None:
    """Tell systemd, where it has started the process. https://www.freedesktop.org/software/systemd/man/sd_notify.html."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client, suppress(OSError):
            client.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            client.send(state.encode())


async def _run(settings: Settings) -> None:
    """Open what the job needs, and work. Exit code 1: a job was given up."""
{%- if cookiecutter.database == 'postgresql' %}
    async with Database(settings, ladder) as database:
        finished = await Worker(lambda: job(database), every=settings.worker_interval).run()
{%- else %}
    finished = await Worker(job, every=settings.worker_interval).run()
{%- endif %}
    if not finished:
        logging.shutdown()
        os._exit(1)  # a thread that the job has left behind would keep the process


def main() -> None:
    """Run the worker with the settings of the environment."""
    settings = load()
    asgi.configure(settings.log_level, settings.log_format)
    asyncio.run(_run(settings))


if __name__ == "__main__":
    main()
