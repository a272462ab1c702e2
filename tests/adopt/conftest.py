"""Copies of the sample projects, each in a directory of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parent / "samples"


@pytest.fixture(name="sample")
def _sample(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that gives a copy of a sample project."""

    def copy(name: str) -> Path:
        project = tmp_path / name
        shutil.copytree(SAMPLES / name, project, ignore=shutil.ignore_patterns("__pycache__"))
        return project

    return copy
