"""The loss matrix: each way in which a worker leaves, against each kind of request, on each server.

A cell is one server, one way and one kind. Cells that were measured are kept in ``results/matrix.json`` and not
measured again, so a run may be stopped and resumed at any time; a maintainer of another server reruns one cell with one
line:

    python benchmarks/matrix.py --only uvicorn-w2/reload/post --again

``lost`` of ``total`` has its upper bound at 95 % (Clopper-Pearson, one-sided): nothing lost of 3,000 means less than
one in a thousand.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import exp, lgamma, log, log1p
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _cpu import children
from _matrix_clients import KINDS, Tally, held, run_clients
from _nginx import Nginx
from _peers import PEERS, Peer, Setup
from _report import conditions
from _servers import Server

from no502.nginx.binary import find_nginx
from no502.serve.ports import free_port
from no502.svg import element, label, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["main", "upper_bound"]

_RESULTS = Path(__file__).resolve().parent / "results"
_SERVERS = ("handover-w2", "uvicorn-worker-w2", "gunicorn-asgi-w2", "uvicorn-w2", "hypercorn-w2", "granian-w2")
_MODULES = {"hypercorn-w2": "hypercorn", "granian-w2": "granian"}
_CLIENTS = 10
_MAX_REQUESTS = 300
_LEAK_BYTES = 100_000
_GONE_SECONDS = 90.0
_POLL_SECONDS = 0.05
_HELD = 16
"""Slow requests, so many that each of two workers has one but for one time in 30,000."""
_BY_LIMIT = {"max_requests", "max_memory", "fork"}
_POSTS = 4
_SAYS = "Lost requests, streams and messages by server, way in which a worker leaves, and kind of request"


@dataclass(frozen=True)
class Way:
    """A way in which workers leave."""

    title: str
    servers: tuple[str, ...]
    max_requests: int = 0
    instances: int = 1
    leak: bool = False
    kinds: tuple[str, ...] = tuple(KINDS)


_GUNICORN = _SERVERS[:3]
WAYS: dict[str, Way] = {
    "max_requests": Way(f"recycled every {_MAX_REQUESTS} requests", _SERVERS[:5], max_requests=_MAX_REQUESTS),
    "max_memory": Way("recycled by memory, the application leaks", _SERVERS[:1], leak=True),
    "reload": Way("SIGHUP", _SERVERS),
    "scale": Way("SIGTTIN, then SIGTTOU", (*_GUNICORN, "uvicorn-w2")),
    "stop": Way("SIGTERM to one of two instances", _SERVERS, instances=2, kinds=("post", "chunked")),
    "kill": Way("SIGKILL of a worker that drains slow requests after SIGHUP", _SERVERS),
    "fork": Way("recycled while no process can be created", _GUNICORN, max_requests=_MAX_REQUESTS),
}


def upper_bound(lost: int, total: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper bound of a loss rate (Clopper-Pearson): the rate at which so few would be rare."""
    if not total or lost >= total:
        return 1.0
    low, high = lost / total, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(lost, total, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(lost: int, total: int, rate: float) -> float:
    """Return how likely at most so many of a total are lost at a rate."""
    if rate >= 1:
        return 0.0
    logs = [
        lgamma(total + 1)
        - lgamma(k + 1)
        - lgamma(total - k + 1)
        + (k * log(rate) if k else 0)
        + (total - k) * log1p(-rate)
        for k in range(lost + 1)
    ]
    return sum(exp(value) for value in logs)


def main() -> int:
    """Measure the cells that are missing; write JSON, a table and a picture after each."""
    options = _options()
    signal.signal(signal.SIGTERM, _leave)
    path = options.out / "matrix.json"
    cells: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for cell in _chosen(options.only):
        if cell in cells and not options.again:
            continue
        print(cell, file=sys.stderr, flush=True)
        try:
            server, way, kind = cell.split("/")
            cells[cell] = _measure(server, way, kind, options)
        except (RuntimeError, OSError) as error:
            cells[cell] = {"error": str(error).splitlines()[0]}
        print(f"    {_shown(cells[cell])}", file=sys.stderr, flush=True)
        options.out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(cells, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(_table(cells), encoding="utf-8")
        path.with_suffix(".svg").write_text(_picture(cells), encoding="utf-8")
    print(_table(cells))
    return 0


def _leave(number: int, _frame: FrameType | None) -> None:
    """SIGTERM: end by an exception, so that every server is stopped on the way out."""
    raise SystemExit(128 + number)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What is lost when workers leave, cell by cell.")
    add = parser.add_argument
    add("--only", default="", help="comma list of SERVER/WAY/KIND; parts may be left empty: /reload/post")
    add("--again", action="store_true", help="measure cells that are there already")
    add("--seconds", type=float, default=20.0, help="how long each cell lasts, besides the last worker's end")
    add("--times", type=int, default=3, help="how often a signal is sent in that time")
    add("--out", type=Path, default=_RESULTS, help="directory of the results")
    return parser.parse_args()


def _chosen(only: str) -> list[str]:
    wanted = [(*part.split("/"), "", "")[:3] for part in only.split(",")]
    cells = [(server, way, kind) for way, about in WAYS.items() for server in about.servers for kind in about.kinds]
    fits = [
        cell
        for cell in cells
        if any(all(part in {"", whole} for part, whole in zip(one, cell, strict=True)) for one in wanted)
    ]
    if not fits:
        known = f"servers {', '.join(_SERVERS)}; ways {', '.join(WAYS)}; kinds {', '.join(KINDS)}"
        message = f"--only {only}: no such cell; {known}"
        raise SystemExit(message)
    return ["/".join(cell) for cell in fits]


def _measure(server: str, name: str, kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what one cell gave.

    Raises:
        RuntimeError: It could not be measured.
    """
    way, peer = WAYS[name], next(peer for peer in PEERS if peer.name == server)
    if (module := _MODULES.get(server)) and importlib.util.find_spec(module) is None:
        message = f"{module} is not installed"
        raise RuntimeError(message)
    with tempfile.TemporaryDirectory(prefix="matrix-") as directory, ExitStack() as stack:
        bound = [f"127.0.0.1:{free_port()}" for _ in range(way.instances)]
        servers = [
            stack.enter_context(Server(_prepared(peer, way), _setup(peer, way, address), Path(directory) / str(number)))
            for number, address in enumerate(bound)
        ]
        ports = [int(address.rpartition(":")[2]) for address in bound]
        if KINDS[kind][1]:
            nginx = Nginx(
                find_nginx(None),
                Path(directory) / "nginx",
                upstreams=bound,
                upstream_keepalive=15,
                buffers_requests=kind != "chunked",
            )
            ports = [stack.enter_context(nginx).port]
        gone: list[float] = []
        direct = int(bound[0].rpartition(":")[2])
        happening = _happen(name, servers, direct, options, gone)
        others = ports[:1] * _POSTS if name in _BY_LIMIT and kind != "post" else []
        tally = asyncio.run(run_clients(kind, ports, _CLIENTS, happening, posts=others))
    if not gone:
        message = f"no worker left in {options.seconds:.0f} s"
        raise RuntimeError(message)
    return _cell(tally, gone)


def _setup(peer: Peer, way: Way, address: str) -> Setup:
    return Setup(address, peer.workers, "_app_matrix:app", way.max_requests, 15)


def _prepared(peer: Peer, way: Way) -> Peer:
    if not way.leak:
        return peer
    variables = {"GUNICORN_MAX_MEMORY": "100M", "BENCH_LEAK_BYTES": str(_LEAK_BYTES)}
    return replace(peer, environment=lambda setup: peer.environment(setup) | variables)


def _cell(tally: Tally, gone: list[float]) -> dict[str, Any]:
    return {
        "lost": tally.lost,
        "total": tally.total,
        "upper": upper_bound(tally.lost, tally.total),
        "slowest_seconds": round(tally.slowest, 3),
        "gone_seconds": round(max(gone), 1) if gone else None,
        "departures": len(gone),
        "date": time.strftime("%Y-%m-%d"),
        "conditions": conditions(find_nginx(None)),
    }


# ----------------------------------------------------------------------------------------------- what happens meanwhile
async def _happen(name: str, servers: list[Server], port: int, options: argparse.Namespace, gone: list[float]) -> None:
    master = servers[0]
    await asyncio.sleep(1)
    if name in {"max_requests", "max_memory"}:
        await _note_departures(master, options.seconds, gone)
    elif name == "fork":
        with _no_more_processes(master.pid):
            await asyncio.sleep(options.seconds / 2)
        await _note_departures(master, options.seconds / 2, gone)
    elif name == "stop":
        master.signal(signal.SIGTERM)
        began = time.monotonic()
        await _until(lambda: not _workers(master))
        gone.append(time.monotonic() - began)
        await asyncio.sleep(2)
    else:
        for _ in range(options.times):
            await _signal(name, master, port, gone)
            await asyncio.sleep(options.seconds / options.times)


async def _signal(name: str, master: Server, port: int, gone: list[float]) -> None:
    before, began = _workers(master), time.monotonic()
    if name == "kill":
        await _kill_draining(master, port, before)
    elif name == "scale":
        master.signal(signal.SIGTTIN)
        await asyncio.sleep(3)
        before, began = _workers(master), time.monotonic()
        master.signal(signal.SIGTTOU)
        await _until(lambda: len(before & _workers(master)) < len(before))
    else:
        master.signal(signal.SIGHUP)
        await _until(lambda: not before & _workers(master))
    gone.append(time.monotonic() - began)


async def _kill_draining(master: Server, port: int, before: set[int]) -> None:
    """Reload while slow requests are in flight, and kill one of the workers that drain them.

    Raises:
        RuntimeError: No worker was left to be killed.
    """
    async with held(port, _HELD):
        await asyncio.sleep(1)
        master.signal(signal.SIGHUP)
        await _until(lambda: bool(_workers(master) - before))
        await asyncio.sleep(1)
        draining = sorted(before & _workers(master))
        if not draining:
            message = "no worker drained: the old ones were gone within a second of the new ones"
            raise RuntimeError(message)
        os.kill(draining[0], signal.SIGKILL)
        await _until(lambda: draining[0] not in _workers(master))
    await _until(lambda: not before & _workers(master))


def _workers(master: Server) -> set[int]:
    """Return the processes of a server's workers: its children but for the helper that multiprocessing starts."""
    return {child for child in children(master.pid) if b"resource_tracker" not in _command_line(child)}


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def _note_departures(master: Server, seconds: float, gone: list[float]) -> None:
    """Count workers that have left by themselves; how long each drained is in no server's log but one."""
    deadline, present = time.monotonic() + seconds, _workers(master)
    while time.monotonic() < deadline:
        now = _workers(master)
        gone += [0.0] * len(present - now)
        present = now
        await asyncio.sleep(_POLL_SECONDS)


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _GONE_SECONDS
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110  processes send no event
        await asyncio.sleep(_POLL_SECONDS)


@contextmanager
def _no_more_processes(master: int) -> Iterator[None]:
    """Put a server into a cgroup in which it can have no process more than it has.

    Raises:
        RuntimeError: There can be no such cgroup here.
    """
    root = Path("/sys/fs/cgroup")
    root = root / "pids" if (root / "pids").is_dir() else root
    group = root / f"no502-matrix-{os.getpid()}"
    try:
        group.mkdir()
        for pid in (master, *children(master)):
            (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
        (group / "pids.max").write_text((group / "pids.current").read_text(encoding="ascii"), encoding="ascii")
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        message = f"no cgroup that limits processes: {error}"
        raise RuntimeError(message) from None
    try:
        yield
    finally:
        (group / "pids.max").write_text("max", encoding="ascii")
        for member in (group / "cgroup.procs").read_text(encoding="ascii").split():
            (root / "cgroup.procs").write_text(member, encoding="ascii")
        group.rmdir()


# ---------------------------------------------------------------------------------------------------------- the reports
def _shown(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    if "error" in cell:
        return f"not measured: {cell['error']}"
    after = f", old gone after {cell['gone_seconds']} s" if cell["gone_seconds"] else ""
    if not cell["total"]:
        return f"none ended{after}"
    bound = cell["upper"]
    limit = f"{bound * 100:.2g} %" if bound < 0.1 else f"{bound * 100:.0f} %"
    lost = f"**{cell['lost']:,}**" if cell["lost"] else "0"
    slowest = f", slowest {cell['slowest_seconds']} s" if cell["slowest_seconds"] else ""
    return f"{lost} of {cell['total']:,} (< {limit}){slowest}{after}"


def _table(cells: dict[str, Any]) -> str:
    parts = ["# Loss matrix", (__doc__ or "").split("\n\n", 1)[1].strip().replace("``", "`")]
    parts += ["## Kinds of request that lost nothing", _summary(cells), "## Every cell", f"![{_SAYS}](matrix.svg)"]
    for name, way in WAYS.items():
        rows = ["| server | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
        for server in way.servers:
            found = [_shown(cells.get(f"{server}/{name}/{kind}")) for kind in KINDS]
            rows += [f"| {server} | " + " | ".join(found) + " |"] if any(found) else []
        if len(rows) > 2:
            parts += [f"## {name}: {way.title}", "\n".join(rows)]
    direct = ", ".join(kind for kind, (_, proxied) in KINDS.items() if not proxied)
    parts.append(
        f"{_CLIENTS} clients; nginx in between except for {direct}. The unit of `sse` is a stream (sse-starlette's), "
        "lost if it ends without its last chunk: a browser's EventSource reconnects all the same, other clients raise "
        "an error; of `websocket` a message that was sent, lost without its echo; everything else is a request, which "
        "is never sent a second time."
    )
    return "\n\n".join([*parts, "## Measured on", _conditions(cells)]) + "\n"


def _summary(cells: dict[str, Any]) -> str:
    """Return a table: for each server and way, of how many kinds nothing was lost, of how many that were measured."""
    rows = ["| server | " + " | ".join(WAYS) + " |", "|---" * (len(WAYS) + 1) + "|"]
    for server in _SERVERS:
        shown = []
        for name in WAYS:
            found = [cells.get(f"{server}/{name}/{kind}", {}) for kind in KINDS]
            measured = [cell for cell in found if cell.get("total")]
            shown.append(f"{sum(not cell['lost'] for cell in measured)} of {len(measured)}" if measured else "")
        rows.append(f"| {server} | " + " | ".join(shown) + " |")
    return "\n".join(rows)


def _conditions(cells: dict[str, Any]) -> str:
    """Return a line for each machine and day that cells were measured on."""
    found = Counter(f"{cell['date']}: {cell['conditions']}" for cell in cells.values() if "conditions" in cell)
    return "\n".join(f"- {count} cells, {text}" for text, count in found.items())


def _picture(cells: dict[str, Any]) -> str:
    """Return a heat map: a row for each server and way, a column for each kind."""
    rows = [(server, name) for name, way in WAYS.items() for server in way.servers]
    rows = [row for row in rows if any(f"{row[0]}/{row[1]}/{kind}" in cells for kind in KINDS)]
    width, height, left, top = 110, 22, 260, 40
    lines = [element("style", "text{font:12px system-ui,sans-serif;fill:#57606a}")]
    lines += [label(kind, x=left + width * n + 8, y=top - 12) for n, kind in enumerate(KINDS)]
    for y, (server, name) in enumerate(rows):
        lines.append(label(f"{name}: {server}", x=8, y=top + height * y + 15))
        for x, kind in enumerate(KINDS):
            cell = cells.get(f"{server}/{name}/{kind}")
            if cell is None:
                continue
            rate = cell["lost"] / cell["total"] if cell.get("total") else None
            colour = "#d0d7de" if rate is None else "#2da44e" if not rate else "#fb8f44" if rate < 0.01 else "#cf222e"
            text = f"{cell['lost']:,} of {cell['total']:,}" if rate is not None else "none ended"
            text = "not measured" if "error" in cell else text
            place = {"x": left + width * x, "y": top + height * y, "width": width - 2, "height": height - 2}
            lines.append(element("rect", **place, fill=colour, fill_opacity=".35"))
            lines.append(label(text, x=left + width * x + 6, y=top + height * y + 15))
    across, down = left + width * len(KINDS) + 10, top + height * len(rows) + 10
    return picture(*lines, width=across, height=down, role="img", aria_label=_SAYS)


if __name__ == "__main__":
    sys.exit(main())
