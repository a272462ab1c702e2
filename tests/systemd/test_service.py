"""The service on a booted host: what the README's commands give, and what each event costs clients at 200 POST/s."""

import json
import re
import subprocess
import sys
import time
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
    before = _answered(host)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: _answered(host) > before, seconds=20, what="the first answers")
        yield load
        result: dict[str, Any] = json.loads(process.communicate(timeout=seconds + 120)[0])
    load.outcomes, load.slowest = result["outcomes"], result["slowest"]
    sent = sum(load.outcomes.values())
    assert sent == rate * seconds
    record("systemd", case, sent=sent, lost=sum(load.lost().values()), **_versions(host))


def _answered(host: Host) -> int:
    """Return how many requests nginx has answered; it does not log health checks that succeed."""
    return int(host.sh("cat /var/log/nginx/access.log | wc -l"))


def _versions(host: Host) -> dict[str, str]:
    """Return what the running programs say about themselves."""
    nginx = host.run("nginx", "-v").strip().rpartition("/")[2]
    systemd = host.run("systemctl", "--version").split()[1]
    debian = host.run("cat", "/etc/debian_version").strip()
    return {"Debian": debian, "nginx": nginx, "systemd": systemd}


@contextmanager
def _slow_request(host: Host, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """Send a POST that takes so long; the block begins when a worker has it. What comes back is checked at its end."""
    before = _journal(host, "--output", "cat").count("slow request")
    command = ["curl", "--silent", "--write-out", "%{http_code}", "--request", "POST"]
    command += ["--resolve", "example.com:80:127.0.0.1", f"http://example.com/api/slow?seconds={seconds}"]
    with subprocess.Popen(host.network(*command), stdout=subprocess.PIPE, text=True) as client:
        wait_until(
            lambda: _journal(host, "--output", "cat").count("slow request") > before,
            seconds=30,
            what="the request to arrive",
        )
        assert client.poll() is None, "the request has to be under way"
        yield client
        answer = client.communicate(timeout=120)[0]
    assert answer.endswith("201"), answer


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


def test_diagnose_needs_no_options(host: Host) -> None:
    """In the service's directory, and elsewhere as over SSH, it finds unit, socket, address and logs.

    Nothing is wrong but what the kernel's log has, which is that of the machine that the host runs on.
    """
    for command in (f"cd /opt/{NAME} && sh ops/diagnose", f"cd / && sh -s < /opt/{NAME}/ops/diagnose"):
        said = host.try_run("sh", "-c", command).stdout
        assert f"unit {NAME}: active" in said
        assert f"[ ok ] inside   unix:/run/{NAME}/gunicorn.sock: 200" in said
        assert "[ ok ] outside  http://127.0.0.1/health/ready: 200" in said
        assert "[ ok ] nginx: nothing known to be bad" in said
        assert "[ ok ] application: nothing known to be bad" in said
        assert [line for line in said.splitlines() if "[FAIL]" in line and "kernel:" not in line] == []


def test_no_unit_has_failed(host: Host) -> None:
    """systemd says that everything runs."""
    assert host.try_run("systemctl", "is-system-running").stdout.strip() == "running"


def test_nginx_reaches_the_socket_as_its_own_user(host: Host) -> None:
    """nginx's worker processes are Debian's user, which the socket's group lets in."""
    users = set(host.sh("ps -C nginx -o user= | sort -u").split())
    assert users == {"root", "www-data"}


def test_clients_addresses_and_scheme_arrive(host: Host) -> None:
    """On a socket from systemd the application learns from nginx's headers who the client is and how it came."""
    through_nginx = json.loads(host.run("curl", "--silent", "--fail", "http://example.com/api/client"))
    assert through_nginx == {"scheme": "http", "client": "127.0.0.1"}
    as_nginx = ["--header", "X-Forwarded-Proto: https", "--header", "X-Forwarded-For: 203.0.113.7"]
    socket = ["--unix-socket", f"/run/{NAME}/gunicorn.sock", "http://example.com/api/client"]
    over_tls = json.loads(host.run("curl", "--silent", "--fail", *as_nginx, *socket))
    assert over_tls == {"scheme": "https", "client": "203.0.113.7"}


def test_fields_of_the_journal(host: Host) -> None:
    """Every line of the service has its unit and gunicorn's name. All have priority 6, also those that say ERROR."""
    host.run("logger", "--tag", "elsewhere", "not of the service")
    lines = [json.loads(line) for line in _journal(host, "--output", "json").splitlines()]
    own = [line for line in lines if line["_TRANSPORT"] == "stdout"]
    assert any("Booting worker" in str(line["MESSAGE"]) for line in own)
    assert {line["_SYSTEMD_UNIT"] for line in own} == {f"{NAME}.service"}
    assert {line["SYSLOG_IDENTIFIER"] for line in own} == {"gunicorn"}
    assert {line["PRIORITY"] for line in own} == {"6"}
    assert not any("not of the service" in str(line["MESSAGE"]) for line in lines)


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
        host.run("systemctl", "kill", "--kill-who=all", "--signal=KILL", NAME)
        wait_until(lambda: _ready(host), seconds=60, what="the service after its death")
    assert set(load.lost()) <= {"502"}
    assert sum(load.lost().values()) <= 20
    assert int(_property(host, "NRestarts")) == restarts + 1


def test_a_killed_main_process_costs_what_was_in_flight(host: Host) -> None:
    """kill -9 of gunicorn's master alone: systemd ends its workers and starts it again; the same is lost."""
    restarts = int(_property(host, "NRestarts"))
    with _load(host, 15, "the main process is killed") as load:
        host.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", NAME)
        wait_until(lambda: int(_property(host, "NRestarts")) > restarts, seconds=60, what="the start after its death")
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


@pytest.mark.parametrize("action", ["restart", "stop"])
def test_nginx_does_not_cut_a_request(host: Host, action: str) -> None:
    """Debian's unit gives a request 5 s; with the drop-in that the README installs a POST of 9 s gets its answer."""
    with _slow_request(host, 9):
        host.run("systemctl", action, "nginx", seconds=200)
    host.run("systemctl", "start", "nginx")


@pytest.fixture(name="probe", scope="session")
def _probe(host: Host) -> dict[str, str]:
    """What a worker can do, asked through nginx. The host has files that it would see without the unit's directives."""
    host.sh("touch /tmp/of-the-host /dev/of-the-host")
    wait_until(lambda: _ready(host), seconds=60, what="the service's readiness")
    found: dict[str, str] = json.loads(host.run("curl", "--silent", "--fail", "http://example.com/api/probe"))
    return found


_DENIED = "Operation not permitted"


_SANDBOX = [
    ("CapabilityBoundingSet", "CapBnd", "^0+$"),
    ("DynamicUser", "uid", r"^6[1-5]\d{3}$"),
    ("DynamicUser", "user", "^KeyError"),
    ("LockPersonality", "personality", _DENIED),
    ("MemoryDenyWriteExecute", "memory to write and execute", _DENIED),
    ("NoNewPrivileges", "NoNewPrivs", "^1$"),
    ("PrivateDevices", "list /dev", "^(?!.*of-the-host)"),
    ("PrivateTmp", "list /tmp", "^(?!.*of-the-host)"),
    ("PrivateUsers", "users", "^(?!.*4294967295)"),
    ("ProtectClock", "clock_settime", _DENIED),
    ("ProtectControlGroups", "/sys/fs/cgroup", "^read-only$"),
    ("ProtectHome", "list /home", "Permission denied"),
    ("ProtectHostname", "sethostname", _DENIED),
    ("ProtectKernelLogs", "syslog", _DENIED),
    ("ProtectKernelModules", "init_module", _DENIED),
    ("ProtectKernelTunables", "/proc/sys", "^read-only$"),
    ("ProtectProc", "process 1", "^False$"),
    ("ProtectSystem", "write into /srv/open", "Read-only file system"),
    ("RestrictAddressFamilies", "AF_NETLINK", "Address family not supported"),
    ("RestrictNamespaces", "unshare", _DENIED),
    ("RestrictRealtime", "SCHED_RR", _DENIED),
    ("RestrictSUIDSGID", "set-user-ID", _DENIED),
    ("SystemCallFilter", "mount", _DENIED),
    ("SystemCallFilter", "setpriority", _DENIED),
    ("UMask", "mode of a new file", "^0o600$"),
    ("mode 0600", "read the environment file", "Permission denied"),
]


@pytest.mark.parametrize(("directive", "attempt", "outcome"), _SANDBOX)
def test_the_sandbox_denies(probe: dict[str, str], directive: str, attempt: str, outcome: str) -> None:
    """What docs/how-to/systemd.md says about a directive is what a worker meets."""
    assert re.search(outcome, probe[attempt]), f"{directive}: {attempt}: {probe[attempt]}"


def test_the_sandbox_leaves_what_a_service_needs(probe: dict[str, str]) -> None:
    """Connections to a database, and files of its own in /tmp."""
    assert probe["AF_INET"] == "2"
    assert probe["chown"] == "None"


def test_the_page_names_what_is_probed() -> None:
    """Every directive in the page's table of the sandbox is probed above, and none is left out of it."""
    page = (ROOT / "docs" / "how-to" / "systemd.md").read_text(encoding="utf-8")
    table = page.partition("## What the sandbox denies")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `([A-Za-z]+)=", table, re.MULTILINE))
    assert named == {directive for directive, _, _ in _SANDBOX} - {"mode 0600"}


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
        with _load(host, 20, "workers leak under MemoryMax=, 10 a second", path="/api/leak", rate=10) as load:
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
    with _slow_request(second_host, 8):
        second_host.run("systemctl", "poweroff")


def test_stop_lets_a_request_finish(host: Host) -> None:
    """A POST of 8 s that is under way at ``systemctl stop`` gets its answer; the unit ends with success."""
    with _slow_request(host, 8):
        host.run("systemctl", "stop", f"{NAME}.socket", f"{NAME}.service", seconds=180)
    result = _property(host, "Result")
    host.run("systemctl", "start", f"{NAME}.socket", f"{NAME}.service")
    assert result == "success"


def test_stop_with_workers_that_do_not_run(host: Host) -> None:
    """Workers that SIGSTOP has halted are killed by gunicorn, not by systemd: within the ladder's stop grace, 35 s."""
    environment = f"/etc/{NAME}/environment"
    host.sh(f"cp -p {environment} /root/kept && sed -i 's/^PROXY_READ_TIMEOUT=.*/PROXY_READ_TIMEOUT=15/' {environment}")
    try:
        host.run("systemctl", "restart", NAME)
        wait_until(lambda: _ready(host), seconds=60, what="the service")
        host.sh(f"kill -STOP $(pgrep -P {_property(host, 'MainPID')})")
        began = time.monotonic()
        host.run("systemctl", "stop", f"{NAME}.socket", f"{NAME}.service", seconds=180)
        took = time.monotonic() - began
        result = _property(host, "Result")
    finally:
        host.sh(f"mv /root/kept {environment}")
        host.run("systemctl", "start", f"{NAME}.socket", f"{NAME}.service")
    assert result == "success"
    assert took < 35
