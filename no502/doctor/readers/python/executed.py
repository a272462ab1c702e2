"""``--exec-config``: a gunicorn configuration file, run as gunicorn would, for what reading it does not tell.

It is the only reader that runs what it reads, in a process of its own and only when it is asked to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from no502.doctor.model import Deployment, Fact, NotChecked, Origin
from no502.doctor.readers.gunicorn_defaults import convert, gunicorn_names

__all__ = ["execute_conf"]

_SECONDS = 30
_CODE = """
import json, runpy, sys
simple = (str, int, float, bool, list, tuple)
names = {name: value for name, value in runpy.run_path(sys.argv[1]).items() if isinstance(value, simple)}
sys.stdout.write("\\n" + json.dumps(names, default=str))
"""


def execute_conf(
    path: Path, shown: str, environment: Mapping[str, str], deployment: Deployment
) -> dict[str, Fact[Any]]:
    """Run the file in its folder and return the settings that it leaves behind.

    Args:
        path: The file.
        shown: Its name for origins.
        environment: Variables of the deployment; they win over this process's own.
        deployment: Takes a note where the file does not run here.
    """
    origin = Origin(file=shown, line=1, note="as it runs here")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CODE, str(path.resolve())],
            cwd=path.parent,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        why = done.stderr.strip().splitlines()[-1:] if done.returncode else []
        values: dict[str, Any] = json.loads(done.stdout.rsplit("\n", 1)[-1]) if not done.returncode else {}
    except (subprocess.TimeoutExpired, ValueError):
        why, values = [f"it did not end within {_SECONDS} s, or left something that is no text"], {}
    if why:
        what = f"{shown} with --exec-config"
        deployment.not_checked.append(NotChecked(what=what, why=f"executing it failed: {why[0][:200]}", origin=origin))
    found: dict[str, Fact[Any]] = {}
    for name, value in values.items():
        converted = convert(name, value) if name in gunicorn_names() else None
        if converted is not None:
            shaped = tuple(converted) if name == "bind" and isinstance(converted, list) else converted
            found[name] = Fact((shaped,) if name == "bind" and isinstance(shaped, str) else shaped, origin)
    return found
