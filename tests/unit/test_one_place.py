"""A new rung is one declaration in one file; everything that shows the ladder finds it there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from no502.messages.quoted import logs
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


def test_rules_take_log_lines_from_the_catalogue() -> None:
    """No rule of the doctor writes down what a program logs: ``quoted.logs`` reads it from the message's file."""
    rules = ROOT / "no502" / "doctor" / "rules"
    written = [
        f"{file.name}:{number}"
        for file in sorted(rules.glob("*.py"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"""(nginx|gunicorn|uvicorn) logs (\\?["'`]|$)""", line)
    ]
    assert written == []


def test_a_message_is_quoted_with_the_program_that_writes_it() -> None:
    """The text is the catalogue's, and a name that is none is an error."""
    assert logs("worker-timeout") == 'gunicorn logs "WORKER TIMEOUT (pid:N)"'
    with pytest.raises(LookupError, match="no such message"):
        logs("worker-timeot")


def test_the_template_computes_in_one_file() -> None:
    """Numbers of the template follow from its private variables: no other file of it does arithmetic."""
    tree = ROOT / "template" / "{{cookiecutter.__project_slug}}"
    computing = [
        file.relative_to(tree).as_posix()
        for file in sorted(tree.rglob("*"))
        if file.is_file() and re.search(r"\{\{[^}]*\| *int\b", file.read_text(encoding="utf-8", errors="replace"))
    ]
    assert computing == []
    assert "| int)" in (ROOT / "template" / "cookiecutter.json").read_text(encoding="utf-8")
