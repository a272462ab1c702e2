"""What the tests of ``no502 adopt`` do again and again."""

import hashlib
from pathlib import Path

from typer.testing import CliRunner, Result

from no502.cli import app
from no502.errors import UserError
from tests.support.directories import write_tree as write_files

__all__ = ["adopt", "digests", "refusal", "write_files"]


def adopt(project: Path, *arguments: str) -> str:
    """Run ``no502 adopt`` and return what it prints; a refusal is raised."""
    done = _run(project, *arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def refusal(project: Path, *arguments: str) -> str:
    """Run ``no502 adopt`` where it has to refuse; return its message."""
    done = _run(project, *arguments)
    assert isinstance(done.exception, UserError), done.output
    return str(done.exception)


def _run(project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["adopt", str(project), *arguments])


def digests(folder: Path) -> dict[str, str]:
    """Return every file below a folder with a digest of its content and its mode."""
    return {
        path.relative_to(folder).as_posix(): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mode:o}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts and "__pycache__" not in path.parts
    }
