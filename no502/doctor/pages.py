"""The page of each rule: Markdown that ``explain`` prints and whose examples the tests run."""

from __future__ import annotations

from pathlib import Path

from no502.data import data_path
from no502.doctor.registry import Rule

__all__ = ["page", "pages_directory"]


def pages_directory() -> Path:
    """Return the directory of the pages: in the package, or ``docs/doctor`` of a checkout.

    Raises:
        FileNotFoundError: Neither is there: the installation is damaged.
    """
    checkout = Path(__file__).resolve().parents[2] / "docs" / "doctor"
    return checkout if checkout.is_dir() else data_path("doctor")


def page(rule: Rule) -> str:
    """Return the page of a rule."""
    return (pages_directory() / f"{rule.id}.md").read_text(encoding="utf-8")
