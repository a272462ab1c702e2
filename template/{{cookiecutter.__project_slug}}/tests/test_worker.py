"""The background worker: its heartbeat, its way to end, and the time that each place gives it for that."""

import os
import signal
{%- if cookiecutter.deploy == 'systemd' %}
import socket
{%- endif %}
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from gunicorn_conf import ServerSettings

_ROOT = Path(__file__).resolve().parent.parent
_ENV = _ROOT / ".env"
_SECONDS = 20
_PROGRAM = """
import asyncio, os, sys, time
from pathlib import Path
from app import asgi
from app.worker import Worker

async def job():
    print("job begins", flush=True)
{body}
    print("job ends", flush=True)

async def run():
    return await Worker(job, {options}, heartbeat=Path({heartbeat!r})).run()

asgi.configure("info", "json")
sys.exit(0 if asyncio.run(run()) else 1)
"""


class _Started:
    """A worker with a job of the test's, in a process of its own."""

    def __init__(self, directory: Path, body: str, options: str) -> None:
        self.heartbeat = directory / "heartbeat"
        self.output = directory / "output"
        source = _PROGRAM.format(body=body, options=options, heartbeat=str(self.heartbeat))
        with self.output.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", source], cwd=_ROOT, stdout=output, stderr=subprocess.STDOUT
            )

    def said(self) -> str:
        """Return its output until now."""
        return self.output.read_text(encoding="utf-8")

    def healthy(self, seconds: float = 2.5) -> bool:
        """Run the container's health check with an age that suits a test."""
        command = [sys.executable, "-I", "-S", str(_ROOT / "ops" / "heartbeat.py"), str(seconds)]
        environment = {**os.environ, "WORKER_HEARTBEAT": str(self.heartbeat)}
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Poll until it is so."""
        deadline = time.monotonic() + _SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)


Start = Callable[[str, str], _Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a worker; it is killed in the end."""
    started: list[_Started] = []

    def one(body: str, options: str = "every=0.1") -> _Started:
        started.append(_Started(tmp_path, body, options))
        return started[-1]

    yield one
    for worker in started:
        worker.process.kill()
        worker.process.wait()


def test_sigterm_finishes_the_job_in_hand(start: Start) -> None:
    """The job ends as it would have, no other one begins, and the exit code is 0."""
    worker = start("    await asyncio.sleep(2)", "every=0.1")
    worker.wait_for(lambda: "job begins" in worker.said())
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(_SECONDS) == 0
    assert worker.said().count("job begins") == worker.said().count("job ends") == 1


def test_sigterm_between_two_jobs_ends_it_at_once(start: Start) -> None:
    """An idle worker does not wait for its next turn."""
    worker = start("    pass", "every=600")
    worker.wait_for(lambda: "job done" in worker.said())
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(_SECONDS) == 0


def test_a_job_is_given_up_at_the_drain_timeout(start: Start) -> None:
    """A job that takes too long is cancelled, which the log and the exit code say."""
    worker = start("    await asyncio.sleep(600)", "every=0.1, drain=0.5")
    worker.wait_for(lambda: "job begins" in worker.said())
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(_SECONDS) == 1
    assert "job cancelled" in worker.said()
    assert "job ends" not in worker.said()


def test_a_job_has_a_limit(start: Start) -> None:
    """One that hangs is cancelled, and the next one runs."""
    worker = start("    await asyncio.sleep(600)", "every=0.1, limit=0.3")
    worker.wait_for(lambda: worker.said().count("job begins") > 1)
    assert "job cancelled" in worker.said()
    assert worker.healthy()


def test_a_job_that_raises_is_logged_and_the_next_one_runs(start: Start) -> None:
    """An error ends one job, not the worker."""
    worker = start("    raise ValueError('broken')", "every=0.1")
    worker.wait_for(lambda: worker.said().count("job begins") > 1)
    assert "ValueError: broken" in worker.said()


def test_a_killed_worker_is_unhealthy(start: Start) -> None:
    """The heartbeat's age tells, although the file is still there."""
    worker = start("    pass", "every=0.1")
    worker.wait_for(worker.healthy)
    worker.process.kill()
    worker.process.wait()
    worker.wait_for(lambda: not worker.healthy())
    assert worker.heartbeat.exists()


def test_a_stopped_worker_is_unhealthy_until_it_goes_on(start: Start) -> None:
    """A process that exists and does nothing is found, and the check recovers with it."""
    worker = start("    pass", "every=0.1")
    worker.wait_for(worker.healthy)
    worker.process.send_signal(signal.SIGSTOP)
    worker.wait_for(lambda: not worker.healthy())
    worker.process.send_signal(signal.SIGCONT)
    worker.wait_for(worker.healthy)


def test_a_blocked_worker_ends_itself_and_says_where(start: Start) -> None:
    """A job that blocks the event loop ends the process with a traceback, so that it is started again."""
    worker = start("    time.sleep(600)", "every=0.1, stalled=4")
    worker.wait_for(worker.heartbeat.exists)
    worker.wait_for(lambda: not worker.healthy())
    assert worker.process.wait(_SECONDS) == 1
    assert "Timeout" in worker.said()
    assert "in job" in worker.said()


def test_a_long_job_is_healthy(start: Start) -> None:
    """A job within its limit may take longer than the heartbeat may be old."""
    worker = start("    await asyncio.sleep(4)", "every=600")
    worker.wait_for(worker.heartbeat.exists)
    while "job ends" not in worker.said():
        assert worker.healthy()
        time.sleep(0.2)


def test_a_job_that_refuses_to_end_is_unhealthy(start: Start) -> None:
    """One that swallows its cancellation gets no heartbeats: the worker ends itself."""
    body = """\
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass
"""
    worker = start(body, "every=0.1, limit=0.1, stalled=2")
    worker.wait_for(lambda: worker.process.poll() is not None)
    assert worker.process.returncode == 1
    worker.wait_for(lambda: not worker.healthy())


@pytest.mark.parametrize("content", [None, "", "soon", "-1000.0", "9999999999999.0"])
def test_a_heartbeat_that_is_none_is_no_sign_of_life(tmp_path: Path, content: str | None) -> None:
    """A missing file, one that is no number, an old one and one of the future (of before a reboot)."""
    path = tmp_path / "heartbeat"
    if content is not None:
        path.write_text(content, encoding="ascii")
    environment = {**os.environ, "WORKER_HEARTBEAT": str(path)}
    command = [sys.executable, "-I", "-S", str(_ROOT / "ops" / "heartbeat.py")]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 1


def test_a_heartbeat_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """The worker does not start where its health check would never be green."""
    environment = {**os.environ, "APP_ENVIRONMENT": "development", "WORKER_HEARTBEAT": str(tmp_path / "no" / "where")}
{%- if cookiecutter.database == 'postgresql' %}
    environment["DATABASE_URL"] = "postgresql://app:app@127.0.0.1:1/app"
{%- endif %}
    command = [sys.executable, "-m", "app.worker"]
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("worker: heartbeat ")
    assert "Traceback" not in done.stderr


def test_the_worker_has_as_long_to_end_as_the_ladder_says() -> None:
    """A job that may go on until the drain timeout must not be killed before."""
    ladder = ServerSettings(_env_file=_ENV if _ENV.exists() else _ROOT / ".env.example")
    services = yaml.safe_load((_ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert services["worker"]["stop_grace_period"] == f"{ladder.stop_grace}s", (
        f"compose.yaml: set stop_grace_period of worker to {ladder.stop_grace}s, or PROXY_READ_TIMEOUT in .env back"
    )
{%- if cookiecutter.deploy == 'swarm' %}
    stack = yaml.safe_load((_ROOT / "deploy" / "swarm" / "stack.yaml").read_text(encoding="utf-8"))["services"]
    assert stack["worker"]["stop_grace_period"] == f"{ladder.stop_grace}s", (
        f"deploy/swarm/stack.yaml: set stop_grace_period of worker to {ladder.stop_grace}s"
    )
{%- elif cookiecutter.deploy == 'systemd' %}
    units = _ROOT / "deploy" / "systemd"
    ladder = ServerSettings(_env_file=units / "environment.example")
    unit = (units / "{{ cookiecutter.__project_slug }}-worker.service").read_text(encoding="utf-8")
    assert f"\nTimeoutStopSec={ladder.stop_grace}\n" in unit, (
        f"deploy/systemd/{{ cookiecutter.__project_slug }}-worker.service: set TimeoutStopSec to {ladder.stop_grace}"
    )
{%- elif cookiecutter.deploy == 'kubernetes' %}
    base = _ROOT / "deploy" / "kubernetes" / "base"
    [config] = yaml.safe_load((base / "kustomization.yaml").read_text(encoding="utf-8"))["configMapGenerator"]
    [seconds] = [value.partition("=")[2] for value in config["literals"] if value.startswith("PROXY_READ_TIMEOUT=")]
    ladder = ServerSettings(_env_file=None, proxy_read_timeout=int(seconds))
    pod = yaml.safe_load((base / "worker.yaml").read_text(encoding="utf-8"))["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == ladder.stop_grace, (
        f"worker.yaml: set terminationGracePeriodSeconds to {ladder.stop_grace}"
    )
{%- endif %}
{%- if cookiecutter.deploy == 'systemd' %}


def test_systemd_hears_the_heartbeats(tmp_path: Path) -> None:
    """READY=1 first, then WATCHDOG=1 again and again, STOPPING=1 at the end."""
    address = f"worker-{tmp_path.name}-{os.getpid()}"  # abstract: a path has at most 107 bytes
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{address}")
        server.settimeout(_SECONDS)
        environment = {
            **os.environ,
            "APP_ENVIRONMENT": "development",
            "NOTIFY_SOCKET": f"@{address}",
            "WORKER_HEARTBEAT": str(tmp_path / "heartbeat"),
{%- if cookiecutter.database == 'postgresql' %}
            "DATABASE_URL": "postgresql://app:app@127.0.0.1:1/app",
{%- endif %}
        }
        with subprocess.Popen([sys.executable, "-m", "app.worker"], cwd=_ROOT, env=environment) as process:
            heard = [server.recv(100) for _ in range(4)]
            process.terminate()
            while heard[-1] != b"STOPPING=1":
                heard.append(server.recv(100))
            assert process.wait(_SECONDS) == 0
    assert b"READY=1" in heard
    assert heard.count(b"WATCHDOG=1") > 1
{%- endif %}
