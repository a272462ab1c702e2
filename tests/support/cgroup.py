"""A cgroup with a memory limit or a CPU quota, where this machine lets a test make one."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["Cgroup", "cpu_cgroup", "memory_cgroup"]

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
    with _cgroup("memory", {"memory.limit_in_bytes": str(limit)}, {"memory.max": str(limit)}) as path:
        for name in ("memory.swappiness", "memory.swap.max"):
            if (path / name).exists():
                (path / name).write_text("0", encoding="ascii")
        yield Cgroup(path)


@contextmanager
def cpu_cgroup(cpus: float) -> Iterator[Cgroup]:
    """Yield a cgroup with a CPU quota; skip the test where there can be none."""
    quota = round(cpus * 100_000)  # of the default period, 100 ms
    with _cgroup("cpu", {"cpu.cfs_quota_us": str(quota)}, {"cpu.max": f"{quota} 100000"}) as path:
        yield Cgroup(path)


@contextmanager
def _cgroup(controller: str, v1_values: Mapping[str, str], v2_values: Mapping[str, str]) -> Iterator[Path]:
    v1 = (_ROOT / controller).is_dir()
    path = (_ROOT / controller if v1 else _ROOT) / f"no502-test-{os.getpid()}"
    try:
        path.mkdir()
        for name, value in (v1_values if v1 else v2_values).items():
            (path / name).write_text(value, encoding="ascii")
    except OSError as error:
        if path.is_dir():
            path.rmdir()
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        yield path
    finally:
        deadline = time.monotonic() + 30
        while (path / "cgroup.procs").read_text(encoding="ascii") and time.monotonic() < deadline:
            time.sleep(0.02)
        path.rmdir()
