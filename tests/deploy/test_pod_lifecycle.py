"""A rolling update behind a gateway that learns late that a pod leaves."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy.pods import Cluster
from tests.support.polling import wait_until
from tests.support.wire import Connection, Load

_SECONDS = 40.0
_CLIENTS = 3


def _answered(loads: list[Load]) -> int:
    return min(sum(load.pids.values()) for load in loads)


def _update(cluster: Cluster, *, removal: float, pre_stop: float) -> list[Load]:
    """Replace two pods by two others, a new one first, under load: maxUnavailable 0, maxSurge 1."""
    loads = [Load(cluster.address) for _ in range(_CLIENTS)]
    olds = [cluster.start(0), cluster.start(1)]
    workers = {pid for pod in olds for pid in pod.worker_pids()}
    with ExitStack() as stack:
        for load in loads:
            stack.enter_context(load)
        wait_until(lambda: all(any(load.pids[pid] for load in loads) for pid in workers), seconds=_SECONDS, what="use")
        for old, new in ((0, 2), (1, 3)):
            cluster.start(new)
            cluster.delete(old, removal=removal, pre_stop=pre_stop)
        before = _answered(loads)
        wait_until(lambda: _answered(loads) >= before + 5, seconds=_SECONDS, what="answers of the new pods")
    return loads


@pytest.mark.parametrize(("removal", "pre_stop"), [(0, 1), (5, 10)])
def test_update_with_pre_stop_loses_nothing(tmp_path: Path, removal: float, pre_stop: float) -> None:
    """While preStop sleeps the pod accepts: a gateway that learns of its end meanwhile loses no POST."""
    with Cluster(tmp_path, pods=4) as cluster:
        loads = _update(cluster, removal=removal, pre_stop=pre_stop)
    assert [load.failures for load in loads] == [[]] * _CLIENTS


def test_update_with_stop_delay_loses_nothing(tmp_path: Path) -> None:
    """Without preStop, GUNICORN_STOP_DELAY does the same after SIGTERM."""
    with Cluster(tmp_path, pods=4, stop_delays=[6, 6]) as cluster:
        loads = _update(cluster, removal=1, pre_stop=0)
    assert [load.failures for load in loads] == [[]] * _CLIENTS


def test_update_twin(tmp_path: Path) -> None:
    """With neither, the pod refuses while the gateway still believes in it: 502, until the endpoint is removed."""
    with Cluster(tmp_path, pods=2) as cluster:
        leaving = cluster.start(0)
        cluster.start(1)
        with Load(cluster.address) as load:
            wait_until(lambda: load.pids[leaving.worker_pids()[0]] > 0, seconds=_SECONDS, what="use of the pod")
            leaving.terminate()
            assert leaving.wait(_SECONDS) == 0
            with pytest.raises(ConnectionRefusedError):
                Connection(leaving.address)
            wait_until(lambda: "status 502" in load.failures, seconds=_SECONDS, what="a lost request")
            cluster.remove_endpoint(0)
            lost, before = len(load.failures), _answered([load])
            wait_until(lambda: _answered([load]) >= before + 20, seconds=_SECONDS, what="answers of the other pod")
    assert len(load.failures) <= lost + 1  # one request may have chosen its pod before the removal
