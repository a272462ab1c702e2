"""The generated service's ``ops/rolling-restart``: its order of steps, and that nothing is lost."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from no502.nginx.binary import find_nginx, nginx_version
from tests.nginx.proxy import HOST, Nginx, Proxy
from tests.support.backend import OK, Backend, response
from tests.support.commands import ROOT
from tests.support.directories import public_directory
from tests.support.load import Load
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.template import PROJECT, service_environment
from tests.template.conftest import Service

SCRIPT = PROJECT / "ops" / "rolling-restart"
_SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"]}
_SECONDS = 60.0


@pytest.fixture(name="shell", params=list(_SHELLS))
def _shell(request: pytest.FixtureRequest) -> list[str]:
    """Each of two shells."""
    return _SHELLS[request.param]


def _roll(shell: Sequence[str], *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    command = [str(shutil.which(shell[0])), *shell[1:], str(SCRIPT), *arguments]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
    )


def test_it_is_clean_posix_shell() -> None:
    """shellcheck finds nothing, dash and busybox parse it, and it can be executed."""
    assert os.access(SCRIPT, os.X_OK)
    shellcheck = [str(Path(sys.executable).with_name("shellcheck")), "-s", "sh"]
    for command in (shellcheck, ["dash", "-n"], ["busybox", "sh", "-n"]):
        done = subprocess.run([*command, SCRIPT], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert done.stdout == ""
        assert done.stderr == ""


class _Fakes:
    """Instances that are only a readiness answer each, and commands that write down what was done to whom."""

    def __init__(self, stack: ExitStack, directory: Path, count: int) -> None:
        self.unready: set[str] = set()
        self.notes = directory / "notes"
        self.notes.touch()
        self.ports = [str(stack.enter_context(self._backend()).port) for _ in range(count)]
        self.arguments = ["--ready", "http://127.0.0.1:{}/health/ready", "--settle", "0", "--wait", "1"]

    def _backend(self) -> Backend:
        backend: list[Backend] = []

        def answer(*_: object) -> bytes:
            return response("503 No", b"", "Connection: close") if str(backend[0].port) in self.unready else OK

        backend.append(Backend(answer))
        return backend[0]

    def note(self, word: str, *, then: str = "") -> str:
        """Return a command that writes the word and the instance down."""
        return f"echo {word} {{}} >>'{self.notes}'{then}"

    def done(self) -> list[str]:
        """Return what has been written down."""
        return self.notes.read_text(encoding="utf-8").splitlines()


@pytest.fixture(name="fakes")
def _fakes(tmp_path: Path) -> Iterator[_Fakes]:
    """Three instances that are ready."""
    with ExitStack() as stack:
        yield _Fakes(stack, tmp_path, 3)


def test_one_after_the_other(shell: list[str], fakes: _Fakes) -> None:
    """Out, restart, in: all of it for one instance before anything happens to the next."""
    commands = ["--restart", fakes.note("restart"), "--out", fakes.note("out"), "--in", fakes.note("in")]
    done = _roll(shell, *fakes.arguments, *commands, *fakes.ports)
    assert done.returncode == 0
    assert done.stderr == ""
    assert fakes.done() == [f"{step} {port}" for port in fakes.ports for step in ("out", "restart", "in")]
    assert done.stdout.splitlines()[-1] == f"rolling-restart: all restarted: {' '.join(fakes.ports)}"


def test_nothing_is_touched_while_one_is_not_ready(shell: list[str], fakes: _Fakes) -> None:
    """An instance that is down already means: no restart of any other."""
    fakes.unready.add(fakes.ports[2])
    done = _roll(shell, *fakes.arguments, "--restart", fakes.note("restart"), *fakes.ports)
    assert done.returncode == 1
    assert fakes.done() == []
    assert done.stderr.startswith(f"rolling-restart: nothing is restarted: {fakes.ports[2]} is not ready (http://")


def test_an_instance_that_does_not_come_back_ends_it(shell: list[str], fakes: _Fakes) -> None:
    """The first that does not get ready: the others are left alone, exit code 1, and it says who is still out."""
    first, *_ = fakes.ports
    gate = fakes.notes.with_name("gate")
    os.mkfifo(gate)

    def fail() -> None:
        gate.open("r").close()  # returns when the restart has begun
        fakes.unready.add(first)
        gate.open("w").close()

    thread = threading.Thread(target=fail, daemon=True)
    thread.start()
    # The restart ends when the instance is not ready any more.
    restart = fakes.note("restart", then=f"; : >'{gate}'; : <'{gate}'")
    commands = ["--restart", restart, "--out", fakes.note("out"), "--in", fakes.note("in")]
    done = _roll(shell, *fakes.arguments, *commands, *fakes.ports)
    thread.join(_SECONDS)
    assert done.returncode == 1
    assert fakes.done() == [f"out {first}", f"restart {first}"]
    assert done.stderr == f"rolling-restart: {first}: not ready after 1 s; it is still out of the proxy\n"


@pytest.mark.parametrize(("step", "expected"), [("out", ["out"]), ("restart", ["out", "restart"])])
def test_a_command_that_fails_ends_it(shell: list[str], fakes: _Fakes, step: str, expected: list[str]) -> None:
    """A failing command is named with its exit code, and nothing more happens."""
    commands = []
    for name in ("restart", "out", "in"):
        commands += [f"--{name}", fakes.note(name, then="; exit 7" if name == step else "")]
    done = _roll(shell, *fakes.arguments, *commands, *fakes.ports)
    assert done.returncode == 1
    assert fakes.done() == [f"{name} {fakes.ports[0]}" for name in expected]
    assert f"{fakes.ports[0]}: --{step} failed with exit code 7; " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--restart", "x {}", "--ready", "http://x:{}/", "8001"], "at least two instances are needed"),
        (["--ready", "http://x:{}/", "a", "b"], "--restart is missing"),
        (["--restart", "x {}", "a", "b"], "--ready is missing"),
        (["--restart", "x {}", "--ready", "http://x/", "a", "b"], "has no {}"),
        (["--restart", "x {}", "--ready", "http://x:{}/", "--out", "y", "a", "b"], "--out needs --in"),
        (["--restart", "x {}", "--ready", "http://x:{}/", "--in", "y", "a", "b"], "--in needs --out"),
        (["--restart", "x {}", "--ready", "http://x:{}/", "--wait", "1m", "a", "b"], "must be whole seconds"),
        (["--restart", "x {}", "--ready", "http://x:{}/", "--settle", "-1", "a", "b"], "must be whole seconds"),
        (["--restart", "x {}", "--ready", "http://x:{}/", "a; true", "b"], "a; true: an instance has only"),
        (["--restart"], "--restart needs a value"),
        (["--restrat", "x"], "--restrat: unknown option"),
    ],
)
def test_wrong_usage(shell: list[str], arguments: list[str], message: str) -> None:
    """One line that says what is wrong, exit code 2."""
    done = _roll(shell, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


# ---------------------------------------------------------------------------------------------------- with real servers
_STARTER = """\
import os, pathlib, signal, subprocess, sys, time
port, service, python = sys.argv[1:4]
pidfile = pathlib.Path(os.environ["PIDS"], port)
if pidfile.exists():
    pid = int(pidfile.read_text())
    os.kill(pid, signal.SIGTERM)
    try:
        while ") Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text():
            time.sleep(0.05)
    except (FileNotFoundError, ProcessLookupError):
        pass
log = pathlib.Path(os.environ["PIDS"], port + ".log").open("a")
command = [python, "-m", "gunicorn", "-c", "app/server.py", "app.main:app"]
env = {**os.environ, "GUNICORN_BIND": f"127.0.0.1:{port}"}
started = subprocess.Popen(command, cwd=service, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                           start_new_session=True)
pidfile.write_text(str(started.pid))
"""
_PROXY_COMMAND = """\
import os, pathlib, re, signal, sys, time
master, file, port, word = sys.argv[1:5]
conf = pathlib.Path(file)
lines = [line.replace(" down;", ";") if f":{port} " in line else line for line in conf.read_text().splitlines(True)]
if word == "out":
    lines = [line.replace(";", " down;") if f":{port} " in line else line for line in lines]
children = pathlib.Path(f"/proc/{master}/task/{master}/children")
old = set(children.read_text().split())
conf.write_text("".join(lines))
os.kill(int(master), signal.SIGHUP)
while not (now := set(children.read_text().split())) or now & old:
    time.sleep(0.05)
"""


@pytest.fixture(name="tree")
def _tree() -> Iterator[Path]:
    """A directory that nginx's workers can reach."""
    with public_directory() as directory:
        yield directory


@pytest.fixture(name="instances")
def _instances(usual: Service, tree: Path) -> Iterator[tuple[list[str], str]]:
    """Two instances of the service, each started and restarted by the command that is returned with their ports."""
    pids = tree / "pids"
    pids.mkdir()
    own = {"PIDS": str(pids), "APP_ALLOWED_HOSTS": HOST, "WEB_CONCURRENCY": "1", "PROXY_KEEPALIVE_TIMEOUT": "1"}
    environment = service_environment(usual.directory.parent / "tmp", **own)
    starter = tree / "start.py"
    starter.write_text(_STARTER, encoding="utf-8")
    assignments = " ".join(f"{name}='{environment[name]}'" for name in own)
    command = f"{assignments} '{sys.executable}' '{starter}' {{}} '{usual.directory}' '{usual.python}'"
    ports = [str(free_port()), str(free_port())]
    try:
        for port in ports:
            subprocess.run(["sh", "-c", command.replace("{}", port)], env=environment, check=True, timeout=_SECONDS)
        yield ports, command
    finally:
        for port in ports:
            if (pids / port).exists():
                _end(int((pids / port).read_text(encoding="ascii")))


def _lives(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _end(pid: int) -> None:
    """Stop one gunicorn that is nobody's child any more."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    wait_until(lambda: not _lives(pid), seconds=_SECONDS, what=f"the end of {pid}")


def _pids(tree: Path, ports: list[str]) -> list[int]:
    return [int((tree / "pids" / port).read_text(encoding="ascii")) for port in ports]


def test_a_rolling_restart_loses_nothing(instances: tuple[list[str], str], tree: Path) -> None:
    """Two instances behind nginx, POSTs all the time: both are restarted, and every request is answered with 201."""
    ports, restart = instances
    path = find_nginx(None)
    proxy = Proxy(Nginx(path, nginx_version(path)), tree / "nginx", f"127.0.0.1:{ports[0]}")
    upstream = proxy.directory / "conf.d" / "upstream.conf"
    text = upstream.read_text(encoding="utf-8")
    servers = "\n".join(f"    server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;" for port in ports)
    changed = text.replace(f"    server 127.0.0.1:{ports[0]} max_fails=1 fail_timeout=1s;", servers)
    assert changed != text
    upstream.write_text(changed, encoding="utf-8")
    with proxy:
        for port in ports:
            wait_until(lambda port=port: _ready(port), seconds=_SECONDS, what=f"instance {port}")  # type: ignore[misc]
        before = _pids(tree, ports)
        helper = tree / "proxy.py"
        helper.write_text(_PROXY_COMMAND, encoding="utf-8")
        change = f"'{sys.executable}' '{helper}' {proxy.pid} '{upstream}' {{}} "
        arguments = ["--restart", restart, "--ready", "http://127.0.0.1:{}/health/ready", "--wait", "60"]
        arguments += ["--out", f"{change} out", "--in", f"{change} in", "--settle", "0"]
        with Load(proxy.port, host=HOST, at_most=4) as load:
            wait_until(lambda: load.answered >= 20, seconds=_SECONDS, what="the first answers")
            done = _roll(_SHELLS["dash"], *arguments, *ports, seconds=240)
            assert done.returncode == 0, done.stderr
            enough = load.answered + 20
            wait_until(lambda: load.answered >= enough, seconds=_SECONDS, what="answers after it")
        assert load.failures == {}
        assert not set(before) & set(_pids(tree, ports))
        assert [pid for pid in before if _lives(pid)] == []


def _ready(port: str) -> bool:
    probe = ["curl", "--fail", "--silent", "--max-time", "3", "--output", os.devnull]
    return subprocess.run([*probe, f"http://127.0.0.1:{port}/health/ready"], check=False).returncode == 0


def test_the_documented_commands_take_an_instance_out_and_put_it_back(shell: list[str], fakes: _Fakes) -> None:
    """What docs/how-to/rolling-restart.md does to upstream.conf, with its own sed, while each instance restarts."""
    text = (ROOT / "docs" / "how-to" / "rolling-restart.md").read_text(encoding="utf-8")
    upstream = fakes.notes.with_name("upstream.conf")
    upstream.write_text(text.split("```nginx\n")[1].split("```")[0], encoding="utf-8")
    for old, new in zip(("8001", "8002"), fakes.ports[:2], strict=True):
        upstream.write_text(upstream.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    before = upstream.read_text(encoding="utf-8")
    (out, back) = [line.split('"')[1].split(" && ")[0] for line in text.splitlines() if "sed -i" in line]
    commands = [f"--{name}={value}" for name, value in (("out", out), ("in", back))]
    commands = [part.replace("/etc/no502/conf.d/upstream.conf", str(upstream)) for part in commands]
    restart = (
        f"grep -c down '{upstream}' >>'{fakes.notes}'; grep '127.0.0.1:{{}} .* down;' '{upstream}' >>'{fakes.notes}'"
    )
    arguments = [part for command in commands for part in command.split("=", 1)]
    done = _roll(shell, *fakes.arguments, "--restart", restart, *arguments, *fakes.ports[:2])
    assert done.returncode == 0, done.stderr
    assert upstream.read_text(encoding="utf-8") == before
    assert fakes.done() == [
        line for port in fakes.ports[:2] for line in ("1", f"server 127.0.0.1:{port} max_fails=1 fail_timeout=1s down;")
    ]
