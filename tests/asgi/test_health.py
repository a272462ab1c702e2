"""Liveness, startup and readiness."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from no502.asgi import Check, Health, HealthMiddleware, Outcome, Report
from tests.asgi import virtual_time


async def _good() -> None:
    """Find nothing wrong."""


async def _bad() -> None:
    msg = "password authentication failed for user x"
    raise ConnectionError(msg)


@pytest.mark.parametrize(("path", "status"), [("live", "alive"), ("startup", "started"), ("ready", "ready")])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_healthy_service_says_so(client: TestClient, method: str, path: str, status: str) -> None:
    """All three answer 200 to GET and HEAD, and no cache keeps it."""
    response = client.request(method, f"/health/{path}")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert method == "HEAD" or response.json()["status"] == status


def test_startup_is_503_before_the_lifespan_has_run() -> None:
    """A service that has not finished starting says so, while it is alive."""

    async def starting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            answers.append(await _status(middleware, "/health/startup"))
            answers.append(await _status(middleware, "/health/live"))
            await send({"type": "lifespan.startup.complete"})
            answers.append(await _status(middleware, "/health/startup"))
            await send({"type": "lifespan.shutdown.complete"})
        del receive

    answers: list[int] = []
    middleware = HealthMiddleware(starting, health=Health())

    async def nothing(*_: Any) -> Any:
        """Neither receive nor send."""

    virtual_time.run(middleware({"type": "lifespan"}, nothing, nothing))
    assert answers == [503, 200, 200]


def test_an_application_without_a_lifespan_has_started() -> None:
    """Django refuses the lifespan with an exception: it counts as started."""

    async def django(scope: Scope, _receive: Receive, _send: Send) -> None:
        assert scope["type"] == "lifespan"
        raise ValueError

    middleware = HealthMiddleware(django, health=Health())

    async def main() -> int:
        with pytest.raises(ValueError, match=r"^$"):
            await middleware({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
        return await _status(middleware, "/health/startup")

    assert virtual_time.run(main()) == 200


async def _status(app: ASGIApp, path: str, method: str = "GET") -> int:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    await app({"type": "http", "method": method, "path": path, "headers": []}, receive, send)
    status: int = sent[0]["status"]
    return status


def test_other_methods_are_refused(client: TestClient) -> None:
    """The endpoints can only be read."""
    response = client.post("/health/ready")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


def test_a_failed_critical_check_makes_the_service_not_ready(application: FastAPI, client: TestClient) -> None:
    """Readiness is 503 and no more; which check it was is told inside, and the exception's text nowhere."""
    application.state.health.add(Check(name="database", probe=_bad))
    application.state.health.add(Check(name="cache", probe=_good))
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable"}
    response = client.get("/health/checks")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "checks": {"database": "failed", "cache": "ok"}}
    assert client.get("/health/live").status_code == 200


def test_a_failed_informational_check_is_only_reported(application: FastAPI, client: TestClient) -> None:
    """Without a thing that is not critical the service is ready nevertheless."""
    application.state.health.add(Check(name="mail", probe=_bad, critical=False))
    assert client.get("/health/ready").status_code == 200
    assert client.get("/health/checks").json() == {"status": "ready", "checks": {"mail": "failed"}}


@pytest.mark.parametrize(("stopping", "status"), [(True, 503), (False, 200)])
def test_readiness_follows_the_instance_and_not_the_worker(
    application: FastAPI, *, stopping: bool, status: int
) -> None:
    """An instance that is stopping is not ready; one that only replaces this worker is."""

    async def behind_gunicorn(scope: Scope, receive: Receive, send: Send) -> None:
        handover = SimpleNamespace(draining=True, stopping=stopping)
        scope.setdefault("state", {})["handover"] = handover
        await application(scope, receive, send)

    response = TestClient(behind_gunicorn, base_url="http://localhost").get("/health/ready")
    assert response.status_code == status


def test_checks_run_side_by_side_each_with_its_own_time() -> None:
    """Three checks that hang cost as long as the longest of their timeouts, not the sum."""

    async def hang() -> None:
        await asyncio.sleep(3600)

    checks = [Check(name=str(number), probe=hang, timeout=number) for number in (1, 2, 2.5)]

    async def main() -> tuple[Report, float]:
        return await Health(checks).report(), asyncio.get_running_loop().time()

    report, took = virtual_time.run(main())
    assert took == 2.5
    assert report == Report(ready=False, outcomes=dict.fromkeys(["1", "2", "2.5"], Outcome.TIMEOUT))


def test_many_probers_cause_one_run_a_second() -> None:
    """Who asks while a run is under way, or within a second after it, gets its findings."""
    runs: list[float] = []

    async def probe() -> None:
        runs.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.5)

    async def main() -> None:
        health = Health([Check(name="x", probe=probe)])
        await asyncio.gather(*(health.report() for _ in range(50)))
        await asyncio.sleep(0.9)
        await health.report()
        await asyncio.sleep(0.2)
        await health.report()

    virtual_time.run(main())
    assert runs == pytest.approx([0, 1.6])


def test_a_prober_that_hangs_up_does_not_disturb_the_others() -> None:
    """A cancelled request leaves the shared run alone."""

    async def probe() -> None:
        await asyncio.sleep(0.5)

    async def main() -> Report:
        health = Health([Check(name="x", probe=probe)])
        first = asyncio.ensure_future(health.report())
        second = asyncio.ensure_future(health.report())
        await asyncio.sleep(0.1)
        first.cancel()
        return await second

    assert virtual_time.run(main()).ready


def test_an_outage_is_logged_when_it_begins_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the exception once, and the recovery once."""
    broken = True

    async def probe() -> None:
        if broken:
            await _bad()

    async def main() -> None:
        nonlocal broken
        health = Health([Check(name="database", probe=probe)], cache_seconds=0)
        for state in (True, True, True, False, False):
            broken = state
            await health.report()

    with caplog.at_level(logging.INFO, logger="app.health"):
        virtual_time.run(main())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "password authentication failed" in caplog.text
