"""When a worker has outgrown its memory: growth over time and requests, by a clock that no machine can slow down."""

from collections.abc import Callable

import pytest

from gunicorn_handover import _Memory

_MIB = 2**20
_BOOTED, _LIMIT = 70 * _MIB, 160 * _MIB

Level = Callable[[float], tuple[float, float]]
"""What a worker uses, in MiB, and how many requests it has completed, after so many seconds."""


def _outgrown_after(level: Level, *, seconds: float, memory: _Memory | None = None) -> float | None:
    """Return the seconds until a worker is due, looked at ten times a second; None: it is left alone."""
    memory = memory or _Memory(_LIMIT, _BOOTED, workers=1)
    for tick in range(int(seconds * 10)):
        now = tick / 10
        used, requests = level(now)
        if memory.outgrown(now, int(used * _MIB), int(requests)):
            return now
    return None


def _steps(*steps: tuple[float, float]) -> Level:
    """Return a level that jumps at some times, under ten requests a second."""

    def level(now: float) -> tuple[float, float]:
        return 70 + sum(mib for at, mib in steps if now >= at), now * 10

    return level


def test_slow_leak() -> None:
    """A worker that grows by a MiB in ten seconds is due as soon as it passes the bound."""
    assert _outgrown_after(lambda now: (70 + now / 10, now * 50), seconds=2000) == pytest.approx(900, abs=2)


def test_fast_leak() -> None:
    """A worker that grows by a MiB with each of 25 requests a second is due within a second."""
    assert _outgrown_after(lambda now: (70 + now * 25, now * 25), seconds=60) == pytest.approx(4.7, abs=0.1)


@pytest.mark.parametrize("seconds", [0.1, 3, 30])
@pytest.mark.parametrize("mib", [100, 1000])
def test_model_that_is_loaded_at_the_first_request(mib: int, seconds: float) -> None:
    """However large it is and however long it takes: a worker that stops growing stays."""

    def level(now: float) -> tuple[float, float]:
        return 70 + mib * min(1.0, now / seconds), now if now < seconds else now * 50

    assert _outgrown_after(level, seconds=3600) is None


def test_models_that_are_loaded_one_after_the_other() -> None:
    """A worker that loads more later stays as long as a replacement fits beside it."""
    assert _outgrown_after(_steps((10, 80), (100, 12), (200, 20)), seconds=3600) is None


def test_requests_that_leak_much_each() -> None:
    """Steps that never end are a leak: the worker is due when its replacement would soon not fit."""
    steps = [(100.0 * number, 20.0) for number in range(1, 50)]
    assert _outgrown_after(_steps(*steps), seconds=5000) == pytest.approx(800, abs=10)


def test_leak_after_a_model() -> None:
    """A worker that was left alone is due when it has grown by a quarter since."""

    def level(now: float) -> tuple[float, float]:
        return 70 + (200 if now >= 5 else 0) + now / 10, now * 50

    assert _outgrown_after(level, seconds=5000) == pytest.approx((270 * 1.25 - 270) * 10, abs=15)


def test_peak() -> None:
    """A worker that gives its memory back stays."""
    assert _outgrown_after(_steps((10, 300), (11, -300), (20, 300), (21.5, -300)), seconds=600) is None


def test_warm_up_just_below_the_bound() -> None:
    """A young worker that passes the bound by what its first requests import stays."""
    memory = _Memory(_LIMIT, 155 * _MIB, workers=1)
    assert _outgrown_after(lambda now: (155 + min(10.0, now), now * 50), seconds=3600, memory=memory) is None
    assert memory.settled is not None


def test_worker_below_the_bound_is_not_watched() -> None:
    """A worker that has loaded its model within the bound is neither due nor mentioned."""
    memory = _Memory(_LIMIT, _BOOTED, workers=1)
    assert _outgrown_after(_steps((10, 80)), seconds=600, memory=memory) is None
    assert memory.settled is None
