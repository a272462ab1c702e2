"""``no502 doctor`` as its users call it: exit codes, formats, patch, baseline, explanations."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

import no502.doctor.run
from no502.cli import app
from no502.doctor.registry import rules
from no502.errors import UserError
from tests.support.corpus import CORPUS, NAMES, expected

_ERROR = CORPUS / "compose-port-mismatch"
_WARNING = CORPUS / "compose-grace"
_CLEAN = CORPUS / "compose-port-mismatch-fixed"
_LEFT = re.compile(r"^not in the patch: .*?: ([A-Z]\d{3}): ", re.MULTILINE)


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def doctor(*arguments: str | Path, cwd: Path = _CLEAN) -> Done:
    """Run the command to its end, in this process: starting Python for each case takes minutes on a busy machine."""
    with contextlib.chdir(cwd):
        try:
            done = CliRunner().invoke(app, ["doctor", *map(str, arguments)])
        except UserError as error:
            return Done(error.exit_code, "", str(error))
    if isinstance(done.exception, UserError):
        return Done(done.exception.exit_code, done.stdout, str(done.exception))
    return Done(done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("directory", "arguments", "code"),
    [
        (_CLEAN, [], 0),
        (_ERROR, [], 1),
        (_ERROR, ["--fail-on", "never"], 0),
        (_ERROR, ["--ignore", "A"], 0),
        (_ERROR, ["--select", "K,wrong-address"], 1),
        (_WARNING, [], 0),
        (_WARNING, ["--fail-on", "warning"], 1),
        (_CLEAN, ["--select", "K999"], 2),
        (_CLEAN, ["--front", "nimbus"], 2),
        (_CLEAN, ["--upstream", "http://127.0.0.1:1/"], 2),
        (_CLEAN, ["nothing-here.conf"], 2),
        (_CLEAN, ["--format", "xml"], 2),
        (_CLEAN, ["explain", "K999"], 2),
    ],
)
def test_exit_codes(directory: Path, arguments: list[str], code: int) -> None:
    """0 nothing, 1 findings, 2 the user's mistake; no traceback."""
    done = doctor(*arguments, cwd=directory)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert code != 2 or done.stderr


def test_nothing_to_read_is_no_clean_run(tmp_path: Path) -> None:
    """A directory without any file that doctor knows ends with 2: nothing was looked at."""
    done = doctor(tmp_path)
    assert done.returncode == 2
    assert "no file here that doctor reads" in done.stderr


def test_a_mistake_of_the_doctor_is_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says whose mistake it is."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(no502.doctor.run, "read_deployments", broken)
    done = doctor()
    assert done.returncode == 3
    assert "internal error of no502 doctor" in done.stderr


def test_the_program_itself_ends_with_the_code() -> None:
    """Once as a process, as users start it."""
    command = [sys.executable, "-m", "no502", "doctor"]
    done = subprocess.run([*command, "--front", "nimbus"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("no502: --front nimbus: give a number of seconds")


def test_the_last_line_counts() -> None:
    """Errors, warnings, what was not checked."""
    assert doctor(cwd=_ERROR).stdout.splitlines()[-1] == "1 error, 0 warnings, 0 not checked"


def test_paths_are_named_from_the_working_directory() -> None:
    """A directory as an argument, findings with its name in front, which --diff and annotations need."""
    done = doctor("compose-port-mismatch", "--format", "github", cwd=CORPUS)
    assert done.stdout.startswith(
        "::error file=compose-port-mismatch/nginx/default.conf,line=5,title=A101 wrong-address::"
    )


@pytest.mark.parametrize("name", [name for name in NAMES if expected(name).get("finding")])
def test_the_patch_leaves_nothing_of_what_it_fixes(name: str, tmp_path: Path) -> None:
    """``git apply`` takes it; afterwards only what it says that it leaves to a person is found, and nothing new."""
    copy = tmp_path / name
    shutil.copytree(CORPUS / name, copy)
    options = expected(name).get("options", [])
    done = doctor("--diff", *options, cwd=copy)
    if done.stdout:
        git = shutil.which("git") or "git"
        applied = subprocess.run(
            [git, "apply", "-"], cwd=copy, input=done.stdout, capture_output=True, text=True, check=False
        )
        assert applied.returncode == 0, applied.stderr + done.stdout
    report = json.loads(doctor("--format", "json", *options, cwd=copy).stdout)
    left = {finding["rule"] for finding in report["findings"]}
    before = {finding["rule"] for finding in expected(name)["finding"]}
    assert left == before & set(_LEFT.findall(done.stderr)), done.stdout


def test_a_baseline_lets_only_new_findings_through(tmp_path: Path) -> None:
    """Written once, then the same findings count no more; another one does."""
    copy = tmp_path / "d"
    shutil.copytree(_ERROR, copy)
    assert doctor("--write-baseline", "known.json", cwd=copy).returncode == 0
    done = doctor("--baseline", "known.json", cwd=copy)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "0 errors, 0 warnings, 0 not checked, 1 in the baseline"
    conf = copy / "nginx" / "default.conf"
    conf.write_text(conf.read_text().replace("api:8080", "api:8081"))
    assert doctor("--baseline", "known.json", cwd=copy).returncode == 1


def test_a_comment_in_a_file_suppresses(tmp_path: Path) -> None:
    """End to end, with the file that the readers name."""
    copy = tmp_path / "d"
    shutil.copytree(_ERROR, copy)
    conf = copy / "nginx" / "default.conf"
    line = "server api:8080 resolve;"
    conf.write_text(conf.read_text().replace(line, f"{line} # doctor: ignore[A101] a tunnel"))
    done = doctor(cwd=copy)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "0 errors, 0 warnings, 0 not checked, 1 suppressed"


def test_explain_and_rules() -> None:
    """By id and slug; the list has every rule."""
    assert doctor("explain", "K201").stdout == doctor("explain", "keepalive-shorter-than-proxy").stdout
    listed = doctor("rules").stdout
    assert all(f"  {rule}  " in listed for rule in rules())


def test_show_effective() -> None:
    """The value in force at one location, and where it is written."""
    done = doctor("--show", "effective", "--location", "/", cwd=CORPUS / "compose-sync-killed")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["proxy_read_timeout", "300", "s", "nginx/default.conf:18"] in rows


def test_a_configuration_file_in_the_directory(tmp_path: Path) -> None:
    """``doctor.toml`` beside the files; the command line wins."""
    copy = tmp_path / "d"
    shutil.copytree(_ERROR, copy)
    (copy / "doctor.toml").write_text('ignore = ["A101"]\n')
    assert doctor(cwd=copy).returncode == 0
    assert doctor("--ignore", "H", cwd=copy).returncode == 1
