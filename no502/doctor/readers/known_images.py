"""Public images that start a server by themselves, with a command that stands in none of a project's files."""

from __future__ import annotations

import re

from no502.doctor.reach import Reach
from no502.doctor.readers.compose.project import ComposeService

__all__ = ["image_start"]

_TIANGOLO = re.compile(r"(?:^|/)tiangolo/uvicorn-gunicorn(?:-fastapi|-starlette)?(?:[:@].*)?$")
"""gunicorn on port 80 unless a variable says otherwise. https://github.com/tiangolo/uvicorn-gunicorn-docker#port"""
_DECIDE = ("BIND", "HOST", "PORT")
_OTHERWISE = "GUNICORN_CONF"
_CONF = "/gunicorn_conf.py"


def image_start(one: ComposeService, reach: Reach) -> tuple[str, ...]:
    """Return the words that the image of a container runs where its files give none; empty for an unknown image.

    Args:
        one: The container.
        reach: Which files may be looked for.
    """
    fact = one.service.settings.image
    name = one.image.base if one.image is not None else str(fact.value or "") if fact is not None else ""
    environment = one.service.environment
    conf = any(here.name == "gunicorn_conf.py" or reach.has(here / "gunicorn_conf.py") for here in one.mounts.values())
    if one.argv or _TIANGOLO.search(name) is None or _OTHERWISE in environment or conf:
        return ()
    given = {key: environment[key] for key in _DECIDE if key in environment}
    if not all(fact.known for fact in given.values()):
        return ()
    values = {key: fact.value for key, fact in given.items()}
    bind = values.get("BIND") or f"{values.get('HOST') or '0.0.0.0'}:{values.get('PORT') or 80}"  # noqa: S104
    return ("gunicorn", "-c", _CONF, "-b", bind, "app.main:app")
