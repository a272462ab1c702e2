"""The files behind the names in findings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from no502.doctor.reach import Reach

__all__ = ["Files"]


class Files:
    """Finds files by the names in findings: as the user wrote them, or relative to a given directory."""

    def __init__(self, paths: Sequence[Path], reach: Reach | None = None) -> None:
        self._reach = reach or Reach()
        self._bases = [Path(), *(path if path.is_dir() else path.parent for path in paths)]
        self.text = cache(self._text)

    def path(self, name: str) -> Path | None:
        """Return the path of a file, or None if there is none of that name."""
        if not name or "\0" in name:
            return None
        for base in self._bases:
            path = base / name
            if self._reach.has(path):
                return path
        return None

    def _text(self, name: str) -> str | None:
        """Return a file's text, line ends and odd bytes kept; None if it cannot be read or has more than 4 MB."""
        path = self.path(name)
        found = self._reach.read(path)[0] if path is not None else None
        return None if found is None else found.decode("utf-8", "surrogateescape")

    def shown(self, name: str) -> str:
        """Return the name relative to the working directory where that is possible: for patches and annotations."""
        path = self.path(name)
        if path is None:
            return name
        try:
            return path.resolve().relative_to(Path.cwd()).as_posix()
        except (ValueError, OSError):
            return name
