"""Directories: trees of files, and a place for servers that run as another user than the tests."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["public_directory", "write_tree"]


@contextmanager
def public_directory() -> Iterator[Path]:
    """Give an empty directory with a short path that every user may enter, and remove it at the end.

    pytest's own directories are closed to other users, such as nginx's workers, and too long for some Unix sockets.
    """
    with tempfile.TemporaryDirectory(prefix="no502-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def write_tree(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder, by their paths in it, and return the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
