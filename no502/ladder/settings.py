"""The numbers in force in the working directory, and those that given variables make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gunicorn_conf import ServerSettings

__all__ = ["is_ours", "load_settings", "values_from"]

_PREFIXES = ("PROXY_", "GUNICORN_", "FRONT_")


def is_ours(name: str) -> bool:
    """Whether a variable belongs to the ladder: it is read, or it is named like those that are.

    For an environment that the ladder of this machine must not reach: a name that is only similar is refused by
    ``gunicorn_conf``, so it counts as well.
    """
    from gunicorn_conf import SETTINGS

    return name.startswith(_PREFIXES) or any(name == setting.variable for setting in SETTINGS)


def load_settings() -> ServerSettings:
    """Compute the ladder from the environment and ``.env`` in the working directory.

    Raises:
        SystemExit: Bad settings; its text has one line per problem.
    """
    from gunicorn_conf import load

    return load()


def values_from(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return ``worker_class`` and every rung's value by name, computed from these variables alone.

    Raises:
        gunicorn_conf.LadderError: Bad variables; ``problems`` has a line for each.
    """
    from gunicorn_conf import RUNGS, compute

    settings = compute(variables)
    return {"worker_class": settings.worker_class, **{rung.name: getattr(settings, rung.name) for rung in RUNGS}}
