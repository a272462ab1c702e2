"""The model of recycling, by hand."""

from dataclasses import replace

import pytest
from _model import Fleet

_AFTER = Fleet(
    machines=2,
    workers=4,
    rate=800,
    max_requests=1000,
    boot_seconds=1.5,
    boot_cpu_seconds=0.5,
    in_flight=24,
    successor_first=False,
)
_FIRST = replace(_AFTER, successor_first=True)


def test_replacements_follow_the_requests() -> None:
    """800 requests a second make 0.8 replacements a second of 1,000 requests each, however many machines there are."""
    assert _AFTER.replacements_per_second == pytest.approx(0.8)
    assert replace(_AFTER, machines=8).replacements_per_second == pytest.approx(0.8)


def test_a_worker_serves_on_while_its_successor_boots() -> None:
    """Each of 8 workers gets 100 requests a second, so 150 more than its 1,000 until the successor is ready."""
    assert _FIRST.served == pytest.approx(1150)
    assert _FIRST.replacements_per_second == pytest.approx(800 / 1150)
    assert replace(_FIRST, rate=1_000_000).replacements_per_second == pytest.approx(8 / 1.5, rel=0.01)


def test_boots_until_a_number_of_requests() -> None:
    """The first successors are forked after 1,000 requests each, the next ones after as many as a worker serves."""
    assert [_AFTER.boots(8 * each) for each in (999, 1000, 1999, 2000)] == [0, 8, 8, 16]
    assert [_FIRST.boots(8 * each) for each in (999, 1000, 2149, 2150)] == [0, 8, 8, 16]


def test_cost_of_booting() -> None:
    """0.8 boots a second of 0.5 s each are 0.4 processors, 0.2 on each of two machines."""
    assert _AFTER.boot_processors == pytest.approx(0.2)


def test_missing_capacity() -> None:
    """Each machine lacks one of its 4 workers for 1.5 s, 0.4 times a second: 15 % of its capacity."""
    assert _AFTER.missing_capacity == pytest.approx(0.15)
    assert replace(_AFTER, workers=1, boot_seconds=10).missing_capacity == 1
    assert _FIRST.missing_capacity == 0


def test_losses_are_a_share_of_what_is_in_flight() -> None:
    """Of 24 requests in flight on 8 workers, the draining one takes 3: 2.4 a second at 0.8 replacements."""
    assert _AFTER.lost_per_replacement == pytest.approx(3)
    assert _AFTER.lost_per_second == pytest.approx(2.4)
    assert _FIRST.lost_per_second == 0
