"""What happens to pods in their life, under 200 POST/s through Envoy."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kubernetes.cluster import DEADLINE, Cluster
from tests.kubernetes.gateway import Gateway, post
from tests.kubernetes.service import NAME, Service
from tests.support.load import Load
from tests.support.polling import wait_until
from tests.support.recorded import record

_RATE = 200.0
_SWITCH = "/tmp/not-ready"  # noqa: S108  in the pod


@contextmanager
def load(gateway: Gateway, case: str) -> Iterator[Load]:
    """Send while the block runs and some seconds longer, and write down what was lost."""
    with Load(gateway.port, rate=_RATE) as running:
        wait_until(lambda: running.answered > 200, seconds=DEADLINE, what="answers")
        yield running
        answered = running.answered
        wait_until(lambda: running.answered > answered + 600, seconds=DEADLINE, what="more answers")
    lost = sum(running.failures.values())
    record("kubernetes", case, sent=running.sent, lost=lost, kubernetes="1.20.2", proxy="Envoy 1.40")


def test_the_migration_ran_before_the_pods(service: Service) -> None:
    """The job of the README's first commands has ended well, and the table is there for the pods."""
    job = service.cluster.get("job", "migration", "--namespace", NAME)
    assert job["status"]["succeeded"] == 1
    assert all(service.pods().values())


def test_five_updates_lose_nothing(service: Service, gateway: Gateway) -> None:
    """Five rolling updates, to the next version and back: every pod is a new one, and no request fails."""
    with load(gateway, "five rolling updates") as running:
        for version in ("0.2.0", "0.1.0", "0.2.0", "0.1.0", "0.2.0"):
            before = set(service.pods())
            service.use(version)
            assert not before & set(service.pods())
    assert not running.failures, f"{running}; {gateway.history}"


def test_an_update_without_a_stop_hook_is_measured(service: Service, gateway: Gateway) -> None:
    """The twin: without ``preStop`` an update replaces the pods as well, and what it loses is written down.

    On one node that is often nothing, because the endpoints change within milliseconds.
    """
    path = "/spec/template/spec/containers/0/lifecycle"
    service.kubectl("patch", f"deployment/{NAME}", "--type=json", f'--patch=[{{"op":"remove","path":"{path}"}}]')
    service.rolled_out()
    with load(gateway, "a rolling update without preStop"):
        before = set(service.pods())
        service.use("0.1.0")
        assert not before & set(service.pods())
    service.apply()
    service.rolled_out()


def test_a_deleted_pod_loses_nothing(service: Service, gateway: Gateway) -> None:
    """``kubectl delete pod``: another one takes its place, and no request fails."""
    with load(gateway, "a pod is deleted") as running:
        victim = next(iter(service.pods()))
        service.kubectl("delete", "pod", victim)
        wait_until(lambda: list(service.pods().values()) == [True, True], seconds=DEADLINE, what="two ready pods")
    assert not running.failures, f"{running}; {gateway.history}"


def test_a_long_request_outlives_its_pod(service: Service, gateway: Gateway) -> None:
    """A POST of 20 s that is under way when its pod is deleted gets its answer."""
    statuses: list[int] = []
    clients = [
        threading.Thread(target=lambda: statuses.append(post(gateway.port, "/api/slow?seconds=20"))) for _ in range(6)
    ]
    for client in clients:
        client.start()
    victims = list(service.pods())
    wait_until(
        lambda: sum(service.kubectl("logs", pod).count("slow request") for pod in victims) >= len(clients),
        seconds=DEADLINE,
        what="the requests",
    )
    service.kubectl("delete", "pod", *victims, "--wait=false")
    for client in clients:
        client.join(DEADLINE)
    assert statuses == [201] * len(clients)
    wait_until(lambda: list(service.pods().values()) == [True, True], seconds=DEADLINE, what="two ready pods")


def test_up_and_down_loses_nothing(service: Service, gateway: Gateway) -> None:
    """From two pods to four and back to two, as an autoscaler does: no request fails."""
    with load(gateway, "from two pods to four and back") as running:
        service.scale(4)
        service.scale(2)
    assert not running.failures, f"{running}; {gateway.history}"


def test_a_pod_that_is_not_ready_leaves_without_a_loss(service: Service, gateway: Gateway) -> None:
    """A dependency of one pod fails: the pod leaves the Service, is not started again, and no request fails."""
    restarts = service.restarts()
    victim = next(iter(service.pods()))
    with load(gateway, "a pod is not ready and ready again") as running:
        service.kubectl("exec", victim, "--", "touch", _SWITCH)
        wait_until(lambda: len(gateway.addresses) == 1, seconds=DEADLINE, what="one address")
        service.kubectl("exec", victim, "--", "rm", _SWITCH)
        wait_until(lambda: len(gateway.addresses) == 2, seconds=DEADLINE, what="two addresses")
    assert not running.failures, f"{running}; {gateway.history}"
    assert service.restarts() == restarts


def test_a_node_is_drained_one_pod_at_a_time(cluster: Cluster, service: Service, gateway: Gateway) -> None:
    """``kubectl drain`` may take one pod; the disruption budget keeps the other until a new one is ready elsewhere.

    There is no other node here: the drain ends at its time limit, the second pod goes on serving, and no request fails.
    """
    first = set(service.pods())
    with load(gateway, "a node is drained") as running:
        drained = cluster.run(
            "kubectl", "drain", "node1", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s"
        )
        assert "disruption budget" in drained.stdout
        assert len(first & set(service.pods())) == 1
        cluster.kubectl("uncordon", "node1")
        wait_until(lambda: list(service.pods().values()) == [True, True], seconds=DEADLINE, what="two ready pods")
    assert drained.returncode != 0
    assert not running.failures, f"{running}; {gateway.history}"


def test_a_pod_whose_memory_runs_out_is_started_again(service: Service, gateway: Gateway) -> None:
    """The kernel kills its worker at the limit: at most what that worker had in hand is lost, the other pod serves."""
    with load(gateway, "a worker is killed at the pod's memory limit") as running:
        assert post(gateway.port, "/api/grow?mebibytes=600") in {0, 502, 503, 504}
        wait_until(lambda: list(service.pods().values()) == [True, True], seconds=DEADLINE, what="two ready pods")
    assert sum(running.failures.values()) <= 20, str(running)  # each client may have had one under way


def test_a_version_that_does_not_start_takes_nothing_away(service: Service, gateway: Gateway) -> None:
    """A misspelt setting keeps the new pod from starting; its log says so, the old pods serve, and no request fails."""
    before = set(service.pods())
    with load(gateway, "a version that does not start") as running:
        service.kubectl("set", "env", f"deployment/{NAME}", "PROXY_READ_TIMOUT=5")

        def reason() -> str:
            new = next((pod for pod in service.pods() if pod not in before), "")
            return service.cluster.run("kubectl", "--namespace", NAME, "logs", new).stdout if new else ""

        wait_until(lambda: "PROXY_READ_TIMEOUT" in reason(), seconds=DEADLINE, what="the reason in the log")
        service.kubectl("rollout", "undo", f"deployment/{NAME}")
        service.rolled_out()
    assert not running.failures, f"{running}; {gateway.history}"
    assert before <= set(service.pods())
