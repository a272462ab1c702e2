"""The service on a booted host: what the README's commands give, and what each event costs clients at 200 POST/s."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import ROOT
from tests.support.polling import wait_until
from tests.support.recorded import record
from tests.systemd.conftest import NAME
from tests.systemd.host import Host

_RATE = 200


class _Load:
    """POSTs that are being sent; ``outcomes`` and ``slowest`` are known after the ``with`` block."""

    outcomes: dict[str, int]
    slowest: float

    def lost(self) -> dict[str, int]:
        """Return the answers that were not 201, and how often each came."""
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != "201"}


@contextmanager
def _load(host: Host, seconds: int, case: str, *, path: str = "/api/greetings", rate: int = _RATE) -> Iterator[_Load]:
    load = _Load()
    arguments = ["80", str(rate), str(seconds), path, "example.com"]
    command = host.network(sys.executable, "-m", "tests.support.load", *arguments)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield load
        result: dict[str, Any] = json.loads(process.communicate(timeout=seconds + 120)[0])
    load.outcomes, load.slowest = result["outcomes"], result["slowest"]
    sent = sum(load.outcomes.values())
    assert sent == rate * seconds
    record("systemd", case, sent=sent, lost=sum(load.lost().values()), nginx="Debian 12's 1.22.1", systemd="252")


def _status(host: Host, *arguments: str) -> str:
    command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", *arguments]
    return host.try_run(*command).stdout


def _ready(host: Host) -> bool:
    return _status(host, "http://example.com/health/ready") == "200"


def _journal(host: Host, *arguments: str) -> str:
    return host.run("journalctl", "--unit", NAME, "--no-pager", *arguments)


def _property(host: Host, name: str) -> str:
    return host.run("systemctl", "show", NAME, "--property", name, "--value").strip()


@pytest.fixture(autouse=True)
def _healthy(host: Host) -> Iterator[None]:
    """Every test finds a service that is ready, and leaves one."""
    wait_until(lambda: _ready(host), seconds=60, what="the service's readiness")
    yield
    wait_until(lambda: _ready(host), seconds=60, what="the service's readiness after the test")


def test_the_readme_ends_with_a_proof(host: Host) -> None:
    """The last command of the README asks the service through nginx, and it answers."""
    assert host.installed.endswith('{"status":"ready"}')


def test_no_unit_has_failed(host: Host) -> None:
    """systemd says that everything runs."""
    assert host.try_run("systemctl", "is-system-running").stdout.strip() == "running"


def test_nginx_reaches_the_socket_as_its_own_user(host: Host) -> None:
    """nginx's worker processes are Debian's user, which the socket's group lets in."""
    users = set(host.sh("ps -C nginx -o user= | sort -u").split())
    assert users == {"root", "www-data"}


def test_clients_addresses_and_scheme_arrive(host: Host) -> None:
    """On a socket from systemd the application still learns who the client is: the access log has its address."""
    host.run("curl", "--silent", "--fail", "--json", '{"text": "x"}', "http://example.com/api/greetings")
    lines = [
        json.loads(line) for line in _journal(host, "--output", "cat", "--lines", "200").splitlines() if line[:1] == "{"
    ]
    clients = {str(line.get("client", "")) for line in lines if "client" in line}
    assert "127.0.0.1" in clients


def test_reloads_under_load_lose_nothing(host: Host) -> None:
    """Four reloads at 200 POST/s: every request is answered 201."""
    with _load(host, 20, "four reloads") as load:
        for _ in range(4):
            before = _journal(host, "--output", "cat").count("Booting worker")
            host.run("systemctl", "reload", NAME)
            wait_until(
                lambda: _journal(host, "--output", "cat").count("Booting worker") > before,  # noqa: B023
                seconds=30,
                what="a new worker",
            )
    assert load.lost() == {}


def test_restarts_under_load_lose_nothing(host: Host) -> None:
    """Two restarts at 200 POST/s: clients wait on the socket that systemd keeps, and every request is answered 201."""
    with _load(host, 30, "two restarts") as load:
        for _ in range(2):
            host.run("systemctl", "restart", NAME)
            wait_until(lambda: _ready(host), seconds=60, what="the service after its restart")
    assert load.lost() == {}


def test_a_killed_master_costs_what_was_in_flight(host: Host) -> None:
    """kill -9 of everything at 200 POST/s: only requests that a worker had begun are lost; systemd starts it again."""
    restarts = int(_property(host, "NRestarts"))
    with _load(host, 15, "every process is killed") as load:
        wait_until(lambda: _ready(host), seconds=10, what="the load")
        host.run("systemctl", "kill", "--kill-who=all", "--signal=KILL", NAME)
        wait_until(lambda: _ready(host), seconds=60, what="the service after its death")
    assert set(load.lost()) <= {"502"}
    assert sum(load.lost().values()) <= 20
    assert int(_property(host, "NRestarts")) == restarts + 1


def test_broken_code_is_refused_and_the_old_workers_keep_serving(host: Host, project: Path) -> None:
    """A reload with a syntax error costs no request, the unit stays active, and the journal says why."""
    main = project / "app" / "main.py"
    right = main.read_text(encoding="utf-8")
    try:
        with _load(host, 10, "a reload of code that does not load") as load:
            main.write_text(right + "\nthis is no Python\n", encoding="utf-8")
            host.run("systemctl", "reload", NAME)
            wait_until(
                lambda: "SyntaxError" in _journal(host, "--lines", "300", "--output", "cat"),
                seconds=30,
                what="the reason in the journal",
            )
    finally:
        main.write_text(right, encoding="utf-8")
        host.run("systemctl", "reload", NAME)
    assert load.lost() == {}
    assert host.try_run("systemctl", "is-active", NAME).stdout.strip() == "active"


def test_nginx_does_not_cut_a_request_when_it_restarts(host: Host) -> None:
    """Debian's unit gives nginx 5 s; with the drop-in that the README installs it has as long as its longest wait."""
    seconds = host.run("systemctl", "show", "nginx", "--property", "TimeoutStopUSec", "--value").strip()
    assert seconds not in {"5s", ""}


def test_the_sandbox_denies_what_the_unit_says(host: Host) -> None:
    """Inside, the service's directory cannot be written to, its environment file cannot be read, /home is empty."""
    main = _property(host, "MainPID")
    inside = ["nsenter", "--target", main, "--mount", "--setuid", str(_uid(host, main)), "--setgid", "65534"]
    assert "Read-only file system" in host.try_run(*inside, "sh", "-c", f"touch /opt/{NAME}/x").stdout
    assert "Permission denied" in host.try_run(*inside, "cat", f"/etc/{NAME}/environment").stdout
    assert host.try_run(*inside, "sh", "-c", "ls /home 2>&1 | head -c 100").stdout.strip() in {
        "",
        "ls: cannot open directory '/home': Permission denied",
    }


def _uid(host: Host, pid: str) -> int:
    return int(host.sh(f"stat -c %u /proc/{pid}"))


def test_the_number_of_workers_follows_the_quota(host: Host) -> None:
    """With CPUQuota=100% there is one worker."""
    host.run("systemctl", "set-property", "--runtime", NAME, "CPUQuota=100%")
    try:
        host.run("systemctl", "restart", NAME)
        wait_until(lambda: _ready(host), seconds=60, what="the service")
        pid = _property(host, "MainPID")
        assert len(host.sh(f"pgrep -P {pid}").split()) == 1
    finally:
        host.run("systemctl", "set-property", "--runtime", NAME, "CPUQuota=")
        host.run("systemctl", "restart", NAME)


def test_fork_that_fails_keeps_the_service(host: Host) -> None:
    """With no room for a further process a reload changes nothing: the old workers keep serving, and it works later."""
    tasks = int(_property(host, "TasksCurrent"))
    host.run("systemctl", "set-property", "--runtime", NAME, f"TasksMax={tasks}")
    try:
        with _load(host, 8, "fork() fails during a reload") as load:
            host.sh(f"kill -HUP {_property(host, 'MainPID')}")  # ExecReload= would itself be a process too many
            wait_until(
                lambda: "Resource temporarily unavailable" in _journal(host, "--output", "cat", "--lines", "100"),
                seconds=20,
                what="the failed fork in the journal",
            )
    finally:
        host.run("systemctl", "set-property", "--runtime", NAME, "TasksMax=512")
    assert load.lost() == {}


def test_a_leak_is_replaced_below_the_limit(host: Host) -> None:
    """Under MemoryMax= a leaking worker is replaced before the kernel kills it, and no request fails."""
    host.run("systemctl", "set-property", "--runtime", NAME, "MemoryMax=450M")
    try:
        host.run("systemctl", "restart", NAME)
        wait_until(lambda: _ready(host), seconds=60, what="the service")
        restarts = _property(host, "NRestarts")
        with _load(host, 20, "workers leak under MemoryMax=, 30 a second", path="/api/leak", rate=30) as load:
            wait_until(
                lambda: "drains (max_memory)" in _journal(host, "--output", "cat", "--lines", "2000"),
                seconds=60,
                what="a worker that is replaced for its memory",
            )
        assert load.lost() == {}
        assert _property(host, "NRestarts") == restarts
        assert "SIGKILL" not in _journal(host, "--output", "cat", "--lines", "2000")
    finally:
        host.run("systemctl", "set-property", "--runtime", NAME, "MemoryMax=infinity")
        host.run("systemctl", "restart", NAME)


def test_poweroff_lets_a_request_finish(second_host: Host) -> None:
    """A POST of 8 s that is under way at ``systemctl poweroff`` gets its answer before the host is down."""
    wait_until(lambda: _ready(second_host), seconds=90, what="the service after the boot")
    command = [
        "curl",
        "--silent",
        "--write-out",
        "%{http_code}",
        "--request",
        "POST",
        "http://example.com/api/slow?seconds=8",
    ]
    with subprocess.Popen(second_host.network(*command), stdout=subprocess.PIPE, text=True) as client:
        wait_until(
            lambda: "slow request" in _journal(second_host, "--output", "cat"), seconds=30, what="the request to arrive"
        )
        second_host.run("systemctl", "poweroff")
        answer = client.communicate(timeout=120)[0]
    assert answer.endswith("201"), answer


def test_stop_lets_a_request_finish(host: Host) -> None:
    """``systemctl stop`` ends within its limit, with success, and starts again."""
    host.run("systemctl", "stop", f"{NAME}.socket", f"{NAME}.service", seconds=180)
    result = _property(host, "Result")
    host.run("systemctl", "start", f"{NAME}.socket", f"{NAME}.service")
    assert result == "success"
