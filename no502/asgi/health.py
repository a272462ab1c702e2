# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""``/health/live``: the process answers. ``/health/startup``: it has started. ``/health/ready``: send it requests.

A failing dependency is a matter of readiness only: restarting this process would not repair it. The log and
``/health/checks`` say which one it is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Check", "Health", "HealthMiddleware", "Outcome", "Report"]

_logger = logging.getLogger("app.health")


class Outcome(StrEnum):
    """What one check found; why is in the log only."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that the service depends on."""

    name: str
    """How it is called in the answer and in the log."""
    probe: Callable[[], Awaitable[None]]
    """Raises when the thing does not work. Must be cancellable and cheap: it runs once a second."""
    timeout: float = 1.0
    """Seconds."""
    critical: bool = True
    """Whether the service is not ready without it; otherwise it is only reported."""


@dataclass(frozen=True)
class Report:
    """What all checks found."""

    ready: bool
    outcomes: Mapping[str, Outcome]


class Health:
    """Runs the checks side by side, at most once in ``cache_seconds`` however many ask."""

    def __init__(self, checks: Sequence[Check] = (), *, cache_seconds: float = 1.0) -> None:
        self.started = False
        """Whether the application has finished starting; ``HealthMiddleware`` sees it in the lifespan."""
        self._checks = list(checks)
        self._cache_seconds = cache_seconds
        self._flight: asyncio.Task[Report] | None = None
        self._landed = 0.0
        self._last: dict[str, Outcome] = {}

    def add(self, check: Check) -> None:
        """Add a check, such as one of a connection that the lifespan has opened."""
        self._checks.append(check)

    async def report(self) -> Report:
        """Return the present findings, from the run that is under way or ended less than ``cache_seconds`` ago."""
        if self._flight is None or self._is_stale(self._flight):
            self._flight = asyncio.create_task(self._run())
        return await asyncio.shield(self._flight)  # a prober that hangs up must not cancel the others' run

    def _is_stale(self, flight: asyncio.Task[Report]) -> bool:
        return flight.done() and asyncio.get_running_loop().time() - self._landed >= self._cache_seconds

    async def _run(self) -> Report:
        checks = tuple(self._checks)
        found = await asyncio.gather(*(self._outcome(check) for check in checks))
        outcomes = {check.name: outcome for check, outcome in zip(checks, found, strict=True)}
        self._landed = asyncio.get_running_loop().time()
        ready = all(outcomes[check.name] is Outcome.OK for check in checks if check.critical)
        return Report(ready, outcomes)

    async def _outcome(self, check: Check) -> Outcome:
        try:
            async with asyncio.timeout(check.timeout):
                await check.probe()
        except TimeoutError as error:
            return self._noted(check, Outcome.TIMEOUT, error)
        except Exception as error:  # noqa: BLE001  whatever a driver raises, the check has failed
            return self._noted(check, Outcome.FAILED, error)
        return self._noted(check, Outcome.OK, None)

    def _noted(self, check: Check, outcome: Outcome, error: Exception | None) -> Outcome:
        """Log a change, not every second of an outage."""
        if self._last.get(check.name, Outcome.OK) is not outcome:
            fields = {"check": check.name, "outcome": outcome.value, "critical": check.critical}
            level = logging.INFO if outcome is Outcome.OK else logging.WARNING
            _logger.log(level, "health check changed", exc_info=error, extra={"fields": fields})
        self._last[check.name] = outcome
        return outcome


class HealthMiddleware:
    """Pure ASGI middleware: answers ``/health/live``, ``/startup``, ``/ready`` and ``/checks`` before the application.

    Without a lifespan, as in Django, the application counts as started. ``/health/checks`` says what each check found;
    nginx does not pass it on: it is for callers on this side of it.

    Args:
        app: The application.
        health: Its checks, which others may read too.
    """

    def __init__(self, app: ASGIApp, *, health: Health) -> None:
        self._app = app
        self._health = health
        self._has_lifespan = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            self._has_lifespan = True
            try:
                await self._app(scope, receive, self._watched(send))
            except BaseException:
                self._has_lifespan = self._health.started  # Django's way to say that it has none
                raise
        elif scope["type"] == "http" and (answer := self._ANSWERS.get(scope["path"])):
            if scope["method"] in {"GET", "HEAD"}:
                response = await answer(self, scope)
            else:
                response = Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _watched(self, send: Send) -> Send:
        """See in the lifespan's messages when the application has started and when it stops."""

        async def watched(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._health.started = True
            elif message["type"].startswith("lifespan.shutdown."):
                self._health.started = False
            await send(message)

        return watched

    async def _live(self, scope: Scope) -> Response:
        """Answer without asking anything else."""
        del scope
        return _answer(good=True, status="alive")

    async def _startup(self, scope: Scope) -> Response:
        """Answer 200 once the lifespan has run."""
        del scope
        started = self._health.started or not self._has_lifespan
        return _answer(good=started, status="started" if started else "starting")

    async def _ready(self, scope: Scope) -> Response:
        """Answer 503 while the instance is stopping or a critical check fails.

        ``handover`` comes from gunicorn_handover; other servers, as in development, have none. A worker that is only
        being replaced leaves an instance that is ready.
        """
        handover = scope.get("state", {}).get("handover")
        if handover is not None and handover.stopping:
            return _answer(good=False, status="stopping")
        report = await self._health.report()
        return _answer(good=report.ready, status=_word(report))

    async def _checks(self, scope: Scope) -> Response:
        """Show what each check found."""
        del scope
        report = await self._health.report()
        return _answer(good=report.ready, status=_word(report), checks=dict(report.outcomes))

    _ANSWERS = {  # noqa: RUF012  never changed
        "/health/live": _live,
        "/health/startup": _startup,
        "/health/ready": _ready,
        "/health/checks": _checks,
    }


def _word(report: Report) -> str:
    return "ready" if report.ready else "unavailable"


def _answer(*, good: bool, status: str, **more: Any) -> Response:
    code = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse({"status": status, **more}, status_code=code, headers={"Cache-Control": "no-store"})
