"""The template from a git repository, as most people get it."""

import shutil
import subprocess
from pathlib import Path

from tests.support.commands import ROOT, clean_environment
from tests.support.template import bake, cookiecutter, files_in


def _git(directory: Path, *arguments: str) -> None:
    identity = {"GIT_CONFIG_GLOBAL": "/dev/null"}
    for role in ("AUTHOR", "COMMITTER"):
        identity |= {f"GIT_{role}_NAME": "test", f"GIT_{role}_EMAIL": "test@example.com"}
    environment = clean_environment(directory.parent / "home", **identity)
    command = ["git", *arguments]
    subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)


def test_a_clone_gives_the_same_service_as_the_checkout(tmp_path: Path) -> None:
    """Nothing that the template needs is hidden from git by an ignore rule, its own ``.gitignore`` included."""
    repository = tmp_path / "origin.git"
    repository.mkdir()
    for name in ("template", ".gitignore"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, repository / name)
    _git(repository, "init", "--quiet", "--initial-branch=main")
    _git(repository, "add", ".")
    _git(repository, "commit", "--quiet", "--message=template")
    out = tmp_path / "out"
    out.mkdir()
    clone = (f"file://{repository}", "--directory", "template")
    done = cookiecutter(tmp_path / "home", "--output-dir", out, template=clone)
    assert done.returncode == 0, done.stderr
    (project,) = out.iterdir()
    assert files_in(project) == files_in(bake(tmp_path / "direct"))
