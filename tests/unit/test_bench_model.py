"""The model of recycling, by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from _model import Fleet

_FLEET = Fleet(machines=2, workers=4, rate=800, max_requests=1000, boot_seconds=1.5, boot_cpu_seconds=0.5, in_flight=24)


def test_replacements_follow_the_requests() -> None:
    """800 requests a second make 0.8 replacements a second of 1,000 requests each, however many machines there are."""
    assert _FLEET.replacements_per_second == pytest.approx(0.8)
    assert replace(_FLEET, machines=8).replacements_per_second == pytest.approx(0.8)


def test_replacements_wait_for_the_boot() -> None:
    """A machine that boots for 1.5 s cannot replace more than two workers in 3 s, whatever the load."""
    assert replace(_FLEET, rate=100_000).replacements_per_second == pytest.approx(2 / 1.5)


def test_cost_of_booting() -> None:
    """0.8 boots a second of 0.5 s each are 0.4 processors, 0.2 on each of two machines."""
    assert _FLEET.boot_processors == pytest.approx(0.2)


def test_missing_capacity() -> None:
    """Each machine lacks one of its 4 workers for 1.5 s, 0.4 times a second: 15 % of its capacity."""
    assert _FLEET.missing_capacity == pytest.approx(0.15)
    assert replace(_FLEET, workers=1, boot_seconds=10).missing_capacity == 1


def test_losses_are_a_share_of_what_is_in_flight() -> None:
    """Of 24 requests in flight on 8 workers, the one that leaves takes 3: 2.4 a second at 0.8 replacements."""
    assert _FLEET.lost_per_replacement == pytest.approx(3)
    assert _FLEET.lost_per_second == pytest.approx(2.4)
