"""A cgroup with a memory limit, where this machine lets a test make one."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["Cgroup", "memory_cgroup"]

_ROOT = Path("/sys/fs/cgroup")


class Cgroup:
    """A cgroup of version 1 or 2."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def launcher(self) -> list[str]:
        """What runs a command inside it, in front of its command line."""
        return ["/bin/sh", "-c", f'echo $$ > {self._path}/cgroup.procs && exec "$@"', "sh"]

    @property
    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for memory."""
        for name in ("memory.events", "memory.oom_control"):
            if (self._path / name).exists():
                found = re.search(r"^oom_kill (\d+)$", (self._path / name).read_text(encoding="ascii"), re.MULTILINE)
                return int(found[1]) if found else 0
        return 0


@contextmanager
def memory_cgroup(limit: int) -> Iterator[Cgroup]:
    """Yield a cgroup with a memory limit in bytes; skip the test where there can be none."""
    v1 = (_ROOT / "memory").is_dir()
    path = (_ROOT / "memory" if v1 else _ROOT) / f"no502-test-{os.getpid()}"
    try:
        path.mkdir()
        (path / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text(str(limit), encoding="ascii")
    except OSError as error:
        if path.is_dir():
            path.rmdir()
        pytest.skip(f"no cgroup can be made here: {error}")
    for name in ("memory.swappiness", "memory.swap.max"):
        if (path / name).exists():
            (path / name).write_text("0", encoding="ascii")
    try:
        yield Cgroup(path)
    finally:
        deadline = time.monotonic() + 30
        while (path / "cgroup.procs").read_text(encoding="ascii") and time.monotonic() < deadline:
            time.sleep(0.02)
        path.rmdir()
