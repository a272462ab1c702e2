"""The ladder for a deployment without gunicorn: the same numbers as uvicorn's own flags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from uvicorn.main import main as uvicorn_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gunicorn_conf import ServerSettings

__all__ = ["FLAGS", "flags", "to_json", "to_text"]

FLAGS: Mapping[str, str] = {
    "--workers": "workers",
    "--timeout-keep-alive": "keepalive",
    "--timeout-graceful-shutdown": "drain_timeout",
    "--timeout-worker-healthcheck": "timeout",
    "--limit-max-requests": "max_requests",
    "--limit-max-requests-jitter": "max_requests_jitter",
    "--backlog": "backlog",
}
"""Flag, and the attribute of ``ServerSettings`` that is its value."""

_NOTES = """\
# uvicorn has no flag for the rest of the ladder:
#   statement_timeout {0.statement_timeout} s and request_deadline {0.request_deadline} s belong in the application;
#   stop grace {0.stop_grace} s belongs in Compose, systemd or Kubernetes.
# --timeout-worker-healthcheck only counts with more than one worker. A worker that reaches --limit-max-requests closes
# nginx's idle connections at once: under load that costs requests. Where memory does not grow, leave the limit out.
"""


def flags(current: ServerSettings) -> dict[str, int]:
    """Return the flags that the installed uvicorn knows, with their values; none about recycling where that is off."""
    known = {option for parameter in uvicorn_command.params for option in parameter.opts}
    if current.max_requests == 0:
        known -= {"--limit-max-requests", "--limit-max-requests-jitter"}
    return {flag: getattr(current, name) for flag, name in FLAGS.items() if flag in known}


def to_text(current: ServerSettings) -> str:
    """Return a command to paste, and what it cannot say."""
    arguments = " \\\n    ".join(f"{flag} {value}" for flag, value in flags(current).items())
    return f"uvicorn app.main:app \\\n    {arguments}\n{_NOTES.format(current)}"


def to_json(current: ServerSettings) -> str:
    """Return the flags as one JSON object: flag to value."""
    return json.dumps(flags(current), indent=2) + "\n"
