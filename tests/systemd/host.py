"""A Debian host whose process 1 is systemd: a directory that boots in namespaces of its own.

It has a network of its own, so its ports 80 and 8080 meet nothing else on this machine.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.polling import wait_until

__all__ = ["Host", "copy_of_debian"]

_HERE = Path(__file__).resolve().parent
_PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "gettext-base",
    "iproute2",
    "netbase",
    "nginx-light",
    "procps",
    "python3",
    "python3-venv",
    "systemd",
    "systemd-sysv",
)
_FROM_HERE = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf", "/etc/resolv.conf", "/etc/hosts")
"""What pip needs inside: certificates, its configuration, names."""


def copy_of_debian(target: Path, *, suite: str) -> Path:
    """Return ``target`` with a copy of a Debian that has systemd, nginx and Python.

    The original is made once with mmdebstrap (about a minute, 300 MB) and kept in ``~/.cache/no502``.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "no502" / f"systemd-{suite}"
    if not (cache / "etc" / "debian_version").is_file():
        _make(cache, suite)
    subprocess.run(["cp", "-a", "--reflink=auto", str(cache), str(target)], check=True, timeout=300)
    for name in _FROM_HERE:
        if Path(name).exists():
            place = Path(f"{target}{name}")
            place.unlink(missing_ok=True)
            shutil.copy(name, place)
    return target


def _make(cache: Path, suite: str) -> None:
    targets = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    sites = subprocess.run(targets, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    mirror = next(site for site in sites if "security" not in site)
    part = cache.with_name(f"{cache.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    command += ['--aptopt=Acquire::Check-Valid-Until "false"']
    command += ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"]
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    command += [suite, str(part), f"deb [signed-by={keys}] {mirror} {suite} main"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    part.rename(cache)


class Host:
    """A booted host, from the beginning of the ``with`` block to its end.

    Args:
        root: Its directory, not booted yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.console = root.with_name(f"{root.name}.console")
        self.installed = ""
        """What the commands of the installation wrote."""
        self._groups: list[Path] = []
        self._outer: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def before_boot(self, script: str, *, seconds: float = 300) -> str:
        """Run a shell script in the directory, with this machine's network, and return its output."""
        names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        kept = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
        environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", *kept]
        environment += ["PIP_CERT=/etc/ssl/certs/ca-certificates.crt"]
        return _output(["chroot", str(self.root), "env", "-i", *environment, "sh", "-ec", script], seconds)

    def __enter__(self) -> Self:
        """Boot it and wait until systemd says that it runs."""
        name = f"no502-test-{os.getpid()}-{self.root.name}"
        for hierarchy in (Path("/sys/fs/cgroup"), *sorted(Path("/sys/fs/cgroup").iterdir())):
            if (hierarchy / "cgroup.procs").is_file():
                self._groups.append(self._own_group(hierarchy, name))
        enter = "; ".join(f"echo $$ >{shlex.quote(str(group / 'cgroup.procs'))}" for group in self._groups)
        namespaces = "--pid --mount --net --ipc --uts --cgroup --fork --kill-child"
        script = f"{enter}; exec setsid unshare {namespaces} {_HERE / 'init.sh'} {shlex.quote(str(self.root))}"
        with self.console.open("wb") as console:
            self._outer = subprocess.Popen(
                ["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
            )
        try:
            self._pid = wait_until(self._first_process, seconds=20, what="process 1 of the host")
            wait_until(self._is_running, seconds=60, what="systemd")
        except BaseException as error:
            error.add_note(self.console.read_text(errors="replace")[-4000:])
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Power it off and remove its cgroups."""
        if error is not None:
            error.add_note(self.console.read_text(errors="replace")[-4000:])
        self.try_run("systemctl", "poweroff")
        self._end()

    def run(self, *command: str, seconds: float = 120) -> str:
        """Run a command inside, demand success, and return its output."""
        return _output(self._inside(*command), seconds)

    def try_run(self, *command: str, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        """Run a command inside and return how it ended."""
        return subprocess.run(
            self._inside(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )

    def sh(self, script: str, *, seconds: float = 120) -> str:
        """Run a shell script inside, demand success, and return its output."""
        return self.run("sh", "-ec", script, seconds=seconds)

    def network(self, *command: str) -> list[str]:
        """Return a command that runs here, with the host's network."""
        return ["nsenter", f"--net=/proc/{self._pid}/ns/net", *command]

    def _inside(self, *command: str) -> list[str]:
        environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]
        spaces = ["--pid", "--mount", "--net", "--ipc", "--uts", "--cgroup", "--root", "--wd"]
        return ["nsenter", "--target", str(self._pid), *spaces, "env", "-i", *environment, *command]

    def _own_group(self, hierarchy: Path, name: str) -> Path:
        group = hierarchy / name
        group.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (group / file).is_file() and (hierarchy / file).is_file():
                (group / file).write_text((hierarchy / file).read_text())
        return group

    def _first_process(self) -> int:
        assert self._outer is not None
        assert self._outer.poll() is None, self.console.read_text(errors="replace")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def _is_running(self) -> bool:
        assert self._outer is not None
        assert self._outer.poll() is None, self.console.read_text(errors="replace")
        return self.try_run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}

    def _end(self) -> None:
        assert self._outer is not None
        try:
            self._outer.wait(120)
        except subprocess.TimeoutExpired:
            self._outer.kill()
            self._outer.wait()
        for group in self._groups:
            for path in sorted(group.rglob("*"), reverse=True):
                if path.is_dir():
                    path.rmdir()
            group.rmdir()


def _output(command: list[str], seconds: float) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(command)}: exit status {done.returncode}\n{done.stdout}"
    return done.stdout
