"""The ``no502`` command as a user runs it, and what it leaves behind."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["NO502", "ROOT", "clean_environment", "no502", "processes_in"]

ROOT = Path(__file__).resolve().parent.parent.parent
NO502 = [sys.executable, "-m", "no502"]


def clean_environment(home: Path, **extra: str) -> dict[str, str]:
    """Return an environment without this machine's settings: own home and temporary directory, wide terminal."""
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COVERAGE_")}
    own = {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "COLUMNS": "200", "LC_ALL": "C.UTF-8"}
    return {**kept, **own, **extra}


def no502(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str], seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ``no502`` to its end."""
    command = [*NO502, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def processes_in(directory: Path) -> dict[int, str]:
    """Return the processes whose working directory is ``directory`` or below it: process id and command line."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            where = (entry / "cwd").readlink()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended, or it belongs to another user
        if where.is_relative_to(directory) and command:
            found[int(entry.name)] = command
    return found
