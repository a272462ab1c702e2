"""Routes that a test adds to the service: slow answers, a leak, and what the sandbox of the unit lets a worker do.

The conftest copies this module into the service, so it imports nothing of the tests.
"""

import asyncio
import ctypes
import mmap
import os
import pwd
import socket
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Request

__all__ = ["router"]

router = APIRouter()
_kept: list[bytearray] = []

# Numbers of x86-64 (the table of the kernel, arch/x86/entry/syscalls/syscall_64.tbl), with arguments.
_CALLS: dict[str, tuple[int | bytes, ...]] = {
    "clock_settime": (227, 0, 0),
    "init_module": (175, 0, 0, b""),
    "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0),
    "personality": (135, 8),
    "setpriority": (141, 0, 0, 5),
    "sethostname": (170, b"a", 1),
    "syslog": (103, 10, 0, 0),
    "unshare": (272, 0x04000000),
}


@router.post("/slow", status_code=201)
async def slow(seconds: float) -> dict[str, float]:
    """Answer late, and say in the log that the request has arrived."""
    print("slow request", flush=True)  # noqa: T201  the log
    await asyncio.sleep(seconds)
    return {"seconds": seconds}


@router.post("/leak", status_code=201)
async def leak() -> None:
    """Take a mebibyte and keep it."""
    _kept.append(bytearray(2**20))


@router.get("/client")
async def client(request: Request) -> dict[str, str]:
    """Say how the request came, as the application sees it."""
    return {"scheme": request.url.scheme, "client": request.client.host if request.client else ""}


@router.get("/probe")
def probe() -> dict[str, str]:
    """Try what a process without the unit's directives can do; say what each attempt gave."""
    found = {name: _call(*arguments) for name, arguments in _CALLS.items()}
    mine = Path("/tmp/probe")  # noqa: S108  the unit's own
    tries: dict[str, Callable[[], object]] = {
        "uid": os.getuid,
        "user": lambda: pwd.getpwuid(os.getuid()).pw_name,
        "mode of a new file": lambda: (mine.write_text(""), oct(mine.stat().st_mode & 0o777))[1],
        "write into /srv/open": lambda: Path("/srv/open/x").write_text(""),
        "read the environment file": lambda: Path("/etc/my-service/environment").read_text()[:1],
        "list /home": lambda: _names("/home"),
        "list /tmp": lambda: _names("/tmp"),  # noqa: S108
        "list /dev": lambda: _names("/dev"),
        "users": lambda: Path("/proc/self/uid_map").read_text().split(),
        "/sys/fs/cgroup": lambda: _read_only("/sys/fs/cgroup"),
        "/proc/sys": lambda: _read_only("/proc/sys"),
        "process 1": lambda: Path("/proc/1").exists(),
        "AF_NETLINK": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).family,
        "AF_INET": lambda: socket.socket().family,
        "memory to write and execute": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close(),
        "SCHED_RR": lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)),
        "set-user-ID": lambda: mine.chmod(0o4755),
        "chown": lambda: os.chown(mine, os.getuid(), os.getgid()),
    }
    found |= {name: _attempt(what) for name, what in tries.items()}
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return found | dict(line.split(":\t", 1) for line in lines if line.startswith(("Cap", "NoNewPrivs", "Seccomp:")))


def _attempt(what: Callable[[], object]) -> str:
    try:
        return str(what())
    except (OSError, KeyError) as error:
        return f"{type(error).__name__}: {error}"


def _call(number: int | bytes, *arguments: int | bytes) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    return "done" if libc.syscall(number, *arguments) >= 0 else os.strerror(ctypes.get_errno())


def _read_only(path: str) -> str:
    return "read-only" if os.statvfs(path).f_flag & os.ST_RDONLY else "writable"


def _names(directory: str) -> list[str]:
    return sorted(path.name for path in Path(directory).iterdir())
