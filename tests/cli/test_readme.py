"""The README says what the code does."""

import re
from pathlib import Path

import pytest
import typer.main

from no502.cli import app
from no502.ladder.rungs import RUNGS
from tests.support.commands import ROOT, clean_environment, no502

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


def test_ladder_table_has_every_rung_but_the_workers() -> None:
    """The README's ladder, which ``make docs`` writes, has a row for each rung; the workers depend on the machine."""
    table = README.split("<!-- ladder:")[1].split("<!-- end of ladder -->")[0].splitlines()
    rows = [line.split("|")[1].split()[0] for line in table if line.startswith("| ")][1:]
    assert rows == [rung.name for rung in RUNGS if rung.name != "workers"]


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("$ no502")])
def test_no502_commands_exist(command: str) -> None:
    """Each no502 command line in the README names a command and options that exist."""
    words = command.split()[2:]
    group = typer.main.get_command(app)
    known = group.commands  # type: ignore[attr-defined]
    assert words[0] in known
    options = {option for parameter in known[words[0]].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("$ make")])
def test_make_targets_exist(command: str) -> None:
    """Each make target in the README is one of the Makefile's."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{command.split()[2]}:", makefile, re.MULTILINE)


def test_readme_shows_commands_at_all() -> None:
    """The two tests above have something to look at."""
    assert {"$ make demo", "$ make test", "$ no502 new"} <= set(COMMANDS)


def test_the_finding_shown_is_the_one_printed(tmp_path: Path) -> None:
    """The finding in the README is, line by line, what its command prints."""
    (shown,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    environment = {**clean_environment(tmp_path), "COLUMNS": "112"}
    done = no502("doctor", "docs/examples/mismatch", cwd=ROOT, env=environment)
    assert shown in done.stdout


def test_nginx_command_works_in_a_project_that_has_nothing_yet(tmp_path: Path) -> None:
    """The line that writes nginx's files needs no directory to exist."""
    (line,) = [line for line in COMMANDS if line.startswith("$ no502 nginx ")]
    project = tmp_path / "project"
    project.mkdir()
    done = no502(*line.split()[2:], cwd=project, env=clean_environment(tmp_path / "home"))
    assert done.returncode == 0, done.stderr


def test_links_inside_the_repository_lead_somewhere() -> None:
    """Every relative link of the README is a file."""
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
