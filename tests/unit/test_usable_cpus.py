"""What the cgroup allows, CPUs and memory, against trees of files as the kernel lays them out."""

import os
from pathlib import Path

import pytest

from gunicorn_conf import memory_limit, usable_cpus


@pytest.fixture(autouse=True)
def _eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


def _write(root: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    (root / "cgroup").write_text(own + "\n")
    for name, text in files.items():
        path = root / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root / "fs", root / "cgroup"


@pytest.mark.parametrize(
    ("own", "files", "cpus"),
    [
        pytest.param("0::/", {"cpu.max": "200000 100000"}, 2, id="v2-container-sees-itself-as-root"),
        pytest.param("0::/", {"cpu.max": "150000 100000"}, 2, id="v2-rounded-up"),
        pytest.param("0::/", {"cpu.max": "1000 100000"}, 1, id="v2-at-least-one"),
        pytest.param("0::/", {"cpu.max": "max 100000"}, 8, id="v2-no-limit"),
        pytest.param("0::/", {"cpu.max": "6400000 100000"}, 8, id="v2-affinity-caps"),
        pytest.param("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3, id="v2-ancestor"),
        pytest.param("0::/a/b", {"a/b/cpu.max": "100000 100000", "a/cpu.max": "300000 100000"}, 1, id="v2-tightest"),
        pytest.param("0::/docker/x", {"cpu.max": "200000 100000"}, 2, id="v2-path-of-the-host"),
        pytest.param("0::/../sibling", {"sibling/cpu.max": "200000 100000"}, 2, id="v2-outside-the-namespace"),
        pytest.param("0::/", {"cpu.max": "garbage"}, 8, id="v2-unreadable"),
        pytest.param("0::/", {"cpu.max": "100000 0"}, 8, id="v2-period-zero"),
        pytest.param(
            "4:cpu,cpuacct:/x",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "250000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            3,
            id="v1",
        ),
        pytest.param(
            "4:cpu,cpuacct:/x",
            {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "50000"},
            2,
            id="v1-ancestor",
        ),
        pytest.param(
            "4:cpu:/x", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 8, id="v1-no-limit"
        ),
        pytest.param("3:cpuset:/x", {"cpuset/x/cpu.cfs_quota_us": "1"}, 8, id="v1-other-controller"),
        pytest.param("", {}, 8, id="no-cgroup"),
    ],
)
def test_workers_follow_the_tightest_quota(tmp_path: Path, own: str, files: dict[str, str], cpus: int) -> None:
    """The smallest quota of the own group and its ancestors counts, rounded up, at most the affinity."""
    assert usable_cpus(*_write(tmp_path, own, files)) == cpus


def test_without_affinity_or_cgroups_the_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS there is neither."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)

    assert usable_cpus(tmp_path / "none", tmp_path / "none") == 5


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        pytest.param("0::/", {"memory.max": "536870912"}, 536870912, id="v2-container-sees-itself-as-root"),
        pytest.param("0::/", {"memory.max": "max"}, None, id="v2-no-limit"),
        pytest.param("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "1000"}, 1000, id="v2-ancestor"),
        pytest.param("0::/a/b", {"a/b/memory.max": "500", "a/memory.max": "1000"}, 500, id="v2-tightest"),
        pytest.param("4:memory:/x", {"memory/x/memory.limit_in_bytes": "700"}, 700, id="v1"),
        pytest.param("4:memory:/x", {"memory/x/memory.limit_in_bytes": "9223372036854771712"}, None, id="v1-no-limit"),
        pytest.param("4:memory:/host/x", {"memory/memory.limit_in_bytes": "700"}, 700, id="v1-path-of-the-host"),
        pytest.param("0::/", {"memory.max": "garbage"}, None, id="unreadable"),
        pytest.param("", {}, None, id="no-cgroup"),
    ],
)
def test_memory_follows_the_tightest_limit(tmp_path: Path, own: str, files: dict[str, str], limit: int | None) -> None:
    """The smallest limit of the own group and its ancestors counts."""
    assert memory_limit(*_write(tmp_path, own, files)) == limit
