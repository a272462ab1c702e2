"""The loss matrix: its bound, its choice of cells, its reports."""

import importlib
import sys
from pathlib import Path

import pytest

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch) -> object:
    """Return the module."""
    monkeypatch.syspath_prepend(str(_BENCHMARKS))
    sys.modules.pop("matrix", None)
    return importlib.import_module("matrix")


@pytest.mark.parametrize(
    ("lost", "total", "bound"),
    [(0, 3000, 0.000998), (0, 1, 0.95), (1, 100, 0.0466), (10, 100, 0.1637), (5, 5, 1.0), (0, 0, 1.0)],
)
def test_upper_bound_is_clopper_pearsons(matrix: object, lost: int, total: int, bound: float) -> None:
    """The one-sided bound at 95 %: three in n for none lost, the tabulated values otherwise."""
    assert matrix.upper_bound(lost, total) == pytest.approx(bound, rel=0.01)  # type: ignore[attr-defined]


def test_cells_are_chosen_by_their_parts(matrix: object) -> None:
    """Empty parts stand for everything; a cell that does not exist is refused."""
    assert matrix._chosen("uvicorn-w2/reload/post") == ["uvicorn-w2/reload/post"]  # type: ignore[attr-defined]
    assert len(matrix._chosen("/reload/")) == 36  # type: ignore[attr-defined]
    with pytest.raises(SystemExit, match="no such cell"):
        matrix._chosen("uvicorn-w2/max_memory/post")  # type: ignore[attr-defined]


def test_table_has_what_was_measured(matrix: object) -> None:
    """Lost of total with the bound, the slowest, and why a cell was not measured."""
    cells = {
        "handover-w2/reload/post": {
            "lost": 0,
            "total": 3000,
            "upper": 0.001,
            "slowest_seconds": 0.05,
            "gone_seconds": 1.2,
        },
        "granian-w2/reload/post": {"error": "granian is not installed"},
    }
    table = matrix._table(cells)  # type: ignore[attr-defined]
    assert "0 of 3,000 (< 0.1 %), slowest 0.05 s, old gone after 1.2 s" in table
    assert "not measured: granian is not installed" in table
