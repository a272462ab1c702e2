"""A copy of the project in which the patch is made: the project itself is only read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

__all__ = ["Change", "Workspace", "workspace"]

_SKIPPED = frozenset(
    {
        *(".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", "site-packages", ".tox", ".nox"),
        *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".terraform", ".eggs", ".cache", ".direnv"),
        *("vendor", "third_party", "bower_components"),
    }
)
_LARGEST = 4_000_000
_MOST_FILES = 20_000


@dataclass(frozen=True)
class Change:
    """One change of the patch and its reason."""

    file: str
    line: int | None
    """1-based, before the change; None for a whole file."""
    why: str


@dataclass
class Workspace:
    """The files of a project, as they are and as the patch leaves them; names are relative to ``project``."""

    project: Path
    """The real path of the directory that is adopted."""
    root: Path
    """The copy."""
    before: dict[str, bytes] = field(default_factory=dict)
    """What the files that were touched held when they were read."""
    changes: list[Change] = field(default_factory=list)
    added: dict[str, list[int]] = field(default_factory=dict)
    """Lines of the files as they were last read behind which a line was added since."""
    copies: list[str] = field(default_factory=list)
    """Files of this project that are copied as a whole."""

    def has(self, name: str) -> bool:
        """Whether there is such a regular file in the copy."""
        path = self.root / name
        return path.is_file() and self.inside(path)

    def inside(self, path: Path) -> bool:
        """Whether a path, its links followed, lies in the copy."""
        real, root = path.resolve(), self.root.resolve()
        return real == root or root in real.parents

    def text(self, name: str) -> str:
        """Return a file's text; odd bytes are kept, and CR LF is LF where every line ends with it."""
        text = (self.root / name).read_bytes().decode("utf-8", "surrogateescape")
        return text.replace("\r\n", "\n") if _is_crlf(text) else text

    def name_of(self, path: Path) -> str:
        """Return the name of a path in the copy, its links followed."""
        return path.resolve().relative_to(self.root.resolve()).as_posix()

    def put(self, name: str, text: str, why: str = "", line: int | None = None) -> None:
        """Replace a file's text, or add the file; ``why`` is noted with the line that is meant."""
        path = self.root / name
        if not self.inside(path):
            message = f"{name} lies outside of the directory"
            raise ValueError(message)
        name = self.name_of(path)
        if path.exists() and text == self.text(name):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and _is_crlf(path.read_bytes().decode("utf-8", "surrogateescape")):
            text = text.replace("\n", "\r\n")
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        if why:
            self.note(name, line, why)

    def note(self, name: str, line: int | None, why: str) -> None:
        """Note the reason of a change once."""
        change = Change(name, line, why)
        if change not in self.changes:
            self.changes.append(change)

    def glob(self, pattern: str) -> list[str]:
        """Return the names of regular files that match, sorted by depth and name."""
        found = [self.name_of(path) for path in self.root.rglob(pattern) if path.is_file() and self.inside(path)]
        return sorted(set(found), key=lambda name: (name.count("/"), name))

    def changed(self) -> Iterator[tuple[str, bytes | None, bytes]]:
        """Yield each file that the patch changes or adds: name, what it was (None: it is new), what it becomes."""
        for path in sorted(self.root.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            name = path.relative_to(self.root).as_posix()
            now, old = path.read_bytes(), self.before.get(name)
            if now != old:
                yield name, old, now


def _is_crlf(text: str) -> bool:
    """Whether every line ends with CR LF."""
    return 0 < text.count("\n") == text.count("\r\n")


@contextmanager
def workspace(project: Path) -> Iterator[Workspace]:
    """Give a copy of a project's small files, without what package managers, tools and git put there.

    Links that lead out of the project are left out; so are files above 4 MB.
    """
    real = project.resolve()
    with tempfile.TemporaryDirectory(prefix="no502-adopt-") as aside:
        root = Path(aside) / (real.name or "project")
        root.mkdir()
        found = Workspace(real, root)
        _copy(real, found)
        yield found


def _copy(real: Path, into: Workspace) -> None:
    count = 0
    for here, folders, names in os.walk(real, followlinks=False):
        inside = Path(here).relative_to(real)
        linked = [name for name in folders if (Path(here) / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and name not in linked)
        (into.root / inside).mkdir(parents=True, exist_ok=True)
        for name in sorted([*names, *linked]):
            source, target = Path(here) / name, into.root / inside / name
            if source.is_symlink():
                _link(source, target, real)
                continue
            status = source.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST or count >= _MOST_FILES:
                continue
            count += 1
            try:
                shutil.copyfile(source, target)
            except PermissionError:
                continue  # doctor names it
            into.before[(PurePosixPath(inside) / name).as_posix()] = target.read_bytes()


def _link(source: Path, target: Path, real: Path) -> None:
    """Copy a link that stays inside the project; any other does not exist in the copy."""
    words = str(source.readlink())
    end = source.resolve()
    if not Path(words).is_absolute() and (end == real or real in end.parents):
        target.symlink_to(words)
