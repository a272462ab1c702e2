"""This project's own configuration, as far as the variables among the files decide it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from no502.doctor.model import Fact, Origin, Source

__all__ = ["ladder_settings"]

_PREFIXES = ("PROXY_", "GUNICORN_", "FRONT_")
_OTHERS = {"WEB_CONCURRENCY", "PORT", "FORWARDED_ALLOW_IPS"}
_RUNGS = ("timeout", "graceful_timeout", "keepalive", "max_requests", "max_requests_jitter")


def ladder_settings(environment: Mapping[str, str], origin: Origin) -> dict[str, Fact[Any]]:
    """Return the settings that ``gunicorn_conf`` computes from these variables.

    The number of workers depends on the machine and is not known. Variables that it would refuse leave all unknown.
    """
    given = {name: value for name, value in environment.items() if name.startswith(_PREFIXES) or name in _OTHERS}
    rungs = _computed(tuple(sorted(given.items())))
    if rungs is None:
        note = "gunicorn_conf refuses these variables"
        unknown = Origin(file=origin.file, line=origin.line, source=Source.UNKNOWN, note=note)
        return {name: Fact(None, unknown) for name in (*_RUNGS, "worker_class")}
    origin = Origin(file=origin.file, line=origin.line, note="computed by gunicorn_conf")
    found: dict[str, Fact[Any]] = {name: Fact(rungs[name], origin) for name in _RUNGS}
    found["worker_class"] = Fact(rungs["worker_class"], origin)
    note = "one for each CPU that the process may use"
    workers = Origin(file=origin.file, line=origin.line, source=Source.UNKNOWN, note=note)
    given_workers = environment.get("WEB_CONCURRENCY", "")
    found["workers"] = Fact(int(given_workers), origin) if given_workers.isdecimal() else Fact(None, workers)
    port = environment.get("PORT")
    bind = environment.get("GUNICORN_BIND") or (f"0.0.0.0:{port}" if port else "127.0.0.1:8000")
    found["bind"] = Fact(tuple(bind.split(",")), origin)
    trusted = environment.get("FORWARDED_ALLOW_IPS") or ("*" if bind.startswith("unix:") else "127.0.0.1,::1")
    found["forwarded_allow_ips"] = Fact(trusted, origin)
    return found


@lru_cache(maxsize=64)
def _computed(variables: tuple[tuple[str, str], ...]) -> Mapping[str, Any] | None:
    """Ask this installation's ``no502 explain``: gunicorn_conf computes on import, and may end its process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES) and name not in _OTHERS}
    with tempfile.TemporaryDirectory(prefix="no502-") as empty:  # no .env
        done = subprocess.run(
            [sys.executable, "-m", "no502", "explain", "--format", "json"],
            cwd=empty,
            env={**kept, **dict(variables), "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if done.returncode != 0:
        return None
    data = json.loads(done.stdout)
    return {"worker_class": data["worker_class"], **{rung["name"]: rung["value"] for rung in data["rungs"]}}
