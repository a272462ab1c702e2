"""Edits become one patch that the patch program takes, and that leaves everything else as it was."""

import shutil
import subprocess
from pathlib import Path

import pytest

from no502.doctor.finding import Edit, Finding, Severity
from no502.doctor.model import Origin
from no502.doctor.patch import Patch, make_patch


def finding(*edits: Edit) -> Finding:
    """Return a finding with edits."""
    return Finding(rule="K201", severity=Severity.ERROR, message="m", where=Origin(file="a", line=1), edits=edits)


def patched(tmp_path: Path, texts: dict[str, str], *findings: Finding) -> tuple[Patch, dict[str, str]]:
    """Write the files, apply the patch with ``patch -p1`` and return it with what the files hold then."""
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    patch = make_patch(findings, texts.get)
    if patch.text:
        done = subprocess.run(
            [shutil.which("git") or "git", "apply", "-p1", "-"],
            cwd=tmp_path,
            input=patch.text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return patch, {name: (tmp_path / name).read_bytes().decode("utf-8", "surrogateescape") for name in texts}


def test_a_number_on_its_line(tmp_path: Path) -> None:
    """Only the number changes; comments, odd bytes and a missing last line end stay."""
    text = "workers = 4\nkeepalive = 2  # \udce9t\udce9\ntimeout = 30"
    edit = Edit(file="g.py", line=2, substitutions=((r"(\bkeepalive\s*=\s*)\d+", r"\g<1>75"),))
    patch, after = patched(tmp_path, {"g.py": text}, finding(edit))
    assert after["g.py"] == text.replace("= 2", "= 75")
    assert len(patch.fixed) == 1


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_line_at_the_end(tmp_path: Path, end: str) -> None:
    """With and without a line end there."""
    patch, after = patched(tmp_path, {"g.py": f"x = 1{end}"}, finding(Edit(file="g.py", line=None, insert="y = 2")))
    assert after["g.py"] == f"x = 1\ny = 2{end}"
    assert patch.left == []


def test_a_name_that_is_set_already_is_left_to_a_person(tmp_path: Path) -> None:
    """It stands in a condition that only running it would decide."""
    text = "if x:\n    y = 1\n"
    patch, after = patched(tmp_path, {"g.py": text}, finding(Edit(file="g.py", line=None, insert="y = 2")))
    assert after["g.py"] == text
    assert patch.text == ""
    assert len(patch.left) == 1


def test_several_findings_in_one_file(tmp_path: Path) -> None:
    """Line numbers are those of the file before the first edit."""
    text = "a:\n  b: 1\n  c: 2\nd: 3\n"
    first = finding(Edit(file="y", line=1, insert="{indent}{step}new: 0"))
    second = finding(Edit(file="y", line=4, substitutions=((r"\d", "4"),)))
    patch, after = patched(tmp_path, {"y": text}, first, second)
    assert after["y"] == "a:\n  new: 0\n  b: 1\n  c: 2\nd: 4\n"
    assert len(patch.fixed) == 2


def test_a_command_over_several_lines(tmp_path: Path) -> None:
    """The option goes behind the program's name, wherever the command goes on."""
    text = 'command:\n  - gunicorn\n  - app:app\nCMD ["gunicorn", "app:app"]\n'
    rules = (
        (r"([\"'])gunicorn\1,", r'\1gunicorn\1, "--keep-alive", "75",'),
        (r"^(\s*- )gunicorn\s*$", r'\g<1>gunicorn\n\g<1>--keep-alive\n\g<1>"75"'),
    )
    edits = [Edit(file="y", line=line, substitutions=rules, within=3) for line in (1, 4)]
    _patch, after = patched(tmp_path, {"y": text}, *map(finding, edits))
    assert after["y"] == (
        'command:\n  - gunicorn\n  - --keep-alive\n  - "75"\n  - app:app\n'
        'CMD ["gunicorn", "--keep-alive", "75", "app:app"]\n'
    )


def test_all_edits_of_a_finding_or_none(tmp_path: Path) -> None:
    """One that does not fit takes the others with it."""
    good = Edit(file="y", line=1, substitutions=(("a", "b"),))
    bad = Edit(file="y", line=2, substitutions=(("never", ""),))
    patch, after = patched(tmp_path, {"y": "a\nb\n"}, finding(good, bad))
    assert patch.text == ""
    assert after["y"] == "a\nb\n"
    assert len(patch.left) == 1
