"""``no502 adopt --write``: all files or none, below the directory, and only what is as it was read."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from no502.adopt.plan import make_plan
from no502.adopt.workspace import workspace
from no502.adopt.write import write
from no502.errors import UserError
from tests.adopt.support import adopt, digests, refusal


def git(project: Path, *arguments: str) -> None:
    """Run git in a project as an author of its own."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run([*command, "-C", str(project), *arguments], check=True, capture_output=True)


@pytest.fixture(name="committed")
def _committed(sample: Callable[[str], Path]) -> Path:
    """A sample that is committed to git."""
    project = sample("systemd")
    git(project, "init", "--quiet")
    git(project, "add", "-A")
    git(project, "commit", "--quiet", "-m", "all")
    return project


def test_committed_files_are_written(committed: Path) -> None:
    """A clean work tree gets the patch."""
    assert "written: 6 files" in adopt(committed, "--write")


def test_uncommitted_changes_are_kept(committed: Path) -> None:
    """A file of the patch with uncommitted changes stops everything; --allow-dirty goes on."""
    unit = committed / "deploy" / "shop.service"
    unit.write_text(unit.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    before = digests(committed)
    message = refusal(committed, "--write")
    assert "deploy/shop.service: it has uncommitted changes" in message
    assert digests(committed) == before
    assert "written: 6 files" in adopt(committed, "--write", "--allow-dirty")


def test_changes_elsewhere_do_not_matter(committed: Path) -> None:
    """A changed file that the patch leaves alone is no reason to stop."""
    (committed / "NOTES").write_text("mine\n", encoding="utf-8")
    assert "written: 6 files" in adopt(committed, "--write")


def test_programs_of_the_project_are_not_run(committed: Path) -> None:
    """git's own configuration in the project cannot start a program."""
    program = committed / "monitor"
    program.write_text(f"#!/bin/sh\ntouch {committed}/it-ran\n", encoding="utf-8")
    program.chmod(0o755)
    git(committed, "config", "core.fsmonitor", str(program))
    adopt(committed, "--write")
    assert not (committed / "it-ran").exists()


def test_read_only_file_is_one_line(sample: Callable[[str], Path]) -> None:
    """A file without write permission stops everything, with one line, for root as well."""
    project = sample("systemd")
    (project / "pyproject.toml").chmod(0o444)
    before = digests(project)
    assert refusal(project, "--write").splitlines() == ["nothing was written:", "  pyproject.toml: it is read-only"]
    assert digests(project) == before


def test_file_that_changes_meanwhile(sample: Callable[[str], Path]) -> None:
    """A file that is no longer what was read stops everything."""
    project = sample("systemd")
    with workspace(project) as space:
        make_plan(space)
        (project / "pyproject.toml").write_text("# another editor\n", encoding="utf-8")
        before = digests(project)
        with pytest.raises(UserError, match=r"pyproject\.toml: it has changed since it was read"):
            write(space)
    assert digests(project) == before


def test_file_that_appears_meanwhile(sample: Callable[[str], Path]) -> None:
    """A new file of the patch never replaces one that has come into being."""
    project = sample("systemd")
    with workspace(project) as space:
        make_plan(space)
        (project / "gunicorn_conf.py").write_text("mine = 1\n", encoding="utf-8")
        with pytest.raises(UserError, match=r"gunicorn_conf\.py: it has appeared"):
            write(space)
    assert (project / "gunicorn_conf.py").read_text(encoding="utf-8") == "mine = 1\n"


def test_links_that_lead_out_are_left_alone(sample: Callable[[str], Path], tmp_path: Path) -> None:
    """What a link leads to outside of the directory is neither read as part of the project nor written."""
    project = sample("systemd")
    outside = tmp_path / "outside"
    outside.mkdir()
    (project / "deploy" / "nginx" / "shop.conf").rename(outside / "shop.conf")
    (project / "deploy" / "nginx" / "shop.conf").symlink_to(outside / "shop.conf")
    (project / "deploy" / "more").symlink_to(outside)
    before = digests(outside)
    adopt(project, "--write")
    assert digests(outside) == before
    assert (project / "deploy" / "nginx" / "shop.conf").is_symlink()


def test_link_that_leads_out_in_place_of_a_copy(sample: Callable[[str], Path], tmp_path: Path) -> None:
    """A link in the place of a file of the patch is not written through."""
    project = sample("systemd")
    target = tmp_path / "target.py"
    target.write_text("theirs = 1\n", encoding="utf-8")
    (project / "gunicorn_handover.py").symlink_to(target)
    assert "gunicorn_handover.py" in refusal(project, "--write")
    assert target.read_text(encoding="utf-8") == "theirs = 1\n"


def test_links_inside_are_followed(sample: Callable[[str], Path]) -> None:
    """A link to another file of the project stays a link; the file that it means is changed."""
    project = sample("systemd")
    enabled = project / "deploy" / "enabled"
    enabled.mkdir()
    (enabled / "shop.service").symlink_to("../shop.service")
    adopt(project, "--write")
    assert (enabled / "shop.service").readlink() == Path("../shop.service")
    assert "gunicorn -c gunicorn_conf.py" in (project / "deploy" / "shop.service").read_text(encoding="utf-8")


def test_modes_and_line_ends_stay(sample: Callable[[str], Path]) -> None:
    """An executable script stays executable, and a file with CR LF keeps it on every line."""
    project = sample("entrypoint")
    requirements = project / "requirements" / "prod.txt"
    requirements.write_bytes(requirements.read_bytes().replace(b"\n", b"\r\n"))
    adopt(project, "--write")
    content = requirements.read_bytes()
    assert (project / "docker-entrypoint.sh").stat().st_mode & 0o777 == 0o755
    assert b"gunicorn>=22\r\n" in content
    assert content.count(b"\n") == content.count(b"\r\n")


def test_nothing_is_left_when_a_file_cannot_be_moved(
    sample: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the third file cannot be put in its place, the first two are what they were."""
    project = sample("systemd")
    replace, count = Path.replace, []

    def failing(self: Path, target: Path) -> Path:
        count.append(target)
        if len(count) == 3:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    before = digests(project)
    monkeypatch.setattr(Path, "replace", failing)
    message = refusal(project, "--write")
    assert "No space left on device" in message
    assert digests(project) == before
