"""Write the patch: all of its files or none, and only what is still as it was read."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from no502.adopt.workspace import Workspace
from no502.errors import UserError

__all__ = ["write"]


@dataclass(frozen=True)
class _File:
    name: str
    path: Path
    old: bytes | None
    new: bytes


def write(space: Workspace, *, dirty: bool = False) -> list[str]:
    """Write every changed file of the workspace into the project and return their names.

    Each file is written beside its place and moved there, with the mode that it has. When one cannot be moved, those
    that were are put back.

    Args:
        space: The patch.
        dirty: Also change files with uncommitted changes.

    Raises:
        UserError: Nothing was written: a file has changed since, cannot be written or lies outside of the directory, or
            git has changes in it; every problem is named.
    """
    files = [_File(name, space.project / name, old, new) for name, old, new in space.changed()]
    problems = [problem for file in files for problem in _against(file, space.project)]
    if not dirty:
        problems += _uncommitted(space.project, [file.name for file in files])
    if problems:
        raise UserError("\n".join(["nothing was written:", *(f"  {problem}" for problem in problems)]))
    _all_or_none(files)
    return [file.name for file in files]


def _against(file: _File, project: Path) -> list[str]:  # noqa: PLR0911  one line for each reason
    """Return why a file must not be written."""
    real = file.path.resolve()
    if project not in real.parents or real != file.path:
        return [f"{file.name}: it is a link, or lies behind one that leads elsewhere"]
    if file.old is None:
        if os.path.lexists(file.path):
            return [f"{file.name}: it has appeared since it was read"]
        folder = next(one for one in file.path.parents if one.exists())
        return [] if os.access(folder, os.W_OK | os.X_OK) else [f"{file.name}: its directory cannot be written to"]
    try:
        if file.path.read_bytes() != file.old:
            return [f"{file.name}: it has changed since it was read: run no502 adopt again"]
    except OSError as error:
        return [f"{file.name}: it cannot be read: {error.strerror}"]
    if not file.path.stat().st_mode & stat.S_IWUSR or not os.access(file.path, os.W_OK):
        return [f"{file.name}: it is read-only"]
    if not os.access(file.path.parent, os.W_OK | os.X_OK):
        return [f"{file.name}: its directory cannot be written to"]
    return []


def _uncommitted(project: Path, names: Sequence[str]) -> list[str]:
    """Return the files with uncommitted changes; none outside of a work tree."""
    git = shutil.which("git")
    if git is None or not names or not any((folder / ".git").exists() for folder in (project, *project.parents)):
        return []
    # The project's own configuration of git must not start a program.
    command = [git, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", str(project)]
    done = subprocess.run(
        [*command, "status", "--porcelain", "-z", "--untracked-files=all", "--", *names],
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines() or ["git status failed"]
        return [f"{project}: whether its files are committed is unknown ({reason[0]}); --allow-dirty writes anyway"]
    entries = [entry for entry in done.stdout.split("\0") if entry]
    return [f"{entry[3:]}: it has uncommitted changes; --allow-dirty writes anyway" for entry in entries]


def _all_or_none(files: Sequence[_File]) -> None:
    beside: list[tuple[_File, Path]] = []
    made: list[Path] = []
    moved: list[_File] = []
    current = ""
    try:
        for file in files:
            current = file.name
            made += _folders(file.path.parent)
            beside.append((file, _beside(file)))
        for file, new in beside:
            current = file.name
            new.replace(file.path)
            moved.append(file)
    except OSError as error:
        for file in moved:
            _restore(file)
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        message = f"nothing was written: {current}: {error.strerror}"
        raise UserError(message) from None
    finally:
        for _, new in beside:
            new.unlink(missing_ok=True)


def _folders(folder: Path) -> list[Path]:
    """Create a folder and those above it; return the new ones."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return list(reversed(missing))


def _beside(file: _File) -> Path:
    """Write the new content into a file beside the place, with the mode and owner that the old one has."""
    descriptor, name = tempfile.mkstemp(prefix=".no502-", dir=file.path.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(file.new)
            out.flush()
            os.fsync(out.fileno())
        if file.old is None:
            mask = os.umask(0)
            os.umask(mask)
            new.chmod(0o666 & ~mask)
        else:
            before = file.path.stat()
            new.chmod(stat.S_IMODE(before.st_mode))
            with contextlib.suppress(PermissionError):
                os.chown(new, before.st_uid, before.st_gid)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    return new


def _restore(file: _File) -> None:
    with contextlib.suppress(OSError):
        if file.old is None:
            file.path.unlink()
        else:
            file.path.write_bytes(file.old)
