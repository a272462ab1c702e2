"""The files behind the names in findings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

__all__ = ["Files"]

_LARGEST = 4_000_000


class Files:
    """Finds files by the names in findings: as the user wrote them, or relative to a given directory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._bases = [Path(), *(path if path.is_dir() else path.parent for path in paths)]
        self.text = cache(self._text)

    def path(self, name: str) -> Path | None:
        """Return the path of a file, or None if there is none of that name."""
        if not name or "\0" in name:
            return None
        for base in self._bases:
            path = base / name
            try:
                if path.is_file():
                    return path
            except OSError:
                continue
        return None

    def _text(self, name: str) -> str | None:
        """Return a file's text, line ends and odd bytes kept; None if it cannot be read or has more than 4 MB."""
        path = self.path(name)
        try:
            if path is None or path.stat().st_size > _LARGEST:
                return None
            return path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            return None

    def shown(self, name: str) -> str:
        """Return the name relative to the working directory where that is possible: for patches and annotations."""
        path = self.path(name)
        if path is None:
            return name
        try:
            return path.resolve().relative_to(Path.cwd()).as_posix()
        except (ValueError, OSError):
            return name
