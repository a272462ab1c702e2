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

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

__all__ = ["Check", "Health", "Outcome", "Report", "router"]

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

    def __init__(self, checks: Sequence[Check], *, cache_seconds: float = 1.0) -> None:
        self.started = False
        """Whether the application has finished starting; its lifespan sets it."""
        self._checks = checks
        self._cache_seconds = cache_seconds
        self._flight: asyncio.Task[Report] | None = None
        self._landed = 0.0
        self._last: dict[str, Outcome] = {}

    async def report(self) -> Report:
        """Return the present findings, from the run that is under way or ended less than ``cache_seconds`` ago."""
        if self._flight is None or self._is_stale(self._flight):
            self._flight = asyncio.create_task(self._run())
        return await asyncio.shield(self._flight)  # a prober that hangs up must not cancel the others' run

    def _is_stale(self, flight: asyncio.Task[Report]) -> bool:
        return flight.done() and asyncio.get_running_loop().time() - self._landed >= self._cache_seconds

    async def _run(self) -> Report:
        found = await asyncio.gather(*(self._outcome(check) for check in self._checks))
        outcomes = {check.name: outcome for check, outcome in zip(self._checks, found, strict=True)}
        self._landed = asyncio.get_running_loop().time()
        ready = all(outcomes[check.name] is Outcome.OK for check in self._checks if check.critical)
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


router = APIRouter(prefix="/health", include_in_schema=False)
_METHODS = ["GET", "HEAD"]


def _answer(*, good: bool, status: str, **more: Any) -> Response:  # noqa: ANN401
    code = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse({"status": status, **more}, status_code=code, headers={"Cache-Control": "no-store"})


@router.api_route("/live", methods=_METHODS)
async def live() -> Response:
    """Answer without asking anything or anybody."""
    return _answer(good=True, status="alive")


@router.api_route("/startup", methods=_METHODS)
async def startup(request: Request) -> Response:
    """Answer 200 once the lifespan has run."""
    started: bool = request.app.state.health.started
    return _answer(good=started, status="started" if started else "starting")


@router.api_route("/ready", methods=_METHODS)
async def ready(request: Request) -> Response:
    """Answer 503 while the instance is stopping or a critical check fails.

    ``request.state.handover`` comes from gunicorn_handover; other servers, as in development, have none. A worker that
    is only being replaced leaves an instance that is ready.
    """
    handover = getattr(request.state, "handover", None)
    if handover is not None and handover.stopping:
        return _answer(good=False, status="stopping")
    report: Report = await request.app.state.health.report()
    return _answer(good=report.ready, status="ready" if report.ready else "unavailable")


@router.get("/checks")
async def checks(request: Request) -> Response:
    """Show what each check found. nginx does not pass this path on: it is for callers on this side of it."""
    report: Report = await request.app.state.health.report()
    return _answer(good=report.ready, status="ready" if report.ready else "unavailable", checks=dict(report.outcomes))
