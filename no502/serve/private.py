"""The directory of one run: nginx's configuration, its temporary files and gunicorn's socket."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["SOCKET", "private_directory"]

SOCKET = "gunicorn.sock"

_LONGEST = 103
"""Bytes in the path of a Unix socket that every system accepts: ``sun_path`` has 108 on Linux and 104 on macOS."""


@contextmanager
def private_directory() -> Iterator[Path]:
    """Give a new directory that only this user may enter, and remove it at the end.

    It is in ``$TMPDIR``, or in ``/tmp`` where the path of the socket in ``$TMPDIR`` would be too long for a socket.
    """
    with tempfile.TemporaryDirectory(prefix="no502-", dir=_parent()) as name:
        yield Path(name)


def _parent() -> str | None:
    usual = tempfile.gettempdir()
    name = f"no502-{'x' * 8}"
    return None if len(os.fsencode(f"{usual}/{name}/{SOCKET}")) <= _LONGEST else "/tmp"  # noqa: S108  mode 0700
