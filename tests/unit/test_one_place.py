"""A new rung is one declaration in one file; everything that shows the ladder finds it there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT, clean_environment

_DUMMY = """    Rung(
        name="dummy_wait",
        symbol="dummy",
        variable="GUNICORN_DUMMY_WAIT",
        formula="T + 7",
        low=1,
        high=_DAY,
        group="request",
        enforced_by="the test",
        why="It shows how many files a new rung touches.",
        source="https://example.com/",
    ),
"""
_SCRIPT = "from no502.ladder.calculator import javascript; print(javascript())"


@pytest.fixture(name="checkout", scope="module")
def _checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with one more rung: ``gunicorn_conf.py`` is the only file that differs."""
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "no502", copy / "no502", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.glob("gunicorn_*.py"):
        shutil.copy(file, copy)
    conf = copy / "gunicorn_conf.py"
    text = conf.read_text(encoding="utf-8")
    declarations = "RUNGS: tuple[Rung, ...] = (\n"
    assert text.count(declarations) == 1
    conf.write_text(text.replace(declarations, declarations + _DUMMY), encoding="utf-8")
    return copy


def _run(checkout: Path, *arguments: str) -> str:
    environment = {**clean_environment(checkout / "home"), "PYTHONPATH": str(checkout)}
    environment |= {"GUNICORN_DUMMY_WAIT": "200"} if "--format" in arguments and "env" in arguments else {}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout / "home",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["-m", "no502", "explain"], "= T + 7"),
        (["-m", "no502", "explain", "--format", "json"], '"name": "dummy_wait"'),
        (["-m", "no502", "explain", "--format", "env"], "GUNICORN_DUMMY_WAIT=200"),
        (["-m", "no502", "explain", "--format", "svg"], "dummy_wait"),
        (["-c", _SCRIPT], '"formula": "T + 7"'),
    ],
    ids=["text", "json", "env", "svg", "calculator"],
)
def test_a_new_rung_is_shown_everywhere(checkout: Path, arguments: list[str], shown: str) -> None:
    """The text, JSON, ``.env`` lines, picture and calculator have the rung that was declared."""
    assert shown in _run(checkout, *arguments)
