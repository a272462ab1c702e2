"""Sync handlers whose threads hang: a worker with too many of them is replaced, without losing a request."""

import threading
import time
from pathlib import Path

from tests.support.polling import wait_until
from tests.support.server import Gunicorn
from tests.support.wire import Load, request

_APP = "tests.e2e.apps.hanging:app"


def _hang(server: Gunicorn, count: int) -> list[int]:
    """Ask for so many handlers that hang, at the same time; return the statuses."""
    statuses: list[int] = []

    def ask() -> None:
        with server.connect() as connection:
            connection.send(request("/hangs"))
            statuses.append(connection.response().status)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return statuses


def test_worker_with_too_many_abandoned_threads_is_replaced(tmp_path: Path) -> None:
    """The third abandoned thread makes the worker due: its replacement is ready first, and no other request is lost."""
    with Gunicorn(tmp_path, app=_APP) as server:
        [first] = server.wait_for_workers(1)
        with Load(server.address, reuse=True) as load:
            assert _hang(server, 3) == [504, 504, 504]
            server.wait_for_log(
                rf"worker {first} asks to be replaced: 3 threads still work for requests that have got their 504"
            )
            server.wait_for_log(rf"worker {first} drains \(requested\)")
            wait_until(lambda: len(load.pids) == 2, what="answers of the replacement")
            (tmp_path / "release").touch()
            server.wait_for_log(rf"worker {first} gone \(requested\)")
        assert load.failures == []
        [second] = server.wait_for_workers(1, without=[first])
        log = server.output()
        assert log.index(f"worker {second} is ready") < log.index(f"worker {first} drains")
        assert not server.found("is killed")


def test_worker_with_few_abandoned_threads_stays(tmp_path: Path) -> None:
    """Two abandoned threads are below the limit: the worker keeps serving, before and after they end."""
    with Gunicorn(tmp_path, app=_APP) as server:
        [worker] = server.wait_for_workers(1)
        assert _hang(server, 2) == [504, 504]
        began = time.monotonic()
        wait_until(lambda: server.ask() == worker and time.monotonic() > began + 3, what="many looks at its limits")
        (tmp_path / "release").touch()
        assert _hang(server, 3) == [200, 200, 200]
        assert server.worker_pids() == [worker]
        assert not server.found("asks to be replaced")
