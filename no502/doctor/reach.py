"""Which files a run may open: regular ones of bounded size below the given paths, whatever links and includes say."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LARGEST", "Reach", "reach_of"]

LARGEST = 4_000_000
"""Bytes of the largest file that is read as a whole."""


@dataclass(frozen=True)
class Reach:
    """The places below which files may be opened."""

    roots: tuple[Path, ...] = ()
    """Real paths of directories; none: everywhere, as ``--outside`` asks."""

    def allows(self, path: Path) -> bool:
        """Whether a path, its links followed, lies below a root."""
        if not self.roots:
            return True
        try:
            real = path.resolve()
        except (OSError, RuntimeError, ValueError):
            return False
        return any(real == root or root in real.parents for root in self.roots)

    def holds(self, path: Path) -> bool:
        """Whether there is a folder at a path that may be looked into."""
        try:
            return path.is_dir() and self.allows(path)
        except (OSError, ValueError):
            return False

    def listing(self, folder: Path, most: int) -> list[Path]:
        """Return what a folder holds, at most so many; nothing where it may not be looked into."""
        try:
            return sorted(folder.iterdir())[:most] if self.holds(folder) else []
        except OSError:
            return []

    def has(self, path: Path) -> bool:
        """Whether there is a regular file at a path that may be opened."""
        try:
            return stat.S_ISREG(path.stat().st_mode) and self.allows(path)
        except (OSError, ValueError):
            return False

    def read(self, path: Path, largest: int = LARGEST) -> tuple[bytes | None, str]:
        """Return a file's bytes, else None and why it cannot be had.

        Args:
            path: The file.
            largest: Bytes; a larger file is not read.
        """
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                return None, "is not a regular file"
            if not self.allows(path):
                return None, "is outside the given paths (pass --outside to read it)"
            if found.st_size > largest:
                return None, f"{found.st_size} bytes: too large to be a deployment's file (at most {largest})"
            return path.read_bytes(), ""
        except (OSError, ValueError) as error:
            return None, f"cannot be read: {getattr(error, 'strerror', None) or error}"

    def head(self, path: Path, size: int) -> bytes | None:
        """Return the first bytes of a regular file; None where it cannot be opened."""
        try:
            if not self.has(path):
                return b""
            with path.open("rb") as file:
                return file.read(size)
        except OSError:
            return None


def reach_of(paths: Sequence[Path]) -> Reach:
    """Return the reach of a run: each given directory; for a given file the working directory that holds it.

    Args:
        paths: What the user gave.
    """
    here = Path.cwd().resolve()
    roots: list[Path] = []
    for path in paths:
        real = path.resolve()
        if real.is_dir():
            roots.append(real)
        else:
            beside = path.absolute().parent.resolve()
            roots += [here if here == beside or here in beside.parents else beside]
            roots += [real.parent]
    return Reach(tuple(dict.fromkeys(roots)))
