"""The numbers in force in the working directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gunicorn_conf import ServerSettings

__all__ = ["load_settings"]


def load_settings() -> ServerSettings:
    """Compute the ladder from the environment and ``.env`` in the working directory.

    Raises:
        SystemExit: Bad settings; its text has one line per problem.
    """
    from gunicorn_conf import load  # noqa: PLC0415  it computes when it is imported

    return load()
