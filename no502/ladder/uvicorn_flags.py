"""The ladder for a deployment without gunicorn: the same numbers as uvicorn's own flags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from uvicorn.main import main as uvicorn_command

from no502.ladder.rungs import rung_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gunicorn_conf import ServerSettings

__all__ = ["FLAGS", "LIMITS", "flags", "to_json", "to_text"]

FLAGS: Mapping[str, str] = {
    "--workers": "workers",
    "--timeout-keep-alive": "keepalive",
    "--timeout-graceful-shutdown": "drain_timeout",
    "--timeout-worker-healthcheck": "timeout",
    "--backlog": "backlog",
}
"""Flag, and the attribute of ``ServerSettings`` that is its value."""

LIMITS: Mapping[str, str] = {
    "--limit-max-requests": "max_requests",
    "--limit-max-requests-jitter": "max_requests_jitter",
}
"""The flags of recycling, which lose requests: only printed where ``GUNICORN_MAX_REQUESTS`` is set explicitly."""

_NOTES = """\
# uvicorn has no flag for the rest of the ladder:
#   statement_timeout {0.statement_timeout} s and request_deadline {0.request_deadline} s belong in the application;
#   stop grace {0.stop_grace} s belongs in Compose, systemd or Kubernetes.
# --timeout-worker-healthcheck only counts with more than one worker.
"""

_COST = """\
# --limit-max-requests is printed because GUNICORN_MAX_REQUESTS is set. It loses requests: a worker that reaches it
# closes nginx's idle connections at once. Measured with two workers: 145 of 24,000 POSTs lost at 1,000/s.
"""

_NO_LIMIT = """\
# There is no --limit-max-requests: it loses requests (145 of 24,000 POSTs at 1,000/s). Set GUNICORN_MAX_REQUESTS
# explicitly to have it printed.
"""


def flags(current: ServerSettings) -> dict[str, int]:
    """Return the flags that the installed uvicorn knows, with their values; those of recycling only if it was set."""
    known = {option for parameter in uvicorn_command.params for option in parameter.opts}
    wanted = {**FLAGS, **LIMITS} if _recycles(current) else FLAGS
    return {flag: getattr(current, name) for flag, name in wanted.items() if flag in known}


def _recycles(current: ServerSettings) -> bool:
    """Return whether the user chose a number of requests after which a worker is replaced."""
    return current.is_set(rung_of("GUNICORN_MAX_REQUESTS")) and current.max_requests > 0


def to_text(current: ServerSettings) -> str:
    """Return a command to paste, and what it cannot say."""
    arguments = " \\\n    ".join(f"{flag} {value}" for flag, value in flags(current).items())
    limit = _COST if _recycles(current) else "" if current.max_requests == 0 else _NO_LIMIT
    return f"uvicorn app.main:app \\\n    {arguments}\n{_NOTES.format(current)}{limit}"


def to_json(current: ServerSettings) -> str:
    """Return the flags as one JSON object: flag to value."""
    return json.dumps(flags(current), indent=2) + "\n"
