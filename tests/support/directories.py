"""Directories for servers that run as another user than the tests."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["public_directory"]


@contextmanager
def public_directory() -> Iterator[Path]:
    """Give an empty directory with a short path that every user may enter, and remove it at the end.

    pytest's own directories are closed to other users, such as nginx's workers, and too long for some Unix sockets.
    """
    with tempfile.TemporaryDirectory(prefix="no502-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
