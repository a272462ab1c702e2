"""The generated service behind nginx with the project's files, as two benchmarks of its bounds run it.

It is served as it would be in production: its gunicorn configuration, its middleware, nginx with the project's own
files. One route is added; it waits for one of a few places and keeps it for a fixed time, as a pool of database
connections would. So the capacity is known and does not depend on the machine: places divided by seconds, times
workers.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _options import number, whole_number
from _process import Running

from no502.new import scaffold
from no502.nginx.binary import nginx_version
from no502.nginx.command import render

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

__all__ = ["Bounds", "add_options", "generate", "proxy", "service"]

_READ_TIMEOUT = 10  # the shortest that the ladder allows: the request deadline is 5 s then
_APPLICATION = """\
import asyncio
import os

from starlette.requests import Request
from starlette.responses import Response

from app.main import create_app

app = create_app()
places = asyncio.Semaphore(int(os.environ["BENCH_PLACES"]))


@app.post("/")
async def work(request: Request) -> Response:
    body = await request.body()
    async with places:
        await asyncio.sleep(float(os.environ["BENCH_SECONDS"]))
    return Response(body)
"""


@dataclass(frozen=True)
class Bounds:
    """How many requests may be in flight: in each worker, in nginx, in nginx for one client."""

    application: int = 0
    nginx: int = 65535
    client: int = 65535


def add_options(arguments: argparse.ArgumentParser) -> None:
    """Add what both benchmarks can be asked for."""
    add = arguments.add_argument
    add("--workers", type=whole_number, default=1, help="worker processes")
    add("--places", type=whole_number, default=10, help="requests that one worker really works on at a time")
    add("--service-seconds", type=number, default=0.05, help="how long each takes then")
    add("--app-bound", type=whole_number, default=100, help="APP_REQUESTS_IN_FLIGHT")
    add("--nginx-bound", type=whole_number, default=1024, help="NGINX_REQUESTS_IN_FLIGHT")
    arguments.set_defaults(app="the generated service")


def generate(directory: Path) -> Path:
    """Generate the service with its route into a new directory, and return that directory."""
    project = scaffold(directory, {"proxy_read_timeout": str(_READ_TIMEOUT)})
    (project / "bench_app.py").write_text(_APPLICATION, encoding="utf-8")
    return project


class _Service(Running):
    def _serves(self) -> bool:
        return "is ready" in self.log()


class _Proxy(Running):
    def _serves(self) -> bool:
        return (self._directory / "nginx" / "nginx.pid").exists()


def service(options: argparse.Namespace, project: Path, where: Path, port: int, bounds: Bounds) -> Running:
    """Return the service, for a ``with`` block, at a port of 127.0.0.1."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(where),
        "PYTHONUNBUFFERED": "1",
        "APP_ALLOWED_HOSTS": "bench",
        "APP_REQUESTS_IN_FLIGHT": str(bounds.application),
        "BENCH_PLACES": str(options.places),
        "BENCH_SECONDS": str(options.service_seconds),
        "GUNICORN_BIND": f"127.0.0.1:{port}",
        "GUNICORN_MAX_REQUESTS": "0",
        "LOG_LEVEL": "info",
        "WEB_CONCURRENCY": str(options.workers),
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "app/server.py", "bench_app:app"]
    return _Service(command, log=where / "server.log", env=environment, directory=project)


def proxy(
    options: argparse.Namespace, where: Path, ports: tuple[int, int], bounds: Bounds, *, http2: bool = False
) -> Running:
    """Return nginx, for a ``with`` block: its port and the service's. HTTP/2 is without TLS here."""
    port, upstream = ports
    variables = {
        "PROXY_READ_TIMEOUT": str(_READ_TIMEOUT),
        "PROXY_KEEPALIVE_TIMEOUT": str(options.proxy_keepalive),
        "PROXY_CONNECT_TIMEOUT": "2",
        "NGINX_LISTEN": f"127.0.0.1:{port}",
        "NGINX_SERVER_NAME": "bench",
        "NGINX_UPSTREAM": f"127.0.0.1:{upstream}",
        "NGINX_CLIENT_MAX_BODY_SIZE": "1m",
        "NGINX_REQUESTS_IN_FLIGHT": str(bounds.nginx),
        "NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT": str(bounds.client),
    }
    render(where / "nginx", variables, nginx_version=nginx_version(options.nginx), standalone=True)
    if http2:
        (where / "nginx" / "conf.d" / "http2.conf").write_text("http2 on;\n", encoding="utf-8")
    command = [options.nginx, "-e", "stderr", "-p", f"{where / 'nginx'}{os.sep}", "-c", "nginx.conf"]
    return _Proxy(command, log=where / "nginx.log", directory=where)
